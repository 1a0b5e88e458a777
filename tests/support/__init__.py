"""What the tests share: the ladder of brokers and databases, and makers of input."""

import warnings

with warnings.catch_warnings():
    # On Python 3.11 kafka-python uses a function that was deprecated for a while; the warning is
    # not ours to mend, and comes only where the client is imported first.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka  # noqa: F401

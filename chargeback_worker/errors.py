"""The four families of refusals; every named exception of the project is in one of them.

    ChargebackError
    ├── Invalid          the request itself is at fault; asking again changes nothing
    │   └── Misconfigured    a setting is at fault, or does not fit the database or the broker
    ├── NotFound         what was named does not exist
    ├── Conflict         the state of things forbids it now
    └── Unavailable      a database or broker did not answer; the only family that is retried

A bad usage event is not an error but a value (`usage.event.RefusedEvent`). A programmer's mistake
is an assertion. Each door maps each family once: to an exit code, or to a status.
"""


class ChargebackError(Exception):
    """A refusal with a sentence for people and, where there is one, the next thing to do.

    Subclasses take facts and write the sentence.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Invalid(ChargebackError):
    """The request itself is at fault."""


class Misconfigured(Invalid):
    """A setting is at fault, or does not fit the database or the broker it meets."""


class NotFound(ChargebackError):
    """What was named does not exist."""


class Conflict(ChargebackError):
    """The state of things forbids it now."""


class Unavailable(ChargebackError):
    """A database or broker did not answer. Nothing was done, or it can be done again safely."""

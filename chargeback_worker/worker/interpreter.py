"""How Python itself is set for a worker that handles many events at once."""

import gc
import sys

# A batch is some hundred thousand objects without cycles that are gone a second later: looking for
# cycles among them at every 700th took a tenth of all time.
_OBJECTS_BETWEEN_LOOKS = 100_000
# A thread that comes back from the database or the network waits for the one that computes: it is
# let in after half a millisecond, as it mostly has only the next piece to send.
_SWITCH_S = 0.0005


def suit_batches() -> None:
    """Set the collector and the switching of threads; what is loaded by now is never collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS, 50, 100)
    sys.setswitchinterval(_SWITCH_S)

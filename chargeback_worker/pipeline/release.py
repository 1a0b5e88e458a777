"""Letting a receiver go again that was parked, once what the broker refused it for is mended."""

from collections.abc import Collection, Sequence

from chargeback_worker.errors import Conflict
from chargeback_worker.store import Store, audit, parked
from chargeback_worker.store.audit import Act

ACTION = "outbox.release"


class NotParked(Conflict):
    """Nothing of it is refused; what waits goes out in its turn."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The broker refuses no message to {key[:100]!r}; nothing was changed.",
            "See whose it refuses: chargeback outbox list --parked",
        )


def release(store: Store, act: Act, keys: Collection[str] | None = None) -> Sequence[str]:
    """Let the publisher try again what was refused of those receivers, or of all that are parked;
    which they were. What waits behind it follows in its order.

    A message that is refused once more parks its receiver again. Raises ReasonMissing, and
    NotParked of one that is named: then none is released.
    """
    act.require_reason("publish again what the broker refused")
    with store.begin() as transaction:
        released = parked.release(transaction, keys)
        for key in sorted(set(keys or ()) - {key for key, _, _ in released}):
            raise NotParked(key)
        for key, ce_id, reason in released:
            before = {"ce_id": ce_id, "refused": reason}
            audit.append(transaction, act, ACTION, f"outbox:{key}", before=before)
    return [key for key, _, _ in released]

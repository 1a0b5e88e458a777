"""What a caller has seen of a thing that it wants to change; another state since refuses it."""

from chargeback_worker.errors import Conflict


class NotAsExpected(Conflict):
    """It was changed since it was read; nothing was done."""

    def __init__(self, what: str, now: str, expected: str) -> None:
        super().__init__(
            f"{what} is at {now} now, and the request was for {expected}.",
            "Read it again, and send the ETag of that as If-Match.",
        )


def require(what: str, now: str, expected: str | None) -> None:
    """Raises NotAsExpected where something else was expected; None expects nothing."""
    if expected is not None and now != expected:
        raise NotAsExpected(what, now, expected)

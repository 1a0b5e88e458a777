"""The digests that rows are found by: 16 bytes of BLAKE2b over a JSON list.

They are final. Stored rows hold them for ever, so neither the order of the values nor how one is
written may change; `tests/usage/test_digests.py` pins known values. Missing is `null`, which no
text is, and a JSON list keeps apart what joined texts would not. Amounts are whole nano-units.
"""

from collections.abc import Sequence
from hashlib import blake2b

from msgspec.json import Encoder

_encode = Encoder().encode
_IDENTITY = blake2b(digest_size=16, person=b"usage identity")
_CONTENT = blake2b(digest_size=16, person=b"usage content")
_TOTAL = blake2b(digest_size=16, person=b"usage total")


def identity_digest(source: str, usage_id: str) -> bytes:
    """What makes an event the same event, for ever."""
    digest = _IDENTITY.copy()
    digest.update(_encode((source, usage_id)))
    return digest.digest()


def content_digest(
    time_us: int | None,
    team: str | None,
    user: str | None,
    agent: str | None,
    resource_type: str,
    quantity: int,
    cost: int,
    labels: Sequence[str | None],
) -> bytes:
    """What must agree for a repeated event to be a duplicate and not a conflict.

    `time_us` is None of an event that says none, and was counted at its time of receipt.
    """
    digest = _CONTENT.copy()
    digest.update(_encode((time_us, team, user, agent, resource_type, quantity, cost, labels)))
    return digest.digest()


def total_key(
    period: int,
    day: int,
    team: str | None,
    user: str | None,
    agent: str | None,
    resource_type: str,
    labels: Sequence[str | None],
) -> bytes:
    """What usage is summed by; `period` and `day` are numbers, as 202610 and 20261031."""
    digest = _TOTAL.copy()
    digest.update(_encode((period, day, team, user, agent, resource_type, labels)))
    return digest.digest()

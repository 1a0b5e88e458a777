"""Where an explanation goes on: among the usage totals, or in one of them among its records.

Each total that has more records than are shown has a cursor of its own; that of the document goes
on among the totals, through all pools.
"""

import binascii
from dataclasses import dataclass

from chargeback_worker.reports.pages import PAGE_MAX, UnknownPlace
from chargeback_worker.store.evidence import RecordPlace

_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What page is wanted. `after` is a total's key; `within` asks for one total's records.

    `limit` holds for the totals, and for the records of each of them.
    """

    limit: int
    pool: int = 0
    after: bytes | None = None
    within: RecordPlace | None = None
    cursor: str | None = None

    @classmethod
    def read(cls, limit: int, cursor: str | None) -> "Asked":
        """Raises UnknownPlace."""
        limit = min(limit, PAGE_MAX)
        if cursor is None:
            return cls(limit)
        try:
            pool, key, *place = cursor.split(".")
            if not place:
                after = _digest(key) if key else None
                return cls(limit, _number(pool), after, cursor=cursor)
            time_us, identity = place
            within = RecordPlace(_digest(key), _number(time_us), _digest(identity))
        except (ValueError, binascii.Error):
            raise UnknownPlace(cursor) from None
        return cls(limit, _number(pool), within=within, cursor=cursor)

    def unknown(self) -> UnknownPlace:
        """For a cursor that is of another line."""
        return UnknownPlace(self.cursor or "")


def read_line(cursor: str | None) -> int:
    """The line that a page of lines ended with. Raises UnknownPlace."""
    if cursor is None:
        return 0
    try:
        return _number(cursor)
    except ValueError:
        raise UnknownPlace(cursor) from None


def totals_after(pool: int, total_key: bytes | None) -> str:
    """After a total, or from the first one of a pool on."""
    return f"{pool}.{'' if total_key is None else total_key.hex()}"


def records_after(pool: int, place: RecordPlace) -> str:
    return f"{pool}.{place.total_key.hex()}.{place.time_us}.{place.identity.hex()}"


def first_records(pool: int, total_key: bytes) -> str:
    """From the first record of a total on."""
    return records_after(pool, RecordPlace(total_key, 0, bytes(_KEY_BYTES)))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError(text)
    return int(text)


def _digest(text: str) -> bytes:
    key = binascii.unhexlify(text)
    if len(key) != _KEY_BYTES:
        raise ValueError(text)
    return key

"""Where an explanation goes on: among the usage totals, or in one of them among its records.

Each total that has more records than are shown has a cursor of its own; that of the document goes
on among the totals, through all pools.
"""

from dataclasses import dataclass

from chargeback_worker.reports.pages import (
    DIGEST_BYTES,
    PAGE_MAX,
    UnknownPlace,
    digest_of,
    number_of,
)
from chargeback_worker.store.evidence import RecordPlace


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
                after = digest_of(key) if key else None
                return cls(limit, number_of(pool), after, cursor=cursor)
            time_us, identity = place
            within = RecordPlace(digest_of(key), number_of(time_us), digest_of(identity))
        except ValueError:
            raise UnknownPlace(cursor) from None
        return cls(limit, number_of(pool), within=within, cursor=cursor)

    def unknown(self) -> UnknownPlace:
        """For a cursor that is of another line."""
        return UnknownPlace(self.cursor or "")


def read_line(cursor: str | None) -> int:
    """The line that a page of lines ended with. Raises UnknownPlace."""
    if cursor is None:
        return 0
    try:
        return number_of(cursor)
    except ValueError:
        raise UnknownPlace(cursor) from None


def totals_after(pool: int, total_key: bytes | None) -> str:
    """After a total, or from the first one of a pool on."""
    return f"{pool}.{'' if total_key is None else total_key.hex()}"


def records_after(pool: int, place: RecordPlace) -> str:
    return f"{pool}.{place.total_key.hex()}.{place.time_us}.{place.identity.hex()}"


def first_records(pool: int, total_key: bytes) -> str:
    """From the first record of a total on."""
    return records_after(pool, RecordPlace(total_key, 0, bytes(DIGEST_BYTES)))

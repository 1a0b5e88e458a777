"""All usage behind one allocation, on pages: what `usage_records` of a list shows the first of.

It is the usage behind it now, as in `usage_ids`: of a pool that was split, all that was divided.
"""

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.errors import NotFound
from chargeback_worker.invoicing.document import Document
from chargeback_worker.reports.allocated import (
    Allocated,
    Allocation,
    AllocationKey,
    allocated,
    bases,
)
from chargeback_worker.reports.explain.behind import record_document
from chargeback_worker.reports.pages import PAGE_MAX, UnknownPlace, digest_of, number_of
from chargeback_worker.reports.pruned import pruned_of_days
from chargeback_worker.reports.usage_ids import groups_behind
from chargeback_worker.store import Store, Transaction, allocations, bookings
from chargeback_worker.store.evidence import RecordPlace, first_totals, records_behind
from chargeback_worker.store.groups import Group

_ALL = 10**9


class AllocationUnknown(NotFound):
    """No allocation that is stored has this id."""

    def __init__(self, allocation_id: str) -> None:
        super().__init__(
            f"There is no stored allocation {allocation_id[:60]!r}.",
            "Those of an open month are stored by POST /api/chargeback/allocate.",
        )


def allocation_usage(
    store: Store,
    allocation_id: str,
    terms: Snapshot,
    *,
    limit: int = 200,
    cursor: str | None = None,
) -> Document:
    """A page of the usage records behind an allocation, by total and then by time.

    `cursor` continues. Raises AllocationUnknown, or UnknownPlace.
    """
    limit = min(limit, PAGE_MAX)
    after = None if cursor is None else _place(cursor)
    with store.read() as transaction:
        them, row = _find(transaction, allocation_id, terms)
        keys = _total_keys(transaction, them, row, terms)
        found = records_behind(transaction, keys, limit=limit + 1, after=after)
        days = them.days if row.key.origin is None else row.key.origin.days()
        gone = pruned_of_days(transaction, days)
    page = found[:limit]
    return {
        "allocation_id": allocation_id,
        "usage_records": [record_document(record) for record in page],
        "pruned": gone,
        "next_cursor": _cursor(page[-1].place) if len(found) > limit else None,
    }


def _find(
    transaction: Transaction, allocation_id: str, terms: Snapshot
) -> tuple[Allocated, Allocation]:
    booked = bookings.place_of(transaction, allocation_id)
    run = None if booked is not None else allocations.place_of(transaction, allocation_id)
    if booked is not None:
        period, owed = booked
        origin = None if owed.origin == period else owed.origin
        key = AllocationKey(origin, owed.key.rule_id, owed.key.version, owed.pair)
    elif run is not None:
        period, part = run
        key = AllocationKey(None, part.key.rule_id, part.key.version, part.key.pair)
    else:
        raise AllocationUnknown(allocation_id)
    found = allocated(transaction, period.days(), terms, _bearers(key.pair))
    for row in found.rows:
        if row.key == key:
            return found, row
    # Its revisions have booked exactly nothing, taken together.
    raise AllocationUnknown(allocation_id)


def _bearers(pair: Pair) -> list[Pair]:
    """Who is asked for, so that no more is read than bears on them; what nobody bears may be of
    anybody's usage."""
    if pair.team is not None:
        return [Pair(team=pair.team)]
    return [] if pair.user is None else [pair]


def _total_keys(
    transaction: Transaction, found: Allocated, row: Allocation, terms: Snapshot
) -> list[bytes]:
    keys: list[bytes] = []
    for basis in bases(transaction, found, terms, {row.key.origin}):
        if row.key.origin == basis.origin:
            groups = {
                Group.of(group)
                for of_row in groups_behind(basis, [row]).values()
                for group in of_row
            }
            by_group = first_totals(transaction, groups, basis.kept, basis.days, each=_ALL)
            keys += [key for of_group in by_group.values() for key in of_group]
    return keys


def _cursor(place: RecordPlace) -> str:
    return f"{place.total_key.hex()}.{place.time_us}.{place.identity.hex()}"


def _place(cursor: str) -> RecordPlace:
    """Raises UnknownPlace."""
    try:
        total_key, time_us, identity = cursor.split(".")
        return RecordPlace(digest_of(total_key), number_of(time_us), digest_of(identity))
    except ValueError:
        raise UnknownPlace(cursor, of="usage records") from None

"""What was booked against the records, and against what the one formula gives today."""

from collections import Counter
from collections.abc import Iterable, Mapping

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.grouping import grouping
from chargeback_worker.allocation.pair import UNALLOCATED
from chargeback_worker.allocation.rule import RESERVED_ID
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import allocation_id
from chargeback_worker.invoicing.settle import NOTHING, Owed, settle
from chargeback_worker.period import Period
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.reports.verify.periods import settled_states, snapshot
from chargeback_worker.store import (
    bookings,
    closes,
    origins,
    periods,
    pruned,
    recount,
    recount_books,
    totals,
)
from chargeback_worker.store.bookings import Booking

_HINT = "Bookings never change; restore the database from a backup, or ask who altered it."


def sums(found: Comparison) -> None:
    """What was booked is the cost of the records: by billing period, by origin, by close."""
    transaction = found.transaction
    closed, changing = settled_states(periods.listed(transaction))
    used = Counter(recount.cost_by_origin(transaction))
    for period, gone in pruned.listed(transaction).items():
        for origin, sums_ in gone.origins.items():
            used[period.number, origin.number] += sums_.cost
    booked = recount_books.booked(transaction)
    found.rows = sum(row.rows for row in booked)
    done = {(close.period, close.revision): close.booked for close in closes.listed(transaction)}
    for period in _wanted(found, closed):
        cost = sum(cost for (billed, _), cost in used.items() if billed == period.number)
        _equal(found, f"booked in {period}", cost, (r.cost for r in booked if r.period == period))
    for origin in _wanted(found, {row.origin for row in booked} | closed):
        billed = {Period.from_number(number) for number, of in used if of == origin.number}
        if billed & changing:
            # What the last close of such a period counted cannot be told from what came since.
            continue
        cost = sum(used[period.number, origin.number] for period in billed & closed)
        _equal(found, f"booked for {origin}", cost, (r.cost for r in booked if r.origin == origin))
    for place in sorted({(row.period, row.revision) for row in booked} | done.keys()):
        if found.period in (None, place[0]):
            expected = done.get(place)
            name = f"booked by close {place[1]} of {place[0]}"
            if expected is None:
                found.differ(name, "nothing: there was no such close", "bookings", _HINT)
                continue
            of_close = (r.cost for r in booked if (r.period, r.revision) == place)
            _equal(found, name, expected, of_close)


def rows(found: Comparison) -> None:
    """Each booking has the id that its facts give, and goes to who is billed for its pair."""
    for close in closes.listed(found.transaction):
        if found.period not in (None, close.period):
            continue
        decided = snapshot(found, close.period, close.revision)
        with found.reading(f"bookings of {close.period}"):
            for row in bookings.of_close(found.transaction, close.period, close.revision):
                found.rows += 1
                _check_row(found, row, decided)


def settlement(found: Comparison) -> None:
    """Settled again by its own snapshot, each closed month owes nothing."""
    transaction = found.transaction
    closed, changing = settled_states(periods.listed(transaction))
    last = {close.period: close.revision for close in closes.listed(transaction)}
    wanted = closed
    if found.period is not None:
        wanted = closed & {found.period, *origins.late_in(transaction, found.period)}
    for origin in sorted(wanted):
        decided = snapshot(found, origin, last.get(origin, 0))
        billed_in = set(totals.billed_in(transaction, origin))
        if decided is None or billed_in & changing:
            continue
        with found.reading(f"the books of {origin}"):
            kept = grouping(decided, origin.days())
            used = origins.counted(transaction, origin, closed, kept)
            booked = bookings.of_origin(transaction, origin)
            found.rows += len(booked)
            fresh = {
                owed.key: owed for owed in settle(used, decided, {}, origin=origin, closing=origin)
            }
            for key in sorted(fresh.keys() | booked.keys(), key=lambda key: key.sort_key):
                owed, before = fresh.get(key), booked.get(key, NOTHING)
                cost = 0 if owed is None else owed.cost
                found.amounts(_name(origin, key), cost, before.cost, _HINT)
            if billed_in <= {origin} and last[origin] == 1:
                _check_parts(found, origin, fresh)


def _check_parts(found: Comparison, origin: Period, fresh: Mapping[PartKey, Owed]) -> None:
    """What is told beside the cost of a month that was booked at once.

    Where late usage or a reopening changed only this, it waits, and nothing says how it should be.
    """
    for row in bookings.of_close(found.transaction, origin, 1):
        owed = fresh.get(row.owed.key)
        if owed is not None and row.owed.origin == origin:
            name = _name(origin, owed.key)
            found.amounts(f"{name}: quantity", owed.quantity, row.owed.quantity, _HINT)
            found.equal(f"{name}: records", owed.records, row.owed.records, _HINT)
            found.equal(f"{name}: shared", owed.shared, row.owed.shared, _HINT)
            if not _made_before_shares(row.owed):
                found.equal(f"{name}: share", owed.share, row.owed.share, _HINT)


def _made_before_shares(owed: Owed) -> bool:
    """Until schema 0002 no share was kept, and the one rule there was splits nothing."""
    return owed.share is None and owed.key.rule_id == RESERVED_ID


def _check_row(found: Comparison, row: Booking, decided: Snapshot | None) -> None:
    owed = row.owed
    expected = allocation_id(owed.origin, row.billing_period, row.revision, owed.key)
    name = f"booking {row.allocation_id} {owed.key.resource_type}"
    found.equal(f"{name}: id", expected, row.allocation_id, _HINT)
    if decided is not None:
        receiver = decided.receiver(owed.pair)
        billed = None if receiver == UNALLOCATED else receiver.key
        found.equal(f"{name}: receiver", billed, row.receiver, _HINT)


def _wanted(found: Comparison, known: set[Period]) -> list[Period]:
    return sorted(known if found.period is None else known & {found.period})


def _equal(found: Comparison, name: str, expected: int, costs: Iterable[int]) -> None:
    found.amounts(name, expected, sum(costs), _HINT)


def _name(origin: Period, key: PartKey) -> str:
    return f"{origin}: {key.cited}, {key.pair.key}, {key.resource_type}"

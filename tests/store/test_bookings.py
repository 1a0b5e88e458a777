"""Bookings, snapshots and what totals say of a month, as they are read back."""

from datetime import date

import pytest
import sqlalchemy as sa

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import UNALLOCATED, BillTo, Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.settle import Booked, Cause, Owed
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.store import Store, bookings, origins, periods, snapshots
from chargeback_worker.store.tables import billing_period
from tests.support.feed import Feed, set_state, usage
from tests.support.ledger import NOVEMBER, OCTOBER, SEPTEMBER, closed

# Far beyond 64 bits of nano-units.
HUGE = 10**27 + 1


def _owed(pair: Pair, cost: int, *, origin: Period = OCTOBER, cause: Cause | None = None) -> Owed:
    return Owed(origin, PartKey("default", 1, pair, "query"), cost, HUGE, 3, False, cause)


def _book(store: Store, period: Period, *owed: Owed, revision: int = 1) -> None:
    set_state(store, period, "closing")
    with store.begin() as transaction:
        bookings.insert(transaction, period, revision, owed, Snapshot(bill_to=BillTo.USER))
    set_state(store, period, "closed")


def test_what_was_booked_reads_back_in_the_order_of_lines(store: Store) -> None:
    rows = [
        _owed(UNALLOCATED, -1),
        _owed(Pair("B"), 2),
        _owed(Pair("A", "x"), -HUGE),
        _owed(Pair("Z"), 5, origin=SEPTEMBER, cause=Cause.LATE_USAGE),
    ]
    _book(store, OCTOBER, *reversed(rows))

    with store.read() as transaction:
        read = bookings.of_close(transaction, OCTOBER, 1)
    assert [row.owed for row in read] == [rows[2], rows[1], rows[0], rows[3]]
    assert [row.receiver for row in read] == ["user:x", "team:B", None, "team:Z"]
    assert len({row.allocation_id for row in read}) == 4


def test_what_is_booked_for_a_month_is_summed_over_all_closes(store: Store) -> None:
    pair = Pair("A", "x")
    _book(store, OCTOBER, _owed(pair, 10))
    _book(store, NOVEMBER, _owed(pair, -3, cause=Cause.LATE_USAGE), _owed(UNALLOCATED, 1))

    with store.read() as transaction:
        booked = bookings.of_origin(transaction, OCTOBER)
        assert booked[PartKey("default", 1, pair, "query")] == Booked(7, 2 * HUGE, 6, False)
        assert bookings.cost_for(transaction, OCTOBER) == 8
        assert [bookings.cost_in(transaction, p) for p in (OCTOBER, NOVEMBER)] == [10, -2]
        assert bookings.of_origin(transaction, NOVEMBER) == {}
        assert bookings.cost_for(transaction, NOVEMBER) == 0


def test_nothing_is_booked_in_a_period_that_is_not_closing(store: Store) -> None:
    set_state(store, OCTOBER, "open")

    with pytest.raises(sa.exc.IntegrityError, match="only while"), store.begin() as transaction:
        bookings.insert(transaction, OCTOBER, 1, [_owed(Pair("A"), 1)], Snapshot())


def test_the_last_snapshot_of_a_month_reads_back_as_it_was(store: Store) -> None:
    kept = Snapshot(
        rules=(Rule("r", 2, "default", effective_from=date(2026, 10, 3)),),
        bill_to=BillTo.USER,
        labels=("project",),
        tax_rate_nano=190_000_000,
    )
    with store.begin() as transaction:
        snapshots.insert(transaction, OCTOBER, 1, Snapshot())
        snapshots.insert(transaction, OCTOBER, 2, kept)

    with store.read() as transaction:
        assert snapshots.latest(transaction, OCTOBER) == kept
        assert snapshots.latest(transaction, NOVEMBER) is None


def test_only_usage_of_the_periods_asked_for_counts(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", "1"), usage("s", "8", day="2026-09-30"))
    closed(store)
    feed.send(usage("late", "2"), usage("new", "4", day="2026-11-01"))

    with store.read() as transaction:
        assert origins.late_in(transaction, NOVEMBER) == [OCTOBER]
        assert origins.late_in(transaction, OCTOBER) == []
        assert origins.has_late(transaction, NOVEMBER, OCTOBER)
        assert not origins.has_late(transaction, NOVEMBER, SEPTEMBER)
        assert origins.late_records(transaction) == {NOVEMBER: 1}
        assert origins.cost_in(transaction, NOVEMBER) == 6 * NANO
        costs = [
            origins.cost_for(transaction, OCTOBER, counting)
            for counting in ([OCTOBER], [OCTOBER, NOVEMBER], [SEPTEMBER], [])
        ]
        assert costs == [NANO, 3 * NANO, 0, 0]


def test_closing_starts_only_from_the_state_that_was_read(store: Store) -> None:
    set_state(store, OCTOBER, "open")
    with store.begin() as transaction:
        row = periods.find(transaction, OCTOBER)
        assert row is not None
        assert periods.start_closing(transaction, row, "first", 5)
        assert not periods.start_closing(transaction, row, "second", 5)
        taken = periods.find(transaction, OCTOBER)
        assert taken is not None
        assert periods.start_closing(transaction, taken, "third", 6)
        assert not periods.set_closed(transaction, OCTOBER, "first", 7)
        assert periods.set_closed(transaction, OCTOBER, "third", 7)
        state = transaction.execute(sa.select(billing_period.c.state)).scalar_one()
    assert state == "closed"

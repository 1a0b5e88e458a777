"""Closing a month: once, whole or not at all, by whoever gets there, and every cost booked once."""

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.invoicing.invoice import Kind, LineKind, Status
from chargeback_worker.invoicing.settle import Owed, settle
from chargeback_worker.money import NANO, NANO_PER_CENT, divide_half_even
from chargeback_worker.period import Period
from chargeback_worker.pipeline import close as step
from chargeback_worker.pipeline.allocate import allocate
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.close import close, dry_run, finish_closing, start_closing
from chargeback_worker.pipeline.closing import settlement
from chargeback_worker.pipeline.closing.may_close import (
    CloseInProgress,
    EarlierNotClosed,
    EarlierReopened,
    IngestBehind,
    LeaseLost,
    PeriodIsClosed,
    PeriodNotOver,
)
from chargeback_worker.pipeline.closing.settlement import NotConserved
from chargeback_worker.pipeline.due import note_ends
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import (
    Store,
    allocations,
    audit,
    bookings,
    closes,
    origins,
    schema,
    snapshots,
)
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.tables import booking, invoice, outbox, period_close, snapshot
from chargeback_worker.usage.event import Grain
from tests.support.feed import Feed, set_state, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import (
    AFTER_NOVEMBER_US,
    NOVEMBER,
    NOW_US,
    OCTOBER,
    SEPTEMBER,
    TERMS,
    act,
    closed,
    count,
    issued,
    period_row,
    set_lease,
    stored_now_us,
    written,
)
from tests.support.long_ids import longest_ids
from tests.support.postgres import PostgresServer

_OCTOBER_USAGE = (
    usage("a", "10.005", team="A"),
    usage("b", "20.005", team="B", user_id=None),
    usage("c", "3", team="B", quantity="2.5"),
    usage("d", "0.000000001", team=None, user_id=None),
)


def _reopen(store: Store, period: Period) -> None:
    set_state(store, period, "reopened")


@st.composite
def _months(draw: st.DrawFn) -> list[list[tuple[int, str, str]]]:
    """What comes before each of three closes: month, team, cost."""
    events = st.tuples(
        st.integers(1, 3), st.sampled_from(["A", "B", ""]), st.sampled_from(["0.004", "-3.3", "7"])
    )
    return draw(st.lists(st.lists(events, max_size=5), min_size=3, max_size=3))


@law_on_a_store(15)
@given(rounds=_months())
def test_a_late_event_moves_no_closed_number_and_every_cost_is_booked_once(
    store: Store, rounds: list[list[tuple[int, str, str]]]
) -> None:
    feed = Feed(store)
    # A year of its own for each example, on one database.
    year = 2001 + count(store, period_close) // 3
    months = [Period(year, month) for month in (1, 2, 3)]
    for number, (closing, events) in enumerate(zip(months, rounds, strict=True)):
        before = written(store)
        for place, (month, team, cost) in enumerate(events):
            name = f"{year}-{number}-{place}"
            feed.send(usage(name, cost, day=f"{year}-{month:02d}-05", team=team, user_id=None))
        assert written(store) == before
        closed(store, closing)
        after = written(store)
        assert after["invoices"][: len(before["invoices"])] == before["invoices"]
        assert after["messages"][: len(before["messages"])] == before["messages"]

    with store.read() as transaction:
        for period in months:
            done = closes.last(transaction, period)
            assert done is not None
            assert bookings.cost_in(transaction, period) == done.booked
            assert origins.cost_in(transaction, period) == done.booked
            used = origins.cost_for(transaction, period, months)
            assert bookings.cost_for(transaction, period) == used
            cents = divide_half_even(done.booked, NANO_PER_CENT)
            assert done.invoiced + done.unallocated == cents * NANO_PER_CENT
    for period in months:
        numbers = [row.invoice_number for row in issued(store, period)]
        assert numbers == [f"INV-{period.number}-{n + 1:04d}" for n in range(len(numbers))]


def test_a_close_books_invoices_and_announces_what_was_used(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)

    done = closed(store).close

    assert done.booked == 33_010_000_001
    assert (done.invoiced, done.unallocated, done.invoices) == (33_010_000_000, 0, 2)
    first, second = issued(store)
    assert [row.invoice_number for row in (first, second)] == ["INV-202610-0001", "INV-202610-0002"]
    assert [row.receiver.key for row in (first, second)] == ["team:A", "team:B"]
    assert first.status is Status.PENDING
    assert str(first.due_date) == "2026-12-22"
    assert [line.quantity for line in second.lines] == [NANO, 2_500_000_000]
    row = period_row(store)
    assert (row.state, row.revision, row.closed_us) == (PeriodState.CLOSED, 1, NOW_US)
    assert (row.lease_owner, row.lease_until_us, row.failure) == (None, None, None)
    messages = written(store)["messages"]
    assert [(key, seq) for _, key, seq, _, _ in messages] == [
        ("team:A", 1),
        ("team:B", 1),
        ("2026-10", 1),
    ]


def test_ids_as_long_as_they_may_be_are_counted_billed_and_told(store: Store) -> None:
    """Also where each character takes four bytes and nothing can be compressed."""
    team, user, agent, kind, event, rule, resource, label = longest_ids(8)
    grain = Grain("UTC", ("project",))
    of_all: dict[str, Any] = {
        "agent_id": agent,
        "resource_type": kind,
        "resource_id": resource,
        "metadata": {"project": label},
    }
    feed = Feed(store, grain=grain)
    feed.send(
        usage(event, "10", team=team, user_id=user, **of_all),
        usage("b", "20", team=None, user_id=user, **of_all),
        usage("c", "6", team=None, user_id=None, **of_all),
    )
    feed.send(usage(event, "11", team=team, user_id=user, **of_all), usage("d", "x", team=team))
    members = [{"user_id": user, "name": label}]
    apply_directory(store, {"teams": [{"team_id": team, "members": members}]}, act())
    match = {"labels": {"project": [label]}, "teams": [None], "users": [None]}
    shared = {"match": match, "receivers": [f"team:{team}", f"user:{user}"]}
    written = {"rule_id": rule, "rule_type": "equal_split", "allocation_metadata": shared}
    save_rules(store, {"rules": [written]}, act())
    terms = Snapshot(labels=grain.labels)
    allocate(store, OCTOBER, terms, act())

    close(store, OCTOBER, terms, act(), owner="closer")

    assert [(row.receiver, row.total) for row in issued(store)] == [
        (Pair(team), 33 * NANO),
        (Pair(None, user), 3 * NANO),
    ]
    broker = MemoryBroker()
    broker.create_topic("t", 1)
    assert publish(store, broker.producer(), "t", owner="p", now_us=NOW_US, lease_s=9)
    assert verify(store).mismatches == ()


def test_a_closed_period_is_not_invoiced_twice(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)
    first = closed(store)
    before = written(store)

    again = closed(store, now_us=NOW_US + 1, owner="another")

    assert (first.closed_before, again.closed_before) == (False, True)
    assert again.close == first.close
    assert written(store) == before
    assert [count(store, table) for table in (period_close, snapshot)] == [1, 1]
    with store.read() as transaction:
        assert [row.action for row in audit.listed(transaction)] == ["close"]


def test_a_month_without_usage_closes_without_invoices_and_says_so(store: Store) -> None:
    done = closed(store, SEPTEMBER).close

    assert (done.booked, done.invoices) == (0, 0)
    (message,) = written(store)["messages"]
    assert message[1] == "2026-09"
    assert b'"invoices":0,"subtotal_usd":0,' in message[4]


def test_closers_that_race_close_once(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)
    start = threading.Barrier(4)
    ended: list[str] = []

    def race(owner: str) -> None:
        start.wait()
        try:
            done = closed(store, owner=owner)
        except CloseInProgress:
            ended.append("in progress")
        else:
            ended.append("before" if done.closed_before else "closed")

    threads = [threading.Thread(target=race, args=(f"closer {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ended) == 4
    assert ended.count("closed") == 1
    assert [count(store, table) for table in (period_close, invoice, outbox)] == [1, 2, 3]


def test_a_killed_closer_leaves_a_lease_and_the_next_one_writes_the_same_bytes(
    store: Store, tmp_path: Path
) -> None:
    undisturbed = Store(f"sqlite:///{tmp_path / 'undisturbed.db'}")
    schema.upgrade(undisturbed)
    for each in (undisturbed, store):
        Feed(each).send(*_OCTOBER_USAGE)
    closed(undisturbed)
    start_closing(store, OCTOBER, TERMS, act(), owner="killed", lease_s=60)
    with pytest.raises(CloseInProgress, match="killed"):
        closed(store)
    set_lease(store, OCTOBER, lasting_s=0)

    closed(store)

    assert written(store) == written(undisturbed)
    undisturbed.close()


def test_a_closer_that_wakes_late_writes_nothing(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)
    start_closing(store, OCTOBER, TERMS, act(), owner="late riser", lease_s=0)
    closed(store, owner="another")
    before = written(store)

    with pytest.raises(LeaseLost):
        finish_closing(store, OCTOBER, TERMS, act(NOW_US + 5), owner="late riser")

    assert written(store) == before
    assert period_row(store).state is PeriodState.CLOSED


def test_a_long_close_holds_up_neither_ingest_nor_another_closer(
    postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgresql.database() as url:
        store = Store(url)
        schema.upgrade(store)
        feed = Feed(store)
        feed.send(*_OCTOBER_USAGE)
        start_closing(store, OCTOBER, TERMS, act(), owner="slow", lease_s=0)
        check = settlement.check_conserved

        def meanwhile(*args: Any) -> None:
            assert feed.send(usage("late", team="A")) == ["accepted"]
            with pytest.raises(CloseInProgress):
                closed(store, owner="another")
            check(*args)

        monkeypatch.setattr(step, "check_conserved", meanwhile)
        done = finish_closing(store, OCTOBER, TERMS, act(), owner="slow").close

        assert done.booked == 33_010_000_001
        store.close()


def test_a_failure_puts_the_period_back_and_is_noted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Feed(store).send(*_OCTOBER_USAGE)

    def fail(*_: object) -> None:
        raise NotConserved("What is booked", 1, 2)

    for failures, wait_s in ((1, 30), (2, 60)):
        with monkeypatch.context() as patched:
            patched.setattr(step, "check_conserved", fail)
            before_us = stored_now_us(store)
            with pytest.raises(NotConserved):
                closed(store)
        row = period_row(store)
        assert (row.state, row.failures) == (PeriodState.OPEN, failures)
        assert row.failure is not None
        assert row.failure.startswith("What is booked is 0.000000001 USD")
        assert row.retry_us is not None
        assert row.retry_us >= before_us + wait_s * 1_000_000
    assert [count(store, table) for table in (booking, invoice, outbox, snapshot)] == [0, 0, 0, 0]

    closed(store)

    row = period_row(store)
    assert (row.state, row.failures, row.failure) == (PeriodState.CLOSED, 0, None)
    assert issued(store)[0].invoice_number == "INV-202610-0001"


def test_a_failed_close_of_a_reopened_period_leaves_it_reopened(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Feed(store).send(*_OCTOBER_USAGE)
    _reopen(store, OCTOBER)

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(step, "check_conserved", fail)
    with pytest.raises(RuntimeError):
        closed(store)

    row = period_row(store)
    assert (row.state, row.failure) == (PeriodState.REOPENED, "RuntimeError('a bug')")


def test_a_close_that_would_lose_a_cost_writes_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Feed(store).send(*_OCTOBER_USAGE)

    def forgetful(*args: Any, **named: Any) -> list[Owed]:
        return settle(*args, **named)[1:]

    monkeypatch.setattr(settlement, "settle", forgetful)

    with pytest.raises(NotConserved, match="What is booked in 2026-10 is"):
        closed(store)

    assert count(store, booking) == 0


def test_usage_that_comes_while_a_month_closes_is_billed_in_the_next_one(store: Store) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER_USAGE)
    start_closing(store, OCTOBER, TERMS, act(), owner="closer")
    feed.send(usage("late", "5", team="A"))
    done = finish_closing(store, OCTOBER, TERMS, act(), owner="closer").close
    assert done.booked == 33_010_000_001

    late = closed(store, NOVEMBER, now_us=AFTER_NOVEMBER_US).close

    assert late.booked == 5 * NANO


def test_usage_that_passed_a_month_by_when_its_close_failed_waits_for_that_month(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER_USAGE)

    def fail(*_: object, **__: object) -> None:
        feed.send(usage("late", "5", team="A"))
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(step, "finish_closing", fail)
        with pytest.raises(RuntimeError):
            closed(store)
    with pytest.raises(EarlierNotClosed, match="late usage of 2026-10"):
        closed(store, NOVEMBER, now_us=AFTER_NOVEMBER_US)

    assert closed(store).close.booked == 33_010_000_001
    assert closed(store, NOVEMBER, now_us=AFTER_NOVEMBER_US).close.booked == 5 * NANO


def test_late_usage_becomes_an_adjustment_that_names_the_original_invoice(store: Store) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER_USAGE)
    closed(store)
    feed.send(
        usage("late", "5", team="A"),
        usage("new", "1", team="C"),
        usage("own", "2", day="2026-11-02", team="A"),
    )

    closed(store, NOVEMBER, now_us=AFTER_NOVEMBER_US)

    first, second = issued(store, NOVEMBER)
    own, adjustment = first.lines
    assert (own.kind, own.exact, own.original_invoice) == (LineKind.USAGE, 2 * NANO, None)
    assert (adjustment.kind, adjustment.exact) == (LineKind.ADJUSTMENT, 5 * NANO)
    assert (adjustment.origin, adjustment.original_invoice) == (OCTOBER, "INV-202610-0001")
    assert (second.receiver.key, second.lines[0].original_invoice) == ("team:C", None)
    with store.read() as transaction:
        assert snapshots.latest(transaction, OCTOBER) == TERMS


def test_late_usage_is_settled_by_the_snapshot_of_its_own_month(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", "1", team="A"))
    close(store, OCTOBER, Snapshot(tax_rate_nano=190_000_000), act(), owner="closer")
    feed.send(usage("late", "100", team="A"), usage("own", "10", day="2026-11-02", team="A"))

    close(
        store,
        NOVEMBER,
        Snapshot(tax_rate_nano=70_000_000),
        act(AFTER_NOVEMBER_US),
        owner="closer",
    )

    (found,) = issued(store, NOVEMBER)
    assert found.tax == 19_700_000_000


def test_a_negative_total_is_a_credit_and_cents_of_zero_take_no_number(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", "0.001", team="A"), usage("b", "-2", team="B"), usage("c", "1", team="C"))

    done = closed(store).close

    assert [(row.receiver.key, row.kind, row.invoice_number) for row in issued(store)] == [
        ("team:B", Kind.CREDIT, "INV-202610-0001"),
        ("team:C", Kind.REGULAR, "INV-202610-0002"),
    ]
    assert issued(store)[0].due_date is None
    assert (done.booked, done.invoiced) == (-999_000_000, -NANO)


def test_a_dry_run_shows_what_a_close_books_and_writes_nothing(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)

    shown = dry_run(store, OCTOBER, TERMS, NOW_US)

    assert count(store, booking) == 0
    assert period_row(store).state is PeriodState.OPEN
    closed(store)
    assert list(shown.books.invoices) == issued(store)
    with store.read() as transaction:
        assert list(shown.owed) == [row.owed for row in bookings.of_close(transaction, OCTOBER, 1)]
    with pytest.raises(PeriodIsClosed):
        dry_run(store, OCTOBER, TERMS, NOW_US)
    assert dry_run(store, SEPTEMBER, TERMS, NOW_US).books.booked == 0


def test_a_dry_run_of_late_usage_and_of_a_correction_is_what_the_close_then_books(
    store: Store,
) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER_USAGE)
    closed(store)
    feed.send(usage("late", "5", team="A"), usage("own", "7", team="B", day="2026-11-04"))
    _same_as_shown(store, NOVEMBER, revision=1)
    reopen(store, OCTOBER, act(reason="usage was missing"))
    feed.send(usage("missing", "-2", team="B"))
    _same_as_shown(store, OCTOBER, revision=2)


def _same_as_shown(store: Store, period: Period, revision: int) -> None:
    """Line by line and number by number."""
    shown = dry_run(store, period, TERMS, AFTER_NOVEMBER_US)
    done = closed(store, period, now_us=AFTER_NOVEMBER_US).close
    billed = [row for row in issued(store, period) if row.revision == revision]
    assert shown.revision == done.revision == revision
    assert billed
    assert list(shown.books.invoices) == billed
    with store.read() as transaction:
        booked = bookings.of_close(transaction, period, revision)
    assert list(shown.owed) == [row.owed for row in booked]
    assert (shown.books.booked, shown.books.subtotal, shown.books.unallocated) == (
        done.booked,
        done.invoiced,
        done.unallocated,
    )


def test_months_before_the_first_period_are_closed_by_hand_in_any_order(store: Store) -> None:
    feed = Feed(store)
    august = Period(2026, 8)
    feed.send(usage("sep", "3", day="2026-09-04"), usage("aug", "2", day="2026-08-04"))
    feed.send(*_OCTOBER_USAGE)

    for month, cost in ((OCTOBER, 33_010_000_001), (SEPTEMBER, 3 * NANO), (august, 2 * NANO)):
        assert closed(store, month).close.booked == cost

    assert verify(store).clean


def test_a_month_is_closed_only_once_it_is_over(store: Store) -> None:
    with pytest.raises(PeriodNotOver, match="2026-12-01T00:00:00Z"):
        closed(store, NOVEMBER)


def test_no_month_is_closed_while_an_earlier_one_is_reopened(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)
    _reopen(store, SEPTEMBER)

    with pytest.raises(EarlierReopened, match="2026-09"):
        closed(store)


def test_only_one_month_is_closed_at_a_time(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)
    start_closing(store, SEPTEMBER, TERMS, act(), owner="another")

    with pytest.raises(CloseInProgress, match="2026-09 is being closed by another"):
        closed(store)


def test_a_close_by_hand_waits_for_ingest_unless_it_is_forced_with_a_reason(store: Store) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER_USAGE)
    note_ends(store, OCTOBER, lambda: {("usage-events", 0): 5}, NOW_US)
    with pytest.raises(IngestBehind, match="usage-events:0 at 4 of 5"):
        closed(store)
    with pytest.raises(ReasonMissing):
        close(store, OCTOBER, TERMS, act(), owner="closer", forced=True)

    # What the topic holds meanwhile is not asked for again.
    note_ends(store, OCTOBER, lambda: {("usage-events", 0): 500}, NOW_US)
    feed.send(usage("last"))
    assert not closed(store).closed_before


def test_a_forced_close_is_audited_with_its_reason(store: Store) -> None:
    Feed(store).send(*_OCTOBER_USAGE)
    note_ends(store, OCTOBER, lambda: {("usage-events", 0): 5}, NOW_US)

    done = close(
        store, OCTOBER, TERMS, act(reason="the topic is lost"), owner="closer", forced=True
    )

    assert (done.close.forced, done.close.reason) == (True, "the topic is lost")
    with store.read() as transaction:
        rows = audit.listed(transaction)
    assert [(row.action, row.reason) for row in rows] == [
        ("close", "the topic is lost"),
        ("close.force", "the topic is lost"),
    ]


def test_a_close_leaves_no_allocation_run_of_its_month(store: Store) -> None:
    """Reopened later, the month would show what was computed before it was closed."""
    Feed(store).send(*_OCTOBER_USAGE)
    assert allocate(store, OCTOBER, TERMS, act()) is not None
    closed(store)
    with store.read() as transaction:
        assert allocations.find(transaction, OCTOBER) is None


def test_a_close_says_how_long_deciding_and_the_rest_took_and_a_second_one_says_nothing(
    store: Store,
) -> None:
    Feed(store).send(usage("a", "10"))
    first, second = closed(store), closed(store)
    assert first.allocation_s > 0
    assert first.invoicing_s > 0
    assert second.closed_before
    assert second.allocation_s == second.invoicing_s == 0

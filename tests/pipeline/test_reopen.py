"""Reopening: a closed month takes usage again, and what it then books are differences."""

import pytest

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import Kind, LineKind, Status
from chargeback_worker.money import NANO, fixed
from chargeback_worker.period import Period
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.close import start_closing
from chargeback_worker.pipeline.closing.may_close import CloseInProgress, EarlierReopened
from chargeback_worker.pipeline.reopen import AwaitsApproval, NotClosed, reopen
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.store import Store, audit, bookings, origins, snapshots
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.periods import PeriodState
from tests.support.billing import MANUAL, NOW_US, asked, closed_by, given, reopened, sound
from tests.support.feed import Feed, usage
from tests.support.ledger import (
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    TERMS,
    act,
    issued,
    period_row,
    written,
)
from tests.support.made_months import everything

_AGREED = {
    "rule_id": "agreed",
    "rule_type": "fixed_split",
    "team_id": "T1",
    "split_percentages": {"team:T1": 60, "team:T2": 40},
}


def _team(name: str, cost: str, *, day: str = "2026-10-05", team: str = "T1") -> bytes:
    return usage(name, cost, day=day, team=team, user_id=None)


def _totals(store: Store, period: Period, revision: int) -> dict[str, str]:
    """What one close billed, by receiver."""
    return {
        row.receiver.key: fixed(row.subtotal, 2)
        for row in issued(store, period)
        if row.revision == revision and row.final
    }


def _conserved(store: Store, *months: Period) -> bool:
    """Each cost is booked once: by billing period and by origin."""
    with store.read() as transaction:
        for period in months:
            assert bookings.cost_in(transaction, period) == origins.cost_in(transaction, period)
            for origin in months:
                booked = bookings.cost_for(transaction, origin, [period])
                assert booked == origins.cost_for(transaction, origin, [period])
    return sound(store)


def test_only_the_difference_to_all_that_was_booked_is_billed(store: Store) -> None:
    """The last worked example of the specification."""
    feed = Feed(store)
    feed.send(_team("a", "100"))
    closed_by(store)
    given(store, "INV-202610-0001", Status.PAID)
    feed.send(_team("late", "5"))
    closed_by(store, period=NOVEMBER)
    before = written(store)
    reopened(store)
    save_rules(store, [_AGREED], act())

    found = closed_by(store)

    paid, credit, correction = found
    assert (paid.status, paid.total) == (Status.PAID, 100 * NANO)
    assert (credit.kind, credit.receiver.key, credit.total) == (Kind.CREDIT, "team:T1", -42 * NANO)
    assert credit.references == ("INV-202610-0001",)
    assert credit.due_date is None
    assert (correction.kind, correction.total) == (Kind.CORRECTION, 42 * NANO)
    assert [row.invoice_number for row in found] == [f"INV-202610-000{n}" for n in (1, 2, 3)]
    after = written(store)
    assert after["messages"][: len(before["messages"])] == before["messages"]
    assert _conserved(store, OCTOBER, NOVEMBER)


def test_a_reopened_month_takes_its_own_usage_again(store: Store) -> None:
    feed = Feed(store)
    feed.send(_team("a", "100"))
    closed_by(store)
    reopened(store)

    feed.send(_team("more", "7"))

    assert (period_row(store).state, period_row(store).revision) == (PeriodState.REOPENED, 2)
    closed_by(store)
    assert _totals(store, OCTOBER, 2) == {"team:T1": "7.00"}
    (line,) = issued(store)[1].lines
    assert line.kind is LineKind.USAGE
    assert _conserved(store, OCTOBER)


def test_reopened_and_closed_without_a_difference_it_bills_nothing(store: Store) -> None:
    feed = Feed(store)
    feed.send(_team("a", "100"))
    before = closed_by(store)
    reopened(store)

    assert closed_by(store) == before
    assert period_row(store).revision == 2
    keys = [(key, seq) for _, key, seq, _, _ in written(store)["messages"]]
    assert keys == [("team:T1", 1), ("2026-10", 1), ("2026-10", 2)]
    assert _conserved(store, OCTOBER)


def test_the_directory_is_taken_as_of_now_and_rules_written_before_are_not(store: Store) -> None:
    Feed(store).send(usage("a", "100", team=None, user_id="u1"))
    closed_by(store)
    save_rules(store, [{**_AGREED, "team_id": None}], act())
    apply_directory(store, {"teams": [{"team_id": "T1", "members": [{"user_id": "u1"}]}]}, act())
    reopened(store)

    closed_by(store)

    assert _totals(store, OCTOBER, 2) == {"team:T1": "100.00", "user:u1": "-100.00"}
    with store.read() as transaction:
        kept = snapshots.latest(transaction, OCTOBER)
    assert kept is not None
    assert (kept.directory.version, kept.rules) == (1, ())
    assert _conserved(store, OCTOBER)


def test_without_a_reason_no_month_is_reopened(store: Store) -> None:
    closed_by(store)
    before = everything(store)
    for reason in (None, "", "  "):
        with pytest.raises(ReasonMissing):
            reopen(store, OCTOBER, act(NOW_US, reason))
    assert everything(store) == before


def test_only_a_closed_month_is_reopened(store: Store) -> None:
    Feed(store).send(_team("a", "1"))
    closed_by(store, period=SEPTEMBER)
    reopened(store, SEPTEMBER)
    before = everything(store)
    # The last one has no row yet.
    for period, state in ((OCTOBER, "open"), (SEPTEMBER, "reopened"), (Period(2031, 1), "open")):
        with pytest.raises(NotClosed, match=f"{period} is {state}"):
            reopened(store, period)
    assert everything(store) == before


def test_no_month_is_reopened_while_any_is_being_closed(store: Store) -> None:
    closed_by(store)
    start_closing(store, NOVEMBER, TERMS, act(NOW_US), owner="another", lease_s=0)
    before = everything(store)
    for period in (OCTOBER, NOVEMBER):
        with pytest.raises(CloseInProgress):
            reopened(store, period)
    assert everything(store) == before


def test_a_month_is_not_reopened_before_its_drafts_are_approved_or_cancelled(
    store: Store,
) -> None:
    Feed(store).send(_team("a", "1"), _team("b", "1", team="T2"))
    first, second = closed_by(store, MANUAL)
    with pytest.raises(AwaitsApproval, match="2 drafts"):
        reopened(store)
    given(store, first.invoice_number, Status.PENDING)
    with pytest.raises(AwaitsApproval, match="1 draft "):
        reopened(store)
    given(store, second.invoice_number, Status.CANCELLED)

    reopened(store)

    assert period_row(store).state is PeriodState.REOPENED


def test_a_draft_of_an_open_month_does_not_keep_another_one_closed(store: Store) -> None:
    feed = Feed(store)
    feed.send(_team("a", "1"))
    closed_by(store)
    asked(store, "T1", period=NOVEMBER)
    reopened(store)
    assert period_row(store).state is PeriodState.REOPENED


def test_a_reopening_is_audited_with_its_reason(store: Store) -> None:
    closed_by(store)
    reopened(store)
    with store.read() as transaction:
        row = audit.listed(transaction)[0]
    assert (row.action, row.subject, row.reason) == (
        "reopen",
        "period:2026-10",
        "a price was wrong",
    )
    assert row.before == {"state": "closed", "revision": 1}
    assert row.after == {"state": "reopened", "revision": 2}


def test_two_months_reopened_at_once_close_in_order_and_every_cost_is_booked_once(
    store: Store,
) -> None:
    feed = Feed(store)
    feed.send(_team("a", "100"), _team("n", "10", day="2026-11-02"))
    closed_by(store)
    feed.send(_team("late", "5"))
    closed_by(store, period=NOVEMBER)
    reopened(store, NOVEMBER)
    # Of October, which is closed: this waits in November, reopened.
    feed.send(_team("later", "20"))
    reopened(store)
    feed.send(_team("own again", "1"))
    save_rules(store, [_AGREED], act())
    with pytest.raises(EarlierReopened):
        closed_by(store, period=NOVEMBER)

    closed_by(store)
    # 101 are October's own; what November has booked of it moves with what else waits there.
    assert _totals(store, OCTOBER, 2) == {"team:T1": "-39.40", "team:T2": "40.40"}
    feed.send(_team("after", "3"))
    closed_by(store, period=NOVEMBER)

    assert _conserved(store, OCTOBER, NOVEMBER)
    # 60/40 of its own 10, and of the 28 of October that it bills, of which T1 had paid 5.
    assert _totals(store, NOVEMBER, 2) == {"team:T1": "7.80", "team:T2": "15.20"}


@pytest.mark.parametrize("terms", [TERMS, Snapshot(tax_rate_nano=190_000_000)])
def test_close_late_close_reopen_close_late_again(store: Store, terms: Snapshot) -> None:
    feed = Feed(store)
    feed.send(_team("a", "100"))
    closed_by(store, terms)
    feed.send(_team("late", "5"))
    closed_by(store, terms, period=NOVEMBER)
    reopened(store)
    save_rules(store, [_AGREED], act())
    closed_by(store, terms)
    reopened(store, NOVEMBER)
    feed.send(_team("late again", "10"))

    closed_by(store, terms, period=NOVEMBER)

    found = {row.receiver.key: row for row in issued(store, NOVEMBER) if row.revision == 2}
    assert _totals(store, NOVEMBER, 2) == {"team:T1": "6.00", "team:T2": "4.00"}
    (line,) = found["team:T1"].lines
    assert (line.kind, line.origin) == (LineKind.ADJUSTMENT, OCTOBER)
    assert line.original_invoice == "INV-202610-0001"
    assert found["team:T1"].references == ("INV-202611-0001",)
    assert _conserved(store, OCTOBER, NOVEMBER)


def test_a_month_closed_again_and_again_stays_conserved(store: Store) -> None:
    feed = Feed(store)
    for revision in range(1, 6):
        feed.send(_team(f"own {revision}", f"{revision}.00{revision}"))
        closed_by(store)
        feed.send(_team(f"late {revision}", "0.004"))
        closed_by(store, period=NOVEMBER)
        assert _conserved(store, OCTOBER, NOVEMBER)
        reopened(store)
        reopened(store, NOVEMBER)
        rule = {**_AGREED, "split_percentages": {"team:T1": revision, "team:T2": 100 - revision}}
        save_rules(store, [rule], act())
    closed_by(store)
    closed_by(store, period=NOVEMBER)
    assert _conserved(store, OCTOBER, NOVEMBER)


def test_a_replacement_that_comes_after_a_correction_is_no_mismatch(store: Store) -> None:
    """A draft cancelled by its first close has no number until it is replaced, years later."""
    feed = Feed(store)
    feed.send(_team("a", "10"))
    (draft,) = closed_by(store, MANUAL)
    given(store, draft.invoice_number, Status.CANCELLED)
    reopened(store)
    feed.send(_team("own again", "1"))
    closed_by(store)
    feed.send(_team("late", "2"))
    (november,) = closed_by(store, period=NOVEMBER)
    assert november.lines[0].original_invoice == "INV-202610-0001"

    made = asked(store, "T1").invoice

    assert (made.revision, made.invoice_number) == (1, "INV-202610-0002")
    assert _conserved(store, OCTOBER, NOVEMBER)


def test_the_first_invoice_of_a_month_may_come_after_its_late_usage_was_billed(
    store: Store,
) -> None:
    feed = Feed(store)
    feed.send(_team("a", "10"))
    (draft,) = closed_by(store, MANUAL)
    given(store, draft.invoice_number, Status.CANCELLED)
    reopened(store)
    closed_by(store)
    feed.send(_team("late", "2"))
    (november,) = closed_by(store, period=NOVEMBER)
    assert november.lines[0].original_invoice is None

    assert asked(store, "T1").invoice.invoice_number == "INV-202610-0001"
    assert sound(store)

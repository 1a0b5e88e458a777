"""What the metrics show of the books, from stored rows alone."""

from datetime import timedelta

from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.money import NANO
from chargeback_worker.period import to_us
from chargeback_worker.pipeline.change_status import change_status
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.reports.figures import figures
from chargeback_worker.store import Store, installation
from chargeback_worker.usage.event import Grain
from tests.support.feed import Feed, usage
from tests.support.ledger import NOVEMBER, NOW_US, OCTOBER, TERMS, act, closed

DELAY = timedelta(hours=48)


def test_a_month_without_usage_is_overdue_like_any_other(store: Store) -> None:
    with store.begin() as transaction:
        installation.settle_grain(transaction, Grain("Asia/Kolkata", ()))
        installation.settle_first_period(transaction, None, OCTOBER)
    ends, _ = NOVEMBER.bounds(Grain("Asia/Kolkata", ()).zone())
    due_us = to_us(ends + DELAY)

    def since(now_us: int) -> int | None:
        return figures(store, now_us, DELAY).overdue_since_us

    assert since(due_us) is None
    assert since(due_us + 1) == due_us


def test_a_reopened_month_that_takes_usage_is_no_difference_in_the_books(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", "10"))
    closed(store)
    reopen(store, OCTOBER, act(reason="usage is missing"))
    feed.send(usage("b", "3"), usage("c", "1", day="2026-11-05"))

    found = figures(store, NOW_US, DELAY)

    assert found.reconciliation_difference == 0
    assert found.open.booked == 4 * NANO


def test_what_a_cancelled_invoice_billed_is_shown_as_uninvoiced(store: Store) -> None:
    Feed(store).send(usage("a", "10"))
    closed(store)
    change_status(store, "INV-202610-0001", Status.CANCELLED, TERMS, act(reason="wrong"))

    found = figures(store, NOW_US, DELAY)

    assert (found.last_closed.invoiced, found.last_closed.uninvoiced) == (0, 10 * NANO)
    assert found.reconciliation_difference == 0


def test_totals_are_counted_of_what_is_open_and_of_the_month_closed_last(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", "10"), usage("b", "1"), usage("c", "1", team="V"))
    assert figures(store, NOW_US, DELAY).last_closed_totals == 0
    closed(store)
    feed.send(*(usage(f"{day}", "1", day=f"2026-11-{day}") for day in ("05", "06", "07")))

    found = figures(store, NOW_US, DELAY)

    assert (found.open_totals, found.last_closed_totals) == (3, 2)


def test_conflicts_are_counted_whichever_door_they_came_by(store: Store) -> None:
    feed = Feed(store)
    assert figures(store, NOW_US, DELAY).conflict_events == 0
    feed.send(usage("a", "10"), usage("b", "1"))
    feed.send(usage("a", "11"))
    Feed(store, partition=1).send(usage("b", "2"), usage("b", "1"))

    assert figures(store, NOW_US, DELAY).conflict_events == 2

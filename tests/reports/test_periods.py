"""What is said of each month: its money, and what it waits for."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from chargeback_worker.invoicing.document import encode
from chargeback_worker.money import NANO
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline import close as close_step
from chargeback_worker.pipeline.close import start_closing
from chargeback_worker.pipeline.due import note_ends
from chargeback_worker.reports.periods import PeriodStanding, list_periods, period_standings
from chargeback_worker.store import Store
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.tables import invoice, outbox
from tests.support.feed import Feed, set_state, usage
from tests.support.ledger import NOVEMBER, NOW_US, OCTOBER, SEPTEMBER, TERMS, act, closed

DELAY = timedelta(hours=48)
IN_DELAY_US = to_us(datetime(2026, 11, 2, tzinfo=UTC))


@pytest.fixture
def feed(store: Store) -> Feed:
    """Its first period is October."""
    feed = Feed(store)
    feed.send(usage("a", "1.004", team="A"), usage("n", "4", team=None, user_id=None))
    return feed


def _standing(feed: Feed, period: Period = OCTOBER, now_us: int = NOW_US) -> PeriodStanding:
    found = period_standings(feed.store, now_us=now_us, close_delay=DELAY)
    return next(standing for standing in found if standing.row.period == period)


def test_the_money_of_a_closed_month_is_all_there(feed: Feed) -> None:
    closed(feed.store)
    feed.send(usage("late", "2"), usage("own", "3", day="2026-11-05"))

    done, following = _standing(feed), _standing(feed, NOVEMBER)

    assert (done.used, done.booked) == (5_004_000_000, 5_004_000_000)
    assert (done.invoiced, done.uninvoiced, done.unallocated) == (NANO, 0, 4 * NANO)
    assert (done.invoices, done.late_records) == (1, 0)
    assert (following.used, following.booked, following.late_records) == (5 * NANO, 0, 1)
    with feed.store.begin() as transaction:
        transaction.execute(sa.update(invoice).values(status="cancelled"))
    done = _standing(feed)
    assert (done.invoiced, done.uninvoiced) == (0, NANO)


def test_a_month_says_what_it_waits_for(feed: Feed) -> None:
    store = feed.store
    feed.send(usage("s", day="2026-09-04"), usage("o", day="2026-11-04"))

    assert _standing(feed, NOVEMBER).waits_for == ("its end, 2026-12-01T00:00:00Z",)
    assert _standing(feed, SEPTEMBER).waits_for == (
        "chargeback close 2026-09, as it is before billing.first_period 2026-10",
    )
    assert _standing(feed, now_us=IN_DELAY_US).waits_for == (
        "late events, until 2026-11-03T00:00:00Z (billing.close_delay)",
    )
    assert _standing(feed).waits_for == ()
    note_ends(store, OCTOBER, lambda: {("usage-events", 0): 9}, NOW_US)
    assert _standing(feed).waits_for == ("ingest, usage-events:0 at 4 of 9",)
    later = _standing(feed, NOVEMBER, to_us(datetime(2027, 1, 1, tzinfo=UTC)))
    assert later.waits_for == ("2026-10, which is not closed",)
    start_closing(store, SEPTEMBER, TERMS, act(), owner="somebody")
    (waiting,) = _standing(feed, SEPTEMBER).waits_for
    assert waiting.startswith("somebody, who is closing it until 2")


def test_a_close_that_failed_is_told_with_its_fault(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(close_step, "finish_closing", fail)
        with pytest.raises(RuntimeError):
            closed(feed.store)

    standing = _standing(feed)
    assert standing.row.state is PeriodState.OPEN
    assert standing.waits_for == ("another try after 1 that failed: RuntimeError('a bug')",)
    (row, *_) = list_periods(feed.store, now_us=NOW_US, close_delay=DELAY)["periods"]
    assert (row["failures"], row["failure"]) == (1, "RuntimeError('a bug')")
    closed(feed.store)
    assert (_standing(feed).row.failures, _standing(feed).row.failure) == (0, None)


def test_a_reopened_month_waits_for_a_person_and_holds_up_the_others(feed: Feed) -> None:
    feed.send(usage("s", day="2026-09-04"))
    set_state(feed.store, SEPTEMBER, "reopened")

    assert _standing(feed, SEPTEMBER).waits_for == ("chargeback close 2026-09, as it is reopened",)
    assert _standing(feed).waits_for == ("2026-09, which is not closed",)


def test_a_closed_month_says_what_is_still_to_be_published(feed: Feed) -> None:
    closed(feed.store)
    assert _standing(feed).waits_for == ("2 messages to be published",)

    with feed.store.begin() as transaction:
        transaction.execute(
            sa.update(outbox).where(outbox.c.key == "team:A").values(parked="too large")
        )
    standing = _standing(feed)
    assert (standing.unpublished, standing.parked) == (2, 1)
    assert standing.waits_for == (
        "1 message that the broker refuses (chargeback outbox list --parked), so that its end is"
        " not announced",
        "1 message to be published",
    )


def test_the_list_is_newest_first_with_exact_amounts(feed: Feed) -> None:
    feed.send(usage("o", day="2026-11-04"))

    document = list_periods(feed.store, now_us=NOW_US, close_delay=DELAY)

    assert [row["period"] for row in document["periods"]] == ["2026-11", "2026-10"]
    assert b'"usage_cost_usd":5.004,' in encode(document)

"""What the scheduler is told each time it asks: what to close now, or what that waits for."""

from datetime import UTC, datetime, timedelta

import pytest

from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline import close as close_step
from chargeback_worker.pipeline.close import start_closing
from chargeback_worker.pipeline.due import Cause, Due, Waiting, due, note_ends
from chargeback_worker.store import Store, periods
from tests.support.feed import Feed, set_state, usage
from tests.support.ledger import (
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    TERMS,
    act,
    closed,
    period_row,
    set_lease,
)

DELAY = timedelta(hours=48)
DUE_US = to_us(datetime(2026, 11, 3, tzinfo=UTC))
DECEMBER = to_us(datetime(2026, 12, 20, tzinfo=UTC))
TOPIC = "usage-events"


class Ends:
    """The ends of the topic's partitions; how often they were asked for."""

    def __init__(self) -> None:
        self.end = 0
        self.asked = 0

    def __call__(self) -> dict[tuple[str, int], int]:
        self.asked += 1
        return {(TOPIC, 0): self.end}


@pytest.fixture
def feed(store: Store) -> Feed:
    """The first period of its store is October."""
    return Feed(store)


def _ask(feed: Feed, now_us: int, ends: Ends | None = None) -> Due | Waiting | None:
    return due(feed.store, now_us, DELAY, ends or Ends())


def test_a_month_is_due_at_its_end_and_the_delay(feed: Feed) -> None:
    assert _ask(feed, DUE_US - 1) is None
    assert _ask(feed, DUE_US) == Due(OCTOBER)


def test_missed_months_are_caught_up_in_order_also_those_without_usage(feed: Feed) -> None:
    feed.send(usage("a", day="2026-11-04"))
    found = []
    while isinstance(answer := _ask(feed, DECEMBER), Due):
        found.append(answer.period)
        closed(feed.store, answer.period, now_us=DECEMBER)

    assert answer is None
    assert found == [OCTOBER, NOVEMBER]


def test_a_month_before_the_first_period_never_becomes_due(feed: Feed) -> None:
    feed.send(usage("a", day="2026-09-04"))

    assert _ask(feed, DUE_US) == Due(OCTOBER)


def test_a_due_month_waits_until_ingest_has_come_as_far_as_the_topic_was(feed: Feed) -> None:
    ends = Ends()
    ends.end = 2
    feed.send(usage("a"))

    answer = _ask(feed, DUE_US, ends)
    assert answer == Waiting(
        OCTOBER, Cause.INGEST, "usage is still being read: usage-events:0 at 1 of 2"
    )
    # The topic goes on, and what comes from now on is not waited for.
    ends.end = 50
    feed.send(usage("b"))
    assert _ask(feed, DUE_US, ends) == Due(OCTOBER)
    assert ends.asked == 1


def test_a_partition_that_nobody_has_read_yet_is_waited_for(feed: Feed) -> None:
    ends = Ends()
    ends.end = 1

    answer = _ask(feed, DUE_US, ends)

    assert isinstance(answer, Waiting)
    assert answer.cause is Cause.INGEST


def test_what_a_hand_noted_before_the_month_was_due_is_noted_again(feed: Feed) -> None:
    ends = Ends()
    note_ends(feed.store, OCTOBER, ends, DUE_US - 1)
    ends.end = 1

    answer = _ask(feed, DUE_US, ends)

    assert isinstance(answer, Waiting)
    assert ends.asked == 2


def test_nothing_is_noted_of_a_month_that_is_not_over(feed: Feed) -> None:
    ends = Ends()

    note_ends(feed.store, NOVEMBER, ends, DUE_US)

    assert ends.asked == 0


def test_a_close_under_way_is_waited_for_and_a_killed_one_is_finished(feed: Feed) -> None:
    start_closing(feed.store, SEPTEMBER, TERMS, act(), owner="another")

    answer = _ask(feed, DUE_US)
    assert isinstance(answer, Waiting)
    assert (answer.period, answer.cause) == (SEPTEMBER, Cause.CLOSING)

    set_lease(feed.store, SEPTEMBER, lasting_s=0)
    assert _ask(feed, DUE_US) == Due(SEPTEMBER)


@pytest.mark.parametrize("reopened", [SEPTEMBER, OCTOBER])
def test_a_reopened_month_holds_up_what_comes_after_it(feed: Feed, reopened: Period) -> None:
    set_state(feed.store, reopened, "reopened")

    answer = _ask(feed, DECEMBER)

    assert isinstance(answer, Waiting)
    assert (answer.period, answer.cause) == (OCTOBER, Cause.REOPENED)


def test_a_failed_close_is_tried_again_after_a_while(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(close_step, "finish_closing", fail)
        with pytest.raises(RuntimeError):
            closed(feed.store)

    answer = _ask(feed, DUE_US)
    assert isinstance(answer, Waiting)
    assert answer.cause is Cause.RETRY
    assert "RuntimeError('a bug')" in answer.detail
    with feed.store.begin() as transaction:
        row = periods.find(transaction, OCTOBER)
        assert row is not None
        assert periods.start_closing(transaction, row, "hand", transaction.now_us() + 1)
        assert periods.give_up_closing(
            transaction, OCTOBER, "hand", fault="again", retry_us=transaction.now_us()
        )
    assert period_row(feed.store).failures == 2
    assert _ask(feed, DUE_US) == Due(OCTOBER)

"""The poke of the scheduler role."""

import threading

from chargeback_worker.broker.errors import BrokerUnreachable
from chargeback_worker.errors import NotFound
from chargeback_worker.metrics import Metrics
from chargeback_worker.period import Period
from chargeback_worker.pipeline.closing.held import BooksHeld
from chargeback_worker.store.holds import Hold
from chargeback_worker.worker.scheduler import Scheduler

HELD = BooksHeld(Hold(0, ("the topic is ahead",)))


def _as_ever() -> None:
    """The books are those of their topics."""


def test_a_poke_closes_all_that_is_due() -> None:
    due = [Period(2026, 2), Period(2026, 1)]
    scheduler = Scheduler(lambda: due.pop() if due else None, lambda: 0, Metrics("test"), _as_ever)
    scheduler.poke()
    assert not due


def test_a_poke_marks_all_that_is_overdue_also_where_a_close_fails() -> None:
    left = [7, 1000, 1000]
    metrics = Metrics("test")

    def fails() -> Period:
        raise NotFound("no such thing", "look elsewhere")

    Scheduler(fails, lambda: left.pop() if left else 0, metrics, _as_ever).poke()

    assert not left
    assert metrics.close_failures._value.get() == 1


def test_a_close_is_tried_also_where_marking_fails() -> None:
    due = [Period(2026, 1)]
    metrics = Metrics("test")

    def fails() -> int:
        raise ValueError

    Scheduler(lambda: due.pop() if due else None, fails, metrics, _as_ever).poke()

    assert not due
    assert metrics.close_failures._value.get() == 0


def test_a_worker_that_ends_begins_no_further_close() -> None:
    stop = threading.Event()
    closed: list[Period] = []

    def close_due() -> Period:
        # There is always another month; the role is asked to end during the first.
        closed.append(Period(2026, 1))
        stop.set()
        scheduler._ending.wait(30)
        return closed[-1]

    scheduler = Scheduler(close_due, lambda: 0, Metrics("test"), _as_ever)
    role = threading.Thread(target=scheduler.run, args=(stop, lambda waits_for=None: None))
    role.start()
    role.join(30)
    assert not role.is_alive()
    assert len(closed) == 1


def test_nothing_is_closed_nor_told_before_the_books_are_compared_with_their_topics() -> None:
    due, left = [Period(2026, 1)], [7]
    refusals = [BrokerUnreachable("memory", "it is away"), ValueError(), HELD]
    metrics = Metrics("test")
    said: list[str | None] = []

    def compare() -> None:
        if refusals:
            raise refusals.pop()

    scheduler = Scheduler(
        lambda: due.pop() if due else None, lambda: left.pop() if left else 0, metrics, compare
    )
    for _ in range(3):
        scheduler.poke()
        said.append(scheduler._trouble)
        assert due
        assert left
    assert "chargeback db resume" not in str(said[2])
    assert "older than their topics: the topic is ahead" in str(said[0])
    # It waits for a person or for the broker; no close has failed.
    assert metrics.close_failures._value.get() == 0
    scheduler.poke()
    assert (due, left, scheduler._trouble) == ([], [], None)


def test_after_a_failure_the_books_are_compared_again() -> None:
    compared: list[None] = []
    fails = [NotFound("no such thing", "look elsewhere")]

    def close_due() -> None:
        if fails:
            raise fails.pop()

    scheduler = Scheduler(close_due, lambda: 0, Metrics("test"), lambda: compared.append(None))
    for _ in range(4):
        scheduler.poke()
    assert len(compared) == 2

"""The poke of the scheduler role."""

import threading

from chargeback_worker.errors import NotFound
from chargeback_worker.metrics import Metrics
from chargeback_worker.period import Period
from chargeback_worker.worker.scheduler import Scheduler


def test_a_poke_closes_all_that_is_due() -> None:
    due = [Period(2026, 2), Period(2026, 1)]
    scheduler = Scheduler(lambda: due.pop() if due else None, lambda: 0, Metrics("test"))
    scheduler.poke()
    assert not due


def test_a_poke_marks_all_that_is_overdue_also_where_a_close_fails() -> None:
    left = [7, 1000, 1000]
    metrics = Metrics("test")

    def fails() -> Period:
        raise NotFound("no such thing", "look elsewhere")

    Scheduler(fails, lambda: left.pop() if left else 0, metrics).poke()

    assert not left
    assert metrics.close_failures._value.get() == 1


def test_a_close_is_tried_also_where_marking_fails() -> None:
    due = [Period(2026, 1)]
    metrics = Metrics("test")

    def fails() -> int:
        raise ValueError

    Scheduler(lambda: due.pop() if due else None, fails, metrics).poke()

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

    scheduler = Scheduler(close_due, lambda: 0, Metrics("test"))
    role = threading.Thread(target=scheduler.run, args=(stop, lambda waits_for=None: None))
    role.start()
    role.join(30)
    assert not role.is_alive()
    assert len(closed) == 1

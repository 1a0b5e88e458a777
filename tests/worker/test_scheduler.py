"""The poke of the scheduler role."""

import threading

from chargeback_worker.metrics import Metrics
from chargeback_worker.period import Period
from chargeback_worker.worker.scheduler import PeriodCloser


def test_a_poke_closes_all_that_is_due() -> None:
    due = [Period(2026, 2), Period(2026, 1)]
    closer = PeriodCloser(lambda: due.pop() if due else None, Metrics("test"))
    closer.poke()
    assert not due


def test_a_worker_that_ends_begins_no_further_close() -> None:
    stop = threading.Event()
    closed: list[Period] = []

    def close_due() -> Period:
        # There is always another month; the role is asked to end during the first.
        closed.append(Period(2026, 1))
        stop.set()
        closer._ending.wait(30)
        return closed[-1]

    closer = PeriodCloser(close_due, Metrics("test"))
    role = threading.Thread(target=closer.run, args=(stop, lambda waits_for=None: None))
    role.start()
    role.join(30)
    assert not role.is_alive()
    assert len(closed) == 1

"""The scheduler role: a poke every half minute; the database says what is due.

APScheduler is no source of truth here: a missed or doubled poke changes nothing, months that were
missed are caught up in their order, and the clocks going back closes nothing twice.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from chargeback_worker.errors import ChargebackError
from chargeback_worker.metrics import Metrics
from chargeback_worker.period import Period
from chargeback_worker.worker.lifecycle import Beat

_log = structlog.get_logger(__name__)

POKE_S = 30


class PeriodCloser:
    """`close_due` closes the next period that is due and returns it, or None if none is."""

    def __init__(self, close_due: Callable[[], Period | None], metrics: Metrics) -> None:
        self._close_due = close_due
        self._metrics = metrics
        self._trouble: str | None = None
        self._busy = threading.Event()
        self._ending = threading.Event()

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Poke until `stop`. A close that goes on is waited for."""
        # Pokes run on the scheduler's own thread, a daemon: the interpreter waits for the threads
        # of a pool at its end, and a close that hangs would keep the process from ending.
        scheduler = BackgroundScheduler(timezone=UTC, executors={"default": DebugExecutor()})
        scheduler.add_job(
            self.poke,
            "interval",
            seconds=POKE_S,
            next_run_time=datetime.now(UTC),
            coalesce=True,
            max_instances=1,
            # A poke that comes late is still worth making.
            misfire_grace_time=None,
        )
        scheduler.start()
        try:
            while not stop.wait(1.0):
                # A close that hangs must look stuck, so only an idle role beats from here.
                if not self._busy.is_set():
                    beat(self._trouble)
        finally:
            self._ending.set()
            scheduler.shutdown(wait=True)

    def poke(self) -> None:
        """Close all that is due, oldest first. Never raises: the next poke tries again."""
        self._busy.set()
        try:
            while not self._ending.is_set() and (closed := self._close_due()) is not None:
                _log.info("period closed", action="period_closed", period=str(closed))
            self._trouble = None
        except ChargebackError as error:
            self._trouble = str(error)
            self._metrics.close_failures.inc()
            _log.warning("period not closed", action="close_failed", error=str(error))
        except Exception:
            self._trouble = "a person: closing failed, see the log"
            self._metrics.close_failures.inc()
            _log.exception("period not closed", action="close_failed")
        finally:
            self._busy.clear()

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
from chargeback_worker.pipeline.close import CloseResult
from chargeback_worker.worker.lifecycle import Beat

_log = structlog.get_logger(__name__)

POKE_S = 30


class Scheduler:
    """`close_due` closes the next period that is due, or finds that another has, and returns the
    close; None if none is. `mark_overdue` makes some invoices overdue and returns how many.
    Neither is called before `compare` has found that the books are those of their topics: it raises
    if not, or if it cannot tell."""

    def __init__(
        self,
        close_due: Callable[[], CloseResult | None],
        mark_overdue: Callable[[], int],
        metrics: Metrics,
        compare: Callable[[], None],
    ) -> None:
        self._compare = compare
        self._compared = False
        self._close_due = close_due
        self._mark_overdue = mark_overdue
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
        """Do all that is due, periods oldest first. Never raises: the next poke tries again."""
        self._busy.set()
        self._trouble = None
        try:
            if not self._compared and not self._try(self._compare, "closing waits", "closing_held"):
                return
            # An overdue invoice does not wait for a period that cannot be closed.
            marked = self._try(self._mark_all_overdue, "invoices not overdue", "overdue_failed")
            closed = self._try(self._close_all, "period not closed", "close_failed")
            # What failed may be the database, and another may have taken its place.
            self._compared = marked and closed
        finally:
            self._busy.clear()

    def _close_all(self) -> None:
        while not self._ending.is_set() and (done := self._close_due()) is not None:
            facts = {"period": str(done.close.period), "revision": done.close.revision}
            if done.closed_before:
                # It was due when it was asked for; whoever closed it since has said so.
                _log.info("period found closed", action="period_found_closed", **facts)
            else:
                _log.info("period closed", action="period_closed", **facts)
                self._metrics.closed(done.allocation_s, done.invoicing_s)

    def _mark_all_overdue(self) -> None:
        while not self._ending.is_set() and (count := self._mark_overdue()):
            _log.info("invoices overdue", action="invoices_overdue", count=count)

    def _try(self, do: Callable[[], None], what: str, action: str) -> bool:
        try:
            do()
        except ChargebackError as error:
            self._trouble = str(error)
            _log.warning(what, action=action, error=str(error))
        except Exception:
            self._trouble = f"a person: {what}, see the log"
            _log.exception(what, action=action)
        else:
            return True
        return False

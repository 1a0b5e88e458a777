"""A start without a broker: roles begin once it answers, and say meanwhile that they wait for it.

One thread asks, however many roles wait: an answer that does not come takes many seconds, in which
a role that asked for itself could not be ended.
"""

import threading
from collections.abc import Callable
from dataclasses import replace

import structlog

from chargeback_worker.errors import Unavailable
from chargeback_worker.worker.lifecycle import BackOff, Beat, Role

_log = structlog.get_logger(__name__)

_LOOK_S = 0.5


class Start:
    """`check` raises Unavailable while no role can begin, anything else where none ever can."""

    def __init__(self, check: Callable[[], None], waits_for: Unavailable) -> None:
        self._check = check
        self._waits_for = str(waits_for)
        self._there = threading.Event()
        self._given_up = threading.Event()
        self._fault: BaseException | None = None
        _log.warning("waiting at the start", action="start_waits", error=self._waits_for)
        threading.Thread(target=self._look, name="start", daemon=True).start()

    def before(self, role: Role) -> Role:
        """The same role, which waits for that. What no waiting mends ends it as its own error."""

        def run(stop: threading.Event, beat: Beat) -> None:
            while not self._there.is_set():
                if stop.is_set():
                    self._given_up.set()
                    return
                beat(self._waits_for)
                self._there.wait(_LOOK_S)
            if self._fault is not None:
                raise self._fault
            role.run(stop, beat)

        return replace(role, run=run)

    def _look(self) -> None:
        back_off = BackOff()
        while not self._given_up.is_set():
            try:
                self._check()
            except Unavailable as error:
                self._waits_for = str(error)
                self._given_up.wait(back_off.next_s())
                continue
            except Exception as error:
                self._fault = error
            break
        self._there.set()

"""Starts the roles of a process as threads, watches them, and ends them in order.

The main thread only owns signals and waits. A role that ends unasked ends the process; one that is
stuck ends it at once, with the stacks of all threads, so that another process can take over.
"""

import faulthandler
import os
import queue
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol

import structlog

from chargeback_worker.errors import ChargebackError
from chargeback_worker.worker.health import Health

_log = structlog.get_logger(__name__)

STUCK_EXIT_CODE = 70
# Those who send SIGTERM wait for about half a minute before they send SIGKILL.
END_S = 26.0
_LEAST_DRAIN_S = 2.0
_WATCH_S = 0.5
_BACK_OFF_FIRST_S = 0.1
_BACK_OFF_MOST_S = 5.0


class Beat(Protocol):
    """Tells that a role is alive, and what it waits for if it does."""

    def __call__(self, waits_for: str | None = None) -> None: ...


@dataclass(slots=True)
class BackOff:
    """How long to wait after the nth failure in a row: doubling, with jitter, bounded."""

    failures: int = 0

    def next_s(self) -> float:
        self.failures = min(self.failures + 1, 10)
        most = min(_BACK_OFF_MOST_S, _BACK_OFF_FIRST_S * 2.0 ** (self.failures - 1))
        return most * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.failures = 0


@dataclass(frozen=True, slots=True)
class Role:
    """`run` works until the event is set, and beats meanwhile. `drain_s` is what it has to end."""

    name: str
    run: Callable[[threading.Event, Beat], None]
    drain_s: float = 15.0
    stuck_after_s: float = 600.0


@dataclass(slots=True)
class _Running:
    role: Role
    stop: threading.Event
    thread: threading.Thread
    error: list[BaseException] = field(default_factory=list)


class RoleEnded(RuntimeError):
    """A role returned without being asked to."""


def run_roles(
    roles: Sequence[Role], health: Health, *, patient: bool = False
) -> BaseException | None:
    """Run until a signal, or until a role ends. Roles are ended in their order, first to last.

    Returns None after a signal, else what ended the role. A second signal ends the process at once,
    unless it is `patient`.
    """
    asked = Asked(patient=patient)
    running = [_start(role, health) for role in roles]
    failed = _watch(running, health, asked)
    _log.info("stopping", action="stopping")
    _end(running)
    if failed is None:
        return None
    return failed.error[0] if failed.error else RoleEnded(f"the role {failed.role.name} ended")


class Asked:
    """Whether a signal has asked us to end. A second one ends us at once, unless we are `patient`:
    a watched process may hear the same wish from its parent and from whoever signals both.

    An Event will not do: its `set` takes a lock that the `wait` which the signal interrupts may
    hold, in the same thread, and both then wait for ever. A SimpleQueue may be put to from there.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._once = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def wait(self, timeout_s: float) -> bool:
        try:
            self._signals.get(timeout=timeout_s)
        except queue.Empty:
            return False
        return True

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._once and not self._patient:
            os._exit(128 + number)
        self._once = True
        self._signals.put(number)


def _start(role: Role, health: Health) -> _Running:
    stop = threading.Event()

    def beat(waits_for: str | None = None) -> None:
        health.beat(role.name, waits_for)

    def body() -> None:
        try:
            role.run(stop, beat)
        except BaseException as error:
            running.error.append(error)

    running = _Running(role, stop, threading.Thread(target=body, name=role.name, daemon=True))
    health.beat(role.name, "its start")
    running.thread.start()
    return running


def _watch(running: Sequence[_Running], health: Health, asked: Asked) -> _Running | None:
    """Wait for a signal (None) or for the first role that ends by itself."""
    limits = {one.role.name: one.role.stuck_after_s for one in running}
    while not asked.wait(_WATCH_S):
        for one in running:
            if not one.thread.is_alive():
                fault = one.error[0] if one.error else None
                # What is no refusal of ours is a bug, and its place is wanted.
                trace = None if isinstance(fault, ChargebackError) else fault
                _log.error("role ended", action="role_ended", role=one.role.name, exc_info=trace)
                return one
        for seen in health.roles():
            if seen.age_s > limits.get(seen.role, float("inf")):
                _log.critical("role is stuck", action="stuck", role=seen.role, age_s=seen.age_s)
                faulthandler.dump_traceback(sys.stderr)
                os._exit(STUCK_EXIT_CODE)
    return None


def _end(running: Sequence[_Running]) -> None:
    """End the roles one after the other. One that waits for a database or a broker that does not
    answer is cut off: whatever it was doing is done again by the next process, or by another."""
    ends_s = time.monotonic() + END_S
    for number, one in enumerate(running, start=1):
        one.stop.set()
        left_s = ends_s - time.monotonic() - _LEAST_DRAIN_S * (len(running) - number)
        until_s = time.monotonic() + max(_LEAST_DRAIN_S, min(one.role.drain_s, left_s))
        while one.thread.is_alive() and time.monotonic() < until_s:
            # In slices: a signal that comes just before a wait is only heard after it.
            one.thread.join(_WATCH_S)
        if one.thread.is_alive():
            _log.warning("role did not end in time", action="drain_timeout", role=one.role.name)


def monotonic_s() -> float:
    """The clock of `Health` outside tests."""
    return time.monotonic()

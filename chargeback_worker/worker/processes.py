"""Runs the same worker as several processes: starts them, watches them, and ends them together.

Each child has a pipe from its parent as stdin, and ends when that closes: so none outlives a parent
that was killed, on any system, and whatever holds the pipe's other end is the parent itself.
"""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import structlog

from chargeback_worker.worker.lifecycle import END_S, Asked, BackOff

_log = structlog.get_logger(__name__)

ORPHANED_EXIT_CODE = 71
_WATCH_S = 0.1
# A child that worked for so long is not said to fail in a row.
_SETTLED_S = 60.0
# A child bounds its end itself; what it does after that (closing connections) is quick.
_AFTER_END_S = 2.0


def run_processes(commands: Sequence[Sequence[str]], *, hopeless: Collection[int]) -> int | None:
    """Run a process for each command until a signal; one that ends by itself is started again.

    Returns None after a signal, else the exit code that is among the `hopeless`: those that say
    that it would only end so again. A second signal ends this process at once, and with it all.
    """
    asked = Asked()
    children = [_Child(number, command) for number, command in enumerate(commands)]
    code = _watch(children, asked, hopeless)
    _log.info("stopping", action="stopping")
    _end(children)
    return code


def end_with_parent(pipe: int = 0) -> None:
    """In a child: end at once when the parent is gone. Nothing is lost by it, and whoever starts
    the parent again finds ports and names free."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(pipe, 1):
                pass
        os._exit(ORPHANED_EXIT_CODE)

    threading.Thread(target=wait, name="parent", daemon=True).start()


@dataclass(slots=True)
class _Child:
    """One command, and the process that runs it if there is one; else when there will be."""

    number: int
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    at_s: float = 0.0
    back_off: BackOff = field(default_factory=BackOff)

    def start(self) -> None:
        try:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE)
        except OSError as error:
            # Too many processes, or no memory for one more: that may pass.
            self._later("worker not started", error=str(error))
            return
        self.at_s = time.monotonic()
        _log.info(
            "worker process started",
            action="worker_started",
            worker=self.number,
            pid=self.process.pid,
        )

    def ended(self) -> int | None:
        """The exit code of a process that has ended since the last look."""
        if self.process is None:
            return None
        code = self.process.poll()
        if code is None:
            if time.monotonic() - self.at_s > _SETTLED_S:
                self.back_off.reset()
            return None
        self._forget()
        self._later("worker process ended", code=code)
        return code

    def end(self, until_s: float) -> None:
        """Wait for an end that was asked for, and take it by force when the time is over."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("worker did not end in time", action="drain_timeout", worker=self.number)
            self.process.kill()
            self.process.wait()
        self._forget()

    def _forget(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = None

    def _later(self, event: str, **facts: object) -> None:
        wait_s = self.back_off.next_s()
        self.at_s = time.monotonic() + wait_s
        _log.warning(
            event, action="worker_ended", worker=self.number, again_in_s=round(wait_s, 2), **facts
        )


def _watch(children: Sequence[_Child], asked: Asked, hopeless: Collection[int]) -> int | None:
    """Wait for a signal (None), or for an end that a new start would not mend."""
    wait_s = 0.0
    while not asked.wait(wait_s):
        for child in children:
            code = child.ended()
            if code in hopeless:
                return code
            if child.process is None and time.monotonic() >= child.at_s:
                child.start()
        wait_s = _WATCH_S
    return None


def _end(children: Sequence[_Child]) -> None:
    for child in children:
        if child.process is not None:
            child.process.terminate()
    until_s = time.monotonic() + END_S + _AFTER_END_S
    for child in children:
        child.end(until_s)

"""A process that has the whole program in memory and becomes worker after worker, by fork.

To start an interpreter and import the program takes longer than most workers of these rows live.

python -m tests.faults.nursery: each line on stdin asks for a worker; lines on stdout tell the
number of its process, and later how it ended.
"""

import atexit
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from chargeback_worker import cli

_ROOT = Path(__file__).parents[2]
_CHARGEBACK = "chargeback_worker"
_PROGRAMS = (
    "tests.faults.quick_worker",
    "tests.faults.failing_worker",
    "tests.faults.racing_closer",
)
_BORN_WITHIN_S = 60.0


class Born:
    """One of its children, to be treated as a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended = threading.Event()
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self._code is not None
        return self._code

    def send_signal(self, number: int) -> None:
        # It may have ended, and nobody has told us yet.
        with suppress(ProcessLookupError):
            if self._code is None:
                os.kill(self.pid, number)

    def end(self, code: int) -> None:
        self._code = code
        self._ended.set()


class Nursery:
    """The process, from here. Several threads may ask it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._asking = threading.Lock()
        self._told = threading.Condition()
        self._born: list[Born] = []
        self._by_pid: dict[int, Born] = {}
        self._listening = threading.Thread(target=self._listen, name="nursery", daemon=True)
        self._listening.start()

    def born(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Born:
        """A new worker that runs that program with those arguments."""
        asked = {"arguments": list(arguments), "environ": dict(environment), "log": str(log)}
        assert self._process.stdin is not None
        with self._asking:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            with self._told:
                assert self._told.wait_for(lambda: self._born, _BORN_WITHIN_S), "nobody was born"
                return self._born.pop()

    @staticmethod
    def knows(program: str) -> bool:
        return program in (_CHARGEBACK, *_PROGRAMS)

    def close(self) -> None:
        """End it; its children are to be ended before."""
        self._process.kill()
        self._listening.join()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "code" in said:
                self._by_pid.pop(said["pid"]).end(said["code"])
                continue
            with self._told:
                self._born.append(Born(said["pid"]))
                self._by_pid[said["pid"]] = self._born[-1]
                self._told.notify()


@cache
def nursery() -> Nursery:
    """One for all rows; it ends with this process."""
    made = Nursery()
    atexit.register(made.close)
    return made


def main() -> None:
    importlib.import_module("chargeback_worker.cli.program")
    programs = {name: importlib.import_module(name).main for name in _PROGRAMS}
    programs[_CHARGEBACK] = _chargeback
    children: set[int] = set()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            _tell_the_ended(children)
        if 0 in readable:
            # One at a time is asked for, and waited for.
            line = os.read(0, 1 << 20)
            while line and not line.endswith(b"\n"):
                line += os.read(0, 1 << 20)
            if not line:
                # Whoever asked has gone without a word.
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                return
            asked = json.loads(line)
            pid = os.fork()
            if not pid:
                _become_a_worker(asked, woken, wake)
                program, *arguments = asked["arguments"]
                programs[program](arguments)
                return
            children.add(pid)
            _tell({"pid": pid})


def _chargeback(arguments: Sequence[str]) -> None:
    """As `python -m chargeback_worker` does."""
    sys.argv = ["chargeback", *arguments]
    cli.main()


def _tell_the_ended(children: set[int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        children.discard(pid)
        _tell({"pid": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(said: Mapping[str, Any]) -> None:
    os.write(1, (json.dumps(said) + "\n").encode())


def _become_a_worker(asked: Mapping[str, Any], *pipes: int) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for pipe in pipes:
        os.close(pipe)
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(asked["environ"])


if __name__ == "__main__":
    main()

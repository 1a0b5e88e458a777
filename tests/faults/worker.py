"""A worker as a process of its own, whose log tells what it did."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.nursery import Born, Nursery

_ROOT = Path(__file__).parents[2]
_START_LIMIT_S = 90.0
RUN = ("chargeback_worker", "run", "--role", "ingest")


class Worker:
    """One process; several may write to the same log one after the other."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        arguments: Sequence[str] = RUN,
        nursery: Nursery | None = None,
        release: Path | None = None,
    ) -> None:
        """`release` is a checkout with a `.venv` of its own, where it is not to be this one."""
        self._log = log
        self._read = log.stat().st_size if log.exists() else 0
        # Compiled modules are kept, so that a start does not compile them again.
        given = {"CHARGEBACK_LOG__FORMAT": "json", "PYTHONDONTWRITEBYTECODE": ""}
        environment = {**os.environ, **environment, **given}
        self._process: subprocess.Popen[bytes] | Born
        if nursery is not None:
            log.touch()
            self._process = nursery.born(arguments, environment, log)
            return
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [
                    str(release / ".venv/bin/python") if release else sys.executable,
                    "-m",
                    *arguments,
                ],
                env=environment,
                cwd=release or _ROOT,
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )

    def wait_for(self, action: str, limit_s: float = _START_LIMIT_S) -> bool:
        """Whether a line with that action was logged before the limit and before the end."""
        return self.wait_until(lambda: self.said(action), limit_s)

    def wait_until(self, true: Callable[[], bool], limit_s: float = _START_LIMIT_S) -> bool:
        """Whether it became true before the limit and before the end."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            ended = not self.running
            if true():
                return True
            if ended:
                return False
            time.sleep(0.02)
        return False

    def said(self, action: str) -> bool:
        return bool(self.lines(action))

    def lines(self, action: str) -> list[dict[str, Any]]:
        """What it has logged of that action."""
        return [line for line in self._lines() if line.get("action") == action]

    def _lines(self) -> Iterator[dict[str, Any]]:
        with self._log.open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if line.startswith(b"{") and line.endswith(b"\n"):
                    yield json.loads(line)

    @property
    def last_words(self) -> str:
        with self._log.open("rb") as stream:
            stream.seek(self._read)
            return stream.read().decode(errors="replace")[-4000:]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def most_memory_mb(self) -> float:
        """The most memory that it ever held."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, limit_s: float = 60) -> int:
        self.signal(signal.SIGTERM)
        return self._process.wait(limit_s)

    def ended(self, limit_s: float = _START_LIMIT_S) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(limit_s)

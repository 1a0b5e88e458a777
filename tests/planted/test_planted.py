"""Each planted fault makes the test fail that is there for it; without one, all of them pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interleaving.test_short import SHORT
from tests.planted.faults import FAULTS
from tests.planted.interleaved import INTERLEAVED
from tests.planted.plugin import PLANT
from tests.support.postgres import PostgresServer

_ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_the_interleavings_find_each_fault_of_order(store: str, postgresql: PostgresServer) -> None:
    done = _run("-m", "tests.planted", "--store", store, postgresql=postgresql, timeout_s=380)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
    of_store = [fault for fault in INTERLEAVED.values() if fault.store == store]
    assert done.stdout.count(": found by seed ") == len(of_store)


@pytest.mark.parametrize("name", INTERLEAVED)
def test_the_seed_that_finds_a_fault_is_run_without_it_too(name: str) -> None:
    assert INTERLEAVED[name].seed in range(SHORT[INTERLEAVED[name].store])


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, postgresql: PostgresServer) -> None:
    done = _run(
        *("-m", "pytest", "-p", "tests.planted.plugin", "-p", "no:cacheprovider"),
        *("-q", "-x", "--tb=line", FAULTS[name].caught_by),
        postgresql=postgresql,
        timeout_s=200,
        name=name,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-2000:] + done.stderr[-500:]
    assert "1 failed" in done.stdout, done.stdout[-2000:]


def _run(
    *arguments: str, postgresql: PostgresServer, timeout_s: float, name: str = ""
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        # The server of this session, as somebody else's: to start one takes longer than the tests.
        env={**os.environ, PLANT: name, "CHARGEBACK_TEST_POSTGRES": postgresql.url("postgres")},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )

"""Each planted fault makes the test fail that is there for it; without one, all of them pass."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interleaving.test_short import SHORT
from tests.planted.faults import FAULTS
from tests.planted.interleaved import INTERLEAVED
from tests.planted.nursery import Nursery
from tests.support.postgres import PostgresServer

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def nursery(postgresql: PostgresServer) -> Iterator[Nursery]:
    # The server of this session: to start one takes longer than the tests.
    made = Nursery(postgresql.url("postgres"))
    yield made
    made.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_the_interleavings_find_each_fault_of_order(store: str, postgresql: PostgresServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.planted", "--store", store],
        env={**os.environ, "CHARGEBACK_TEST_POSTGRES": postgresql.url("postgres")},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
    of_store = [fault for fault in INTERLEAVED.values() if fault.store == store]
    assert done.stdout.count(": found by seed ") == len(of_store)


@pytest.mark.parametrize("name", INTERLEAVED)
def test_the_seed_that_finds_a_fault_is_run_without_it_too(name: str) -> None:
    assert INTERLEAVED[name].seed in range(SHORT[INTERLEAVED[name].store])


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, nursery: Nursery) -> None:
    ran = nursery.run(name)
    assert ran.code == pytest.ExitCode.TESTS_FAILED, ran.output[-2500:]
    assert "1 failed" in ran.output, ran.output[-2500:]

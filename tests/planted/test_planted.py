"""Each planted fault makes the test fail that is there for it; without one, all of them pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.faults import FAULTS
from tests.planted.plugin import PLANT
from tests.support.postgres import PostgresServer

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, postgresql: PostgresServer) -> None:
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "tests.planted.plugin",
                "-p",
                "no:cacheprovider",
            ),
            *("-q", "-x", "--tb=line", FAULTS[name].caught_by),
        ],
        # The server of this session, as somebody else's: to start one takes longer than the tests.
        env={**os.environ, PLANT: name, "CHARGEBACK_TEST_POSTGRES": postgresql.url("postgres")},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-2000:] + done.stderr[-500:]
    assert "1 failed" in done.stdout, done.stdout[-2000:]

"""The ladder says what it runs on, skips with a reason, and fails where a part was required."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ladder import Ladder, NotStarted, Rung

ROOT = Path(__file__).parents[1]


class Stub:
    """A server that is only a name."""

    def __init__(self, described: str) -> None:
        self.described = described
        self.closed = False

    def close(self) -> None:
        self.closed = True


def broken() -> Stub:
    raise NotStarted("no room left")


def session(**environment: str) -> subprocess.CompletedProcess[str]:
    """A test session that starts nothing."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "tests/broker/test_memory.py"],
        cwd=ROOT,
        env={**os.environ, "CHARGEBACK_REQUIRE": "", **environment},
        capture_output=True,
        text=True,
    )


def test_the_best_rung_that_starts_is_used_and_the_failures_are_told() -> None:
    rungs = [Rung("best", broken), Rung("second", lambda: Stub("Second 2.0"))]
    ladder = Ladder("kafka", rungs)
    server = ladder.get()
    assert ladder.get() is server
    assert ladder.used == "Second 2.0"
    assert ladder.failures == ["best did not start: no room left"]
    ladder.close()
    assert server.closed


def test_a_test_that_needs_a_missing_part_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CHARGEBACK_REQUIRE", raising=False)
    ladder: Ladder[Stub] = Ladder("kafka", [Rung("best", broken)], ["no java"])
    with pytest.raises(pytest.skip.Exception, match="best did not start: no room left; no java"):
        ladder.get()


def test_a_required_part_that_does_not_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEBACK_REQUIRE", "postgresql, kafka")
    ladder: Ladder[Stub] = Ladder("kafka", [Rung("best", broken)])
    with pytest.raises(pytest.fail.Exception, match="CHARGEBACK_REQUIRE names kafka"):
        ladder.get()


def test_the_header_names_every_part() -> None:
    said = session().stdout
    for part in (
        "kafka: ",
        "broker: ",
        "postgresql: ",
        "browser: ",
        "prometheus: ",
        "required (CHARGEBACK_REQUIRE): nothing",
    ):
        assert f"\n{part}" in said


def test_a_required_part_that_cannot_be_had_ends_the_session_at_once() -> None:
    done = session(CHARGEBACK_REQUIRE="kafka", PATH="/nowhere", DOCKER_HOST="tcp://127.0.0.1:1")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "CHARGEBACK_REQUIRE names kafka" in done.stderr
    assert "no java" in done.stderr


def test_a_required_part_that_nobody_knows_ends_the_session_at_once() -> None:
    done = session(CHARGEBACK_REQUIRE="kafka,postgres")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "known: kafka, broker, postgresql" in done.stderr


def test_settings_of_the_machine_do_not_reach_a_test() -> None:
    assert [name for name in os.environ if name.startswith("CHARGEBACK_DATABASE")] == []
    assert not any(
        name.startswith("CHARGEBACK_")
        and not name.startswith(("CHARGEBACK_TEST_", "CHARGEBACK_REQUIRE"))
        for name in os.environ
    )

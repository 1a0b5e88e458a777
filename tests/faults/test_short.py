"""The short form of the long runs (`make test-faults`): fewer events, the same oracle."""

from pathlib import Path

import pytest

from tests.faults.scenarios import Pace, interrupted, killed_worker
from tests.support.brokers import BrokerServer
from tests.support.postgres import LocalPostgres, PostgresServer

EVENTS, RATE = 8_000, 700.0


@pytest.mark.timeout(300)
def test_a_worker_killed_at_random_loses_and_doubles_nothing(
    kafka: BrokerServer, database_url: str, tmp_path: Path
) -> None:
    figures = killed_worker(kafka, database_url, tmp_path / "kills", Pace(EVENTS, 20261122, RATE))
    assert figures.mismatches == []
    assert figures.faults >= 2, "too few kills fell after a first commit to say anything"


@pytest.mark.timeout(300)
def test_a_database_that_crashes_meanwhile_loses_and_doubles_nothing(
    kafka: BrokerServer, postgresql: PostgresServer, tmp_path: Path
) -> None:
    if not isinstance(postgresql, LocalPostgres):
        pytest.skip("the PostgreSQL server is not ours to stop")

    def crash() -> None:
        postgresql.stop_immediate()
        postgresql.start()

    with postgresql.database() as url:
        figures = interrupted(
            kafka,
            url,
            tmp_path / "database",
            Pace(EVENTS, 20261123, RATE),
            what="database stopped immediately",
            interrupt=crash,
            times=2,
        )
    assert figures.mismatches == []


@pytest.mark.timeout(300)
def test_a_broker_that_is_killed_meanwhile_loses_and_doubles_nothing(
    kafka: BrokerServer, database_url: str, tmp_path: Path
) -> None:
    figures = interrupted(
        kafka,
        database_url,
        tmp_path / "broker",
        Pace(EVENTS, 20261124, RATE),
        what="broker killed",
        interrupt=kafka.restart,
        times=1,
    )
    assert figures.mismatches == []

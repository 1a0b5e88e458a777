"""The short form of the fault matrix (`make test-faults`): fewer events, the same oracle."""

from pathlib import Path

import pytest

from tests.faults.failpoints import UnknownPlace, place
from tests.faults.points import POINTS
from tests.faults.rows import ROWS
from tests.faults.scene import Ground
from tests.support.brokers import BrokerServer
from tests.support.postgres import PostgresServer

_SEED = 20261122


@pytest.fixture
def ground(kafka: BrokerServer, postgresql: PostgresServer, tmp_path: Path) -> Ground:
    return Ground(kafka, postgresql, tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.short])
def test_nothing_is_lost_and_nothing_doubled(name: str, ground: Ground) -> None:
    row = ROWS[name]
    assert row.short is not None
    figures = row.run(ground, row.short.pace(_SEED))
    print(figures)
    assert figures.mismatches == []
    assert figures.faults >= row.short.faults, "too few faults to say anything"


@pytest.mark.parametrize("name", POINTS)
def test_each_failpoint_names_what_there_is(name: str) -> None:
    for target in POINTS[name].places:
        place(name, target)


def test_a_failpoint_whose_function_is_gone_is_named() -> None:
    with pytest.raises(UnknownPlace, match=r"'after keys'.*ingest:gone"):
        place("after keys", "chargeback_worker.pipeline.ingest:gone")

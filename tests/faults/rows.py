"""The fault matrix, as data: each row with the size of its long and of its short run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from tests.faults.clients import api_outage
from tests.faults.clocks import clock
from tests.faults.closes import close_failpoints
from tests.faults.connections import (
    ambiguous_commits,
    broker_frozen,
    broker_killed,
    broker_stopped,
    database_away,
    database_crashes,
    database_cut,
    database_half_open,
    database_stalls,
)
from tests.faults.flow import Pace
from tests.faults.group import frozen_in_transaction, rebalance_storm, zombies
from tests.faults.kills import failpoint_kills, random_kills
from tests.faults.months import month_kills
from tests.faults.poison import poison_batches
from tests.faults.producers import same_ids_at_once
from tests.faults.race import schedulers_race
from tests.faults.refused import broker_refuses
from tests.faults.scene import Figures, Ground
from tests.faults.sleepers import sleeping_closer, sleeping_publisher
from tests.faults.topics import grown, recreated, truncated


@dataclass(frozen=True, slots=True)
class Size:
    """Events, events a second, and how many faults (of each kind, where a row has several)."""

    events: int
    rate: float
    faults: int

    def pace(self, seed: int) -> Pace:
        return Pace(self.events, seed, self.rate, self.faults)


@dataclass(frozen=True, slots=True)
class Row:
    """`short` is the size in `make test`; None where it would say nothing there."""

    run: Callable[[Ground, Pace], Figures]
    long: Size
    short: Size | None


ROWS: Mapping[str, Row] = {
    "random-kills": Row(random_kills, Size(1_000_000, 2_500, 100), Size(6_000, 1_000, 2)),
    "random-kills-sqlite": Row(
        partial(random_kills, workers=1, sqlite=True), Size(200_000, 1_000, 50), Size(4_000, 800, 2)
    ),
    "failpoints": Row(failpoint_kills, Size(200_000, 500, 20), Size(12_000, 800, 1)),
    "rebalance-storm": Row(rebalance_storm, Size(200_000, 1_000, 100), Size(3_000, 500, 3)),
    "zombies": Row(zombies, Size(100_000, 500, 16), Size(6_000, 600, 1)),
    "frozen-in-transaction": Row(frozen_in_transaction, Size(30_000, 500, 6), None),
    "ambiguous-commits": Row(ambiguous_commits, Size(100_000, 1_000, 50), Size(4_000, 800, 2)),
    "database-crashes": Row(database_crashes, Size(60_000, 1_000, 8), Size(4_000, 800, 1)),
    "database-away": Row(database_away, Size(60_000, 1_000, 4), None),
    "database-stalls": Row(database_stalls, Size(60_000, 1_000, 4), None),
    "database-cut": Row(database_cut, Size(60_000, 1_000, 20), None),
    "database-half-open": Row(database_half_open, Size(30_000, 1_000, 3), None),
    "broker-killed": Row(broker_killed, Size(60_000, 1_000, 5), Size(4_000, 800, 1)),
    "broker-stopped": Row(broker_stopped, Size(60_000, 1_000, 3), None),
    "broker-frozen": Row(broker_frozen, Size(60_000, 1_000, 4), None),
    "poison-batches": Row(poison_batches, Size(20_000, 4_000, 4), Size(1_000, 1_000, 1)),
    "same-ids-at-once": Row(same_ids_at_once, Size(100_000, 0, 1_000), Size(2_000, 0, 50)),
    "topic-recreated": Row(recreated, Size(10_000, 2_000, 6), Size(800, 800, 1)),
    "topic-truncated": Row(truncated, Size(10_000, 2_000, 6), Size(800, 800, 1)),
    "topic-grown": Row(grown, Size(30_000, 1_000, 4), Size(2_000, 500, 1)),
    "month-kills": Row(month_kills, Size(140_000, 1_000, 300), Size(1_600, 1_000, 3)),
    "close-failpoints": Row(close_failpoints, Size(12_000, 0, 20), Size(600, 0, 1)),
    "schedulers-race": Row(schedulers_race, Size(10_000, 0, 200), Size(300, 0, 5)),
    "sleeping-closer": Row(sleeping_closer, Size(3_000, 0, 16), Size(200, 0, 2)),
    "sleeping-publisher": Row(sleeping_publisher, Size(3_000, 0, 16), Size(200, 0, 2)),
    "broker-refuses": Row(broker_refuses, Size(6_000, 0, 6), Size(300, 0, 2)),
    # A smaller one, in this process, is tests/api/test_outage.py.
    "api-outage": Row(api_outage, Size(1, 0, 12), None),
    "clock": Row(clock, Size(6_000, 0, 24), Size(300, 0, 1)),
}

"""How fast refused events are counted when what refused them is mended, and in how much memory.

All of them were too old for a setting that is then left out. `ingested` is the rate of the same
events where nothing ever refused them, by the same door: what a replay has to do besides is to
read each from the quarantine, to resolve it there and to audit it.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from chargeback_worker import app
from chargeback_worker.period import Period
from chargeback_worker.reports.verify import verify
from chargeback_worker.settings import Database, Ingest, Settings
from chargeback_worker.simulation import Anomalies, simulate
from tests.benchmarks import child
from tests.benchmarks.child import Clock, Found
from tests.benchmarks.databases import Databases
from tests.benchmarks.figures import Figure

_EVENTS, _EVENTS_QUICK = 100_000, 300
_MONTH = Period(2024, 5)

_Run = Callable[..., Found]


def measure(
    databases: Databases, *, runs: int, quick: bool, run: _Run = child.run
) -> Iterator[Figure]:
    """The figures of one kind of store; `quick` takes so few events that they tell nothing."""
    events, store = _EVENTS_QUICK if quick else _EVENTS, databases.name

    def held(url: str) -> Found:
        return run("hold", url, events)

    def empty(url: str) -> Found:
        return run("hold", url, 0)

    ingested: list[Found] = []
    replayed: list[Found] = []
    for _ in range(runs):
        with databases.copy(empty) as url:
            ingested.append(run("take", url, events))
        with databases.copy(held) as url:
            replayed.append(run("replay", url, events))
    beside = Figure(f"replay_ingested_{store}", "events/s", _rates(ingested, events))
    yield beside
    yield Figure(f"replay_100k_{store}", "events/s", _rates(replayed, events)).beside(beside)
    yield Figure(f"replay_100k_s_{store}", "s", tuple(found["replay"] for found in replayed))
    yield Figure(f"replay_100k_mb_{store}", "MB", tuple(found["replay_mb"] for found in replayed))


def hold(url: str, events: int) -> Found:
    """Refuse all of them into the quarantine."""
    with app.opened(_settings(url, Ingest(max_age=timedelta(days=1)))) as opened:
        results = list(opened.ingest_file("bench", _lines(events)))
    assert sum(result.tally.quarantined for result in results) == events
    return {}


def take(url: str, events: int) -> Found:
    """Accept all of them."""
    lines = list(_lines(events))
    with app.opened(_settings(url)) as opened:
        clock = Clock()
        results = list(opened.ingest_file("bench", lines))
        clock.lap("replay")
    assert sum(result.tally.accepted for result in results) == events
    return clock.found


def replay(url: str, events: int) -> Found:
    """Accept all that are held, and see that every one of them is counted."""
    with app.opened(_settings(url)) as opened:
        clock = Clock()
        counted = sum(len(done) for done in opened.replay())
        clock.lap("replay")
        peak_mb = child.peak_mb()
        assert counted == events, counted
        assert verify(opened.store).mismatches == ()
    # Not of the verification, which comes after.
    return {**clock.found, "replay_mb": peak_mb}


def _settings(url: str, ingest: Ingest | None = None) -> Settings:
    return Settings(database=Database(url=url), ingest=ingest or Ingest())


def _lines(events: int) -> Iterator[bytes]:
    return (one.line for one in simulate(_MONTH, events, seed=6, anomalies=Anomalies.none()))


def _rates(found: Sequence[Found], events: int) -> tuple[float, ...]:
    return tuple(events / run["replay"] for run in found)

"""Ingest from Kafka to the database: real workers beside the bare client and the Quix sink.

All rates are those between the first commit and the last of as many events as are left then, or
between the first poll and the last for the bare client: no start is in them. The topic is filled
once; every run reads it from its beginning, with a group and a database of its own.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from tests.benchmarks import visible, workers
from tests.benchmarks.child import Found, tell
from tests.benchmarks.databases import PostgresDatabases
from tests.benchmarks.figures import Figure, Finding, LeftOut
from tests.benchmarks.ingest_database import Run

QUIX = Path(".venv-quix")
_NAMES = ("ingest_vs_quix", "ingest_vs_consume", "two_workers", "rss_mb", "restart_s")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """How many events are in the topic, and how many of them the sink reads; how often a worker is
    started again, and how many it finds then; how long events come steadily."""

    events: int
    of_quix: int
    restarts: int
    of_restart: int
    steady_s: float


LOAD = Load(400_000, 120_000, 5, 20_000, 12.0)
QUICK = Load(400, 300, 1, 100, 0.3)


def on_kafka(
    databases: PostgresDatabases,
    servers: str | None,
    *,
    full: Mapping[str, str],
    runs: int,
    load: Load,
    run: Run,
) -> Iterator[Finding]:
    """The figures of workers; `full` are databases with many events, by name."""
    if servers is None:
        for name in (*_NAMES, "visible_p50_s", "visible_p99_s"):
            yield LeftOut(name, "no Kafka was found")
        return
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(databases, servers, load, run, Path(folder), f"usage-{next(_numbers)}")
        found = bench.in_turn(runs)
        yield from _rates(found)
        yield from _starts(bench.restarts())
        one = _figure("one_worker", found["one"], "rate", "events/s")
        for name, url in full.items():
            grown = workers.drain(url, servers, bench.topic, load.events, bench.folder)
            yield _figure(f"growth_worker_{name}", [grown], "rate", "events/s").beside(one)
            yield _figure(f"rss_mb_{name}", [grown], "mb", "MB")


@dataclass(frozen=True, slots=True)
class _Bench:
    databases: PostgresDatabases
    servers: str
    load: Load
    run: Run
    folder: Path
    topic: str

    def in_turn(self, runs: int) -> Mapping[str, Sequence[Found]]:
        """Each run takes all of them in turn, so that what disturbs it disturbs them alike."""
        self.run("fill_topic", self.servers, self.topic, self.load.events, 1)
        found: dict[str, list[Found]] = {"consume": [], "one": [], "two": [], "steady": []}
        if (QUIX / "quix.installed").exists():
            found["quix"] = []
        for _ in range(runs):
            found["consume"].append(self.run("consume", self.servers, self.topic, self.load.events))
            found["one"].append(self._drain(1))
            found["two"].append(self._drain(2))
            found["steady"].append(self._steady(found["one"][-1]["rate"] / 10))
            if "quix" in found:
                found["quix"].append(self._quix())
        return found

    def restarts(self) -> Sequence[float]:
        """Each start finds a batch of events that were sent while nobody ran."""
        topic, load = f"restarts-{next(_numbers)}", self.load
        fills = [
            partial(self.run, "fill_topic", self.servers, topic, load.of_restart, seed)
            for seed in range(1 + load.restarts)
        ]
        with self.databases.copy(self._prepare) as url:
            return workers.restarts(url, self.servers, topic, self.folder, fills=fills)

    def _drain(self, workers_count: int) -> Found:
        with self.databases.copy(self._prepare) as url:
            return workers.drain(
                url, self.servers, self.topic, self.load.events, self.folder, count=workers_count
            )

    def _steady(self, rate: float) -> Found:
        topic, seconds = f"steady-{next(_numbers)}", self.load.steady_s
        with self.databases.copy(self._prepare) as url:
            return visible.visible(
                url, self.servers, topic, self.folder, rate=rate, seconds=seconds
            )

    def _quix(self) -> Found:
        with self.databases.new() as url:
            began = time.monotonic()
            given = (self.servers, self.topic, url, str(self.load.of_quix))
            done = subprocess.run(
                [str(QUIX / "bin" / "python"), "-m", "tests.benchmarks.quix_sink", *given],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
                text=True,
            )
        tell(f"the Quix sink, {self.load.of_quix:,} events", began)
        found: Found = json.loads(done.stdout)
        return found

    def _prepare(self, url: str) -> Found:
        return self.run("prepare", url)


def _rates(found: Mapping[str, Sequence[Found]]) -> Iterator[Finding]:
    consume = _figure("kafka_consume", found["consume"], "rate", "events/s")
    one = _figure("one_worker", found["one"], "rate", "events/s")
    yield consume
    yield one
    yield Figure("ingest_vs_consume", one.unit, one.runs).beside(consume)
    two = _figure("two_workers", found["two"], "rate", "events/s")
    yield two.beside(one)
    for name, key in (("one_worker", "one"), ("two_workers", "two"), ("quix", "quix")):
        for cost in ("worker_us", "server_us") if key in found else ():
            yield _figure(f"{name}_{cost}", found[key], cost, "µs")
    if "quix" in found:
        quix = _figure("quix_sink", found["quix"], "rate", "events/s")
        yield quix
        yield Figure("ingest_vs_quix", two.unit, two.runs).beside(quix)
    else:
        yield LeftOut(
            "ingest_vs_quix", f"Quix Streams is not installed: make {QUIX}/quix.installed"
        )
    small = Figure("rss_small_mb", "MB", (max(steady["mb"] for steady in found["steady"]),))
    yield small
    most = max(of_one["mb"] for of_one in (*found["one"], *found["two"]))
    yield Figure("rss_mb", "MB", (most,)).beside(small)
    yield _figure("visible_rate", found["steady"], "rate", "events/s")
    yield _figure("visible_p50_s", found["steady"], "p50", "s")
    yield _figure("visible_p99_s", found["steady"], "p99", "s")


def _starts(took: Sequence[float]) -> Iterator[Finding]:
    first, *again = took
    start = Figure("start_s", "s", (first,))
    yield start
    yield Figure("restart_s", "s", tuple(again)).beside(start)


def _figure(name: str, found: Sequence[Found], key: str, unit: str) -> Figure:
    return Figure(name, unit, tuple(run[key] for run in found))

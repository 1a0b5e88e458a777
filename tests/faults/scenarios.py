"""The faults that usage flows through, one function each; every one returns what it measured."""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from chargeback_worker.store import Store
from tests.faults.flow import (
    Flow,
    drain,
    environment,
    kill_again_and_again,
    mismatches,
    running_worker,
)
from tests.support.brokers import BrokerServer

_KILLS_LEAST = 2


@dataclass(frozen=True, slots=True)
class Pace:
    """How many events flow, which ones, and how many a second."""

    events: int
    seed: int
    rate: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run did and in what the books differ from the truth: in nothing, or it failed."""

    what: str
    events: int
    faults: int
    mismatches: list[str]
    detail: str = ""

    def __str__(self) -> str:
        verdict = "0 lost, 0 doubled, verify clean" if not self.mismatches else "MISMATCH"
        return (
            f"{self.what}: {self.events:,} events, {self.faults} faults, {verdict}. {self.detail}"
        )


def killed_worker(
    kafka: BrokerServer,
    database_url: str,
    folder: Path,
    pace: Pace,
) -> Figures:
    """kill -9 of the worker at random while usage flows."""
    flow, settings, log = _begin(kafka, database_url, folder, pace)
    took = kill_again_and_again(settings, log, flow, seed=pace.seed, least=_KILLS_LEAST)
    assert not flow.failed, flow.failed
    assert took, log.read_text()[-4000:]
    return _end(
        f"worker killed, {_kind(database_url)}",
        (flow, settings, log),
        database_url,
        faults=len(took),
        detail=f"start to first commit: median {median(took):.1f} s, most {max(took):.1f} s",
    )


def interrupted(
    kafka: BrokerServer,
    database_url: str,
    folder: Path,
    pace: Pace,
    *,
    what: str,
    interrupt: Callable[[], None],
    times: int,
) -> Figures:
    """Something else is stopped and started again, `times`, while one worker goes on."""
    flow, settings, log = _begin(kafka, database_url, folder, pace)
    flow.enough.set()
    draw = random.Random(pace.seed)
    with running_worker(settings, log) as worker:
        assert worker.wait_for("first_commit"), log.read_text()[-4000:]
        pause_s = pace.events / pace.rate / (times + 1)
        for _ in range(times):
            time.sleep(pause_s * draw.uniform(0.6, 1.0))
            interrupt()
        flow.done.wait(900)
        assert worker.running, log.read_text()[-4000:]
        assert worker.stop() == 0, log.read_text()[-4000:]
    return _end(f"{what}, {_kind(database_url)}", (flow, settings, log), database_url, faults=times)


Begun = tuple[Flow, dict[str, str], Path]


def _begin(kafka: BrokerServer, database_url: str, folder: Path, pace: Pace) -> Begun:
    topic = f"usage-{uuid.uuid4()}"
    flow = Flow.made(
        kafka.bootstrap_servers, topic, events=pace.events, seed=pace.seed, rate=pace.rate
    )
    folder.mkdir(parents=True, exist_ok=True)
    settings = environment(database_url, flow)
    flow.start()
    return flow, settings, folder / "worker.log"


def _end(what: str, begun: Begun, database_url: str, *, faults: int, detail: str = "") -> Figures:
    flow, settings, log = begun
    store = Store(database_url)
    try:
        drain(settings, log, store, flow)
        wrong = mismatches(store, flow.expected)
    finally:
        store.close()
    return Figures(what, flow.expected.events, faults, wrong, detail)


def _kind(database_url: str) -> str:
    return "SQLite" if database_url.startswith("sqlite") else "PostgreSQL"

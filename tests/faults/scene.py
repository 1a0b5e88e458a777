"""What every row of the fault matrix needs: a topic, a database, workers, and the oracle.

A row breaks something while usage flows, and ends with `Scene.figures`: all is drained, and the
books are held against the truth.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.errors import Unavailable
from chargeback_worker.reports.verify import verify
from chargeback_worker.simulation import Expected
from chargeback_worker.store import Store, cursors, totals
from chargeback_worker.store.cursors import Cursor, Door, Tally
from tests.faults.flow import USUAL, Flow, Pace
from tests.faults.nursery import Nursery, nursery
from tests.faults.worker import RUN, Worker
from tests.support.brokers import BrokerServer
from tests.support.postgres import PostgresServer

_DRAIN_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Ground:
    """The servers that things are broken on, and a folder for logs and truths."""

    kafka: BrokerServer
    postgres: PostgresServer
    folder: Path


@dataclass(frozen=True, slots=True)
class Figures:
    """What a row did and in what the books differ from the truth: in nothing, or it failed."""

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


@dataclass(slots=True)
class Scene:
    """A flow, and the workers that read it into one database."""

    broker: KafkaBroker
    flow: Flow
    url: str
    store: Store
    folder: Path
    settings: Mapping[str, str]
    workers: list[Worker] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What a row has found beside what the oracle finds."""
    nursery: Nursery | None = None
    """Where workers of this release come from, if not each from an interpreter of its own."""

    def worker(
        self,
        name: str,
        *,
        arguments: tuple[str, ...] = RUN,
        url: str | None = None,
        member: bool = True,
        release: Path | None = None,
        **settings: str,
    ) -> Worker:
        """Start a worker: a static member of that name, which takes over at once, or none."""
        environment = {
            **self.environment(),
            "CHARGEBACK_DATABASE__URL": url or self.url,
            **({"CHARGEBACK_KAFKA__GROUP_INSTANCE_ID": name} if member else {}),
            **settings,
        }
        forked = release is None and Nursery.knows(arguments[0])
        origin = self.nursery if forked else None
        made = Worker(environment, self.folder / f"{name}.log", arguments, origin, release)
        self.workers.append(made)
        return made

    def command(self, *arguments: str, release: Path | None = None) -> str:
        """What `chargeback` prints to a person with the same settings."""
        done = subprocess.run(
            [
                str(release / ".venv/bin/python") if release else sys.executable,
                *("-m", "chargeback_worker", *arguments),
            ],
            cwd=release,
            env={**os.environ, **self.environment()},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        """The settings of whoever reads the flow."""
        return {
            "CHARGEBACK_DATABASE__URL": self.url,
            "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": self.flow.servers,
            "CHARGEBACK_KAFKA__USAGE_TOPIC": self.flow.topic,
            "CHARGEBACK_KAFKA__GROUP_ID": f"group-{self.flow.topic}",
            "CHARGEBACK_KAFKA__SESSION_TIMEOUT": "6s",
            "CHARGEBACK_API__PORT": "0",
            "CHARGEBACK_METRICS__PORT": "0",
            **self.settings,
        }

    def end(self) -> None:
        """Kill whoever still runs."""
        for worker in self.workers:
            if worker.running:
                worker.kill()

    def cursors(self) -> dict[int, Cursor]:
        """The stored position of each partition of the topic that is there now."""
        for _ in range(5):
            try:
                with self.store.read() as transaction:
                    found = cursors.listed(transaction, Door.TOPIC)
                break
            except Unavailable:
                # A connection that was open before the server went away fails once.
                continue
            except sa.exc.DBAPIError:
                # No worker has made the tables yet.
                return {}
        else:
            return {}
        return {cursor.partition: cursor for cursor in found if not cursor.retired}

    def ends(self) -> dict[int, int]:
        """The end of each partition of the topic."""
        described = self.broker.describe(self.flow.topic)
        assert described is not None
        reader = self.broker.reader()
        try:
            places = [TopicPartition(self.flow.topic, n) for n in range(described.partitions)]
            return {place.partition: end for place, end in reader.end_offsets(places).items()}
        finally:
            reader.close()

    def read_to_end(self, worker: Worker, limit_s: float = _DRAIN_LIMIT_S) -> None:
        """Wait until the stored positions have come to the ends of the topic."""
        ends = {partition: end for partition, end in self.ends().items() if end}

        def reached() -> bool:
            found = self.cursors()
            return all(p in found and found[p].next_position >= end for p, end in ends.items())

        assert worker.wait_until(reached, limit_s), worker.last_words

    def drain(self, readers: Sequence[Worker]) -> None:
        """Let all be sent, and those workers read the topic to its end, and end in order."""
        self.flow.wait()
        for worker in readers:
            # Before that it has no say in how it ends.
            assert worker.wait_for("assigned"), worker.last_words
        self.read_to_end(readers[0])
        for worker in readers:
            worker.signal(signal.SIGTERM)
        for worker in readers:
            assert worker.ended() == 0, worker.last_words

    def tally(self) -> Tally:
        """What was counted of the topic, by whatever cursor."""
        with self.store.read() as transaction:
            return sum((c.tally for c in cursors.listed(transaction, Door.TOPIC)), Tally())

    def figures(
        self, what: str, faults: int, detail: str = "", *, readers: Sequence[Worker] = ()
    ) -> Figures:
        """Let those who run drain the topic, or a new worker, and hold the books against truth."""
        if not readers:
            self.end()
        self.drain(readers or [self.worker("worker-0")])
        wrong = [*self.wrong, *mismatches(self.store, self.flow.expected)]
        return Figures(what, self.flow.expected.events, faults, wrong, detail)


def mismatches(store: Store, expected: Expected) -> list[str]:
    """Everything in which the books differ from the truth; empty is what it must be."""
    with store.read() as transaction:
        tally = sum((c.tally for c in cursors.listed(transaction, Door.TOPIC)), Tally())
        cost = sum(totals.cost_by_period(transaction).values())
    found = {name: getattr(tally, name) for name in expected.outcomes}
    wrong = [
        f"{name}: expected {count}, found {found[name]}"
        for name, count in expected.outcomes.items()
        if found[name] != count
    ]
    if cost != expected.cost:
        wrong.append(f"cost: expected {expected.cost}, found {cost}")
    wrong.extend(str(mismatch) for mismatch in verify(store).mismatches)
    return wrong


@contextmanager
def scene(
    ground: Ground,
    pace: Pace,
    *,
    partitions: int = 4,
    sqlite: bool = False,
    anomalies: str = USUAL,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """A topic and a database of their own; nothing is sent yet."""
    topic = f"usage-{uuid.uuid4().hex[:12]}"
    folder = ground.folder / topic
    folder.mkdir(parents=True)
    servers = ground.kafka.bootstrap_servers
    broker = KafkaBroker(servers)
    broker.create_topic(topic, partitions)
    broker.create_topic("invoices", 1)
    database: Any = ground.postgres.database()
    if sqlite:
        database = nullcontext(f"sqlite:///{folder / 'books.db'}")
    flow = Flow.made(servers, topic, pace, folder / "truth.json", anomalies)
    with database as url:
        made = Scene(broker, flow, url, Store(url), folder, settings or {}, nursery=nursery())
        try:
            yield made
        finally:
            made.end()
            made.store.close()
            broker.close()


def until(true: Callable[[], bool], what: str, limit_s: float = 120.0) -> None:
    """Wait for something that must come about."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)

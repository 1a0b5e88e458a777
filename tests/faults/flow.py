"""Usage that flows through a topic while things are killed, and what must have come of it.

The truth is known before the first event is sent; a worker is a process of its own, which says in
its log when it has committed for the first time.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from chargeback_worker.broker import Delivery, TopicPartition
from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.period import Period
from chargeback_worker.reports.verify import verify
from chargeback_worker.simulation import Anomalies, Expected, Simulated, simulate
from chargeback_worker.store import Store, cursors, totals
from chargeback_worker.store.cursors import Door, Tally

MONTH = Period(2026, 5)
PARTITIONS = 4
_UNDER_WAY = 2_000
_TRICKLE_S = 0.05
_START_LIMIT_S = 90.0


@dataclass(slots=True)
class Flow:
    """What is sent, to which topic, how fast; `expected` is complete before anything is sent.

    The last quarter only trickles until `enough` has happened to whoever reads: how fast a machine
    is must not decide how much that is.
    """

    servers: str
    topic: str
    events: list[Simulated]
    expected: Expected
    rate: float
    sent: int = 0
    enough: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    failed: list[BaseException] = field(default_factory=list)

    @classmethod
    def made(cls, servers: str, topic: str, *, events: int, seed: int, rate: float) -> "Flow":
        anomalies = Anomalies.parse("duplicate=0.05,late=0.01,conflict=0.001,poison=0.002")
        made = list(simulate(MONTH, events, seed=seed, anomalies=anomalies))
        expected = Expected()
        for one in made:
            expected.add(one.truth)
        return cls(servers, topic, made, expected, rate)

    def start(self) -> threading.Thread:
        broker = KafkaBroker(self.servers)
        broker.create_topic(self.topic, PARTITIONS)
        broker.create_topic("invoices", PARTITIONS)
        thread = threading.Thread(target=self._run, args=(broker,), name="flow", daemon=True)
        thread.start()
        return thread

    def _run(self, broker: KafkaBroker) -> None:
        try:
            self._send_all(broker)
        except BaseException as error:
            self.failed.append(error)
        finally:
            self.done.set()
            broker.close()

    def _send_all(self, broker: KafkaBroker) -> None:
        producer = broker.producer()
        began = time.monotonic()
        under_way: list[Delivery] = []
        for number, one in enumerate(self.events):
            ahead_s = number / self.rate - (time.monotonic() - began)
            if ahead_s > 0.01:
                time.sleep(ahead_s)
            if number >= len(self.events) * 3 // 4:
                self.enough.wait(_TRICKLE_S)
            under_way.append(
                producer.send(self.topic, key=one.key, value=one.value, headers=one.headers)
            )
            if len(under_way) >= _UNDER_WAY:
                self._await(under_way)
        self._await(under_way)
        producer.close()

    def _await(self, under_way: list[Delivery]) -> None:
        for delivery in under_way:
            delivery.result(120)
        self.sent += len(under_way)
        under_way.clear()


class Worker:
    """A worker process. Its log tells when it has committed for the first time."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._read = log.stat().st_size if log.exists() else 0
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chargeback_worker", "run", "--role", "ingest"],
                # Compiled modules are kept, so that a start does not compile them again.
                env={
                    **os.environ,
                    **environment,
                    "CHARGEBACK_LOG__FORMAT": "json",
                    "PYTHONDONTWRITEBYTECODE": "",
                },
                stdout=subprocess.DEVNULL,
                stderr=stream,
            )

    def wait_for(self, action: str, limit_s: float = _START_LIMIT_S) -> bool:
        """Whether a line with that action was logged before the limit and before the end."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if any(line.get("action") == action for line in self._lines()):
                return True
            if self._process.poll() is not None:
                return False
            time.sleep(0.02)
        return False

    def _lines(self) -> Iterator[dict[str, object]]:
        with self._log.open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if line.startswith(b"{") and line.endswith(b"\n"):
                    yield json.loads(line)

    @property
    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self, limit_s: float = 60) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(limit_s)


@contextmanager
def running_worker(environment: Mapping[str, str], log: Path) -> Iterator[Worker]:
    """A worker that is ended, one way or another, when the block is left."""
    worker = Worker(environment, log)
    try:
        yield worker
    finally:
        if worker.running:
            worker.kill()


def environment(database_url: str, flow: Flow, **more: str) -> dict[str, str]:
    """The settings of a worker for a flow: a static member, so that it takes over at once."""
    return {
        "CHARGEBACK_DATABASE__URL": database_url,
        "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": flow.servers,
        "CHARGEBACK_KAFKA__USAGE_TOPIC": flow.topic,
        "CHARGEBACK_KAFKA__GROUP_ID": f"group-{flow.topic}",
        "CHARGEBACK_KAFKA__GROUP_INSTANCE_ID": "worker-0",
        "CHARGEBACK_METRICS__PORT": "0",
        **more,
    }


def kill_again_and_again(
    settings: Mapping[str, str], log: Path, flow: Flow, *, seed: int, least: int
) -> list[float]:
    """Kill workers at random for as long as usage flows, which it does until `least` were killed;
    the times from start to first commit.

    Only kills after the first commit of their start are counted.
    """
    draw = random.Random(seed)
    took: list[float] = []
    while not flow.done.is_set():
        began = time.monotonic()
        with running_worker(settings, log) as worker:
            if worker.wait_for("first_commit"):
                took.append(time.monotonic() - began)
                flow.done.wait(draw.random() * 0.8)
            worker.kill()
        if len(took) >= least:
            flow.enough.set()
    return took


def drain(settings: Mapping[str, str], log: Path, store: Store, flow: Flow) -> None:
    """Let one worker read the topic to its end and stop it; all of the flow has been sent."""
    assert flow.done.wait(900), "the flow did not end"
    assert not flow.failed, flow.failed
    broker = KafkaBroker(flow.servers)
    ends = ends_of(broker, flow.topic)
    broker.close()
    with running_worker(settings, log) as worker:
        # Before that it has no say in how it ends.
        assert worker.wait_for("assigned"), worker.last_words
        read_to(ends, worker, store)
        assert worker.stop() == 0, log.read_text()[-4000:]


def ends_of(broker: KafkaBroker, topic: str) -> Mapping[int, int]:
    """The end of each partition of a topic."""
    reader = broker.reader()
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return {place.partition: end for place, end in reader.end_offsets(places).items()}
    finally:
        reader.close()


def read_to(ends: Mapping[int, int], worker: Worker, store: Store, limit_s: float = 300) -> None:
    """Wait until the stored positions have come to those ends."""
    deadline = time.monotonic() + limit_s
    while not _reached(store, ends):
        assert worker.running, worker.last_words
        assert time.monotonic() < deadline, worker.last_words
        time.sleep(0.1)


def _reached(store: Store, ends: Mapping[int, int]) -> bool:
    try:
        with store.read() as transaction:
            found = cursors.listed(transaction, Door.TOPIC)
    except sa.exc.DBAPIError:
        # The worker has not made the tables yet.
        return False
    at = {cursor.partition: cursor.next_position for cursor in found}
    return all(at.get(partition, 0) >= end for partition, end in ends.items() if end)


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

"""How long an event takes from its producer into the summary of its month, at a steady rate."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import kafka

from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.reports.usage_summary import summary_of
from chargeback_worker.store import Store, cursors
from tests.benchmarks import cpu
from tests.benchmarks.child import Found, tell
from tests.benchmarks.usage_stream import MONTH, PARTITIONS, Sent, usage
from tests.benchmarks.workers import running

_LOOK_S = 0.02
_LIMIT_S = 120.0
_LINGER_MS = 5


def visible(
    url: str, servers: str, topic: str, folder: Path, *, rate: float, seconds: float
) -> Found:
    """Send so many events a second to one worker; see in the summary when each is there."""
    broker = KafkaBroker(servers)
    broker.create_topic(topic, PARTITIONS)
    broker.create_topic("invoices", 1)
    broker.close()
    events = list(usage(max(round(rate * seconds), PARTITIONS), seed=7))
    store = Store(url)
    with running(url, servers, topic, folder) as (worker,):
        worker.wait_for("assigned")
        sending = _Sending(servers, topic, events, rate)
        seen = _Seen(store, topic, sending)
        sending.start()
        deadline = time.monotonic() + seconds + _LIMIT_S
        while seen.count < len(events):
            assert sending.failure is None, sending.failure
            assert worker.running, worker.last_words
            assert time.monotonic() < deadline, worker.last_words
            seen.look()
            time.sleep(_LOOK_S)
        sending.join()
        mb = cpu.peak_mb(worker.pid)
        tell(f"{len(events):,} events at {rate:,.0f} a second", worker.began)
    store.close()
    cuts = quantiles(seen.took, n=100)
    sent_s = max(max(times) for times in sending.times if times) - sending.began
    return {"p50": cuts[49], "p99": cuts[98], "mb": mb, "rate": len(events) / max(sent_s, _LOOK_S)}


class _Sending(threading.Thread):
    """Sends events at a rate; `times` holds when, by partition and offset: the topic is new."""

    def __init__(self, servers: str, topic: str, events: Sequence[Sent], rate: float) -> None:
        super().__init__(name="sending", daemon=True)
        self.times: list[list[float]] = [[] for _ in range(PARTITIONS)]
        self.failure: BaseException | None = None
        self.began = time.monotonic()
        self._events, self._rate, self._topic = events, rate, topic
        self._producer = kafka.KafkaProducer(
            bootstrap_servers=servers.split(","), linger_ms=_LINGER_MS, metrics_enabled=False
        )

    def run(self) -> None:
        try:
            self.began = time.monotonic()
            for number, sent in enumerate(self._events):
                ahead_s = number / self._rate - (time.monotonic() - self.began)
                if ahead_s > 0.005:
                    time.sleep(ahead_s)
                self.times[sent.partition].append(time.monotonic())
                self._producer.send(
                    self._topic, key=sent.key, value=sent.value, partition=sent.partition
                )
            self._producer.flush(_LIMIT_S)
            self._producer.close()
        except BaseException as error:
            self.failure = error


@dataclass
class _Seen:
    """What the summary has shown so far, and how long after it was sent."""

    store: Store
    topic: str
    sending: _Sending
    took: list[float] = field(default_factory=list)
    count: int = 0
    _upto: list[int] = field(default_factory=lambda: [0] * PARTITIONS)

    def look(self) -> None:
        with self.store.read() as transaction:
            records = summary_of(transaction, MONTH.days())["record_count"]
            found = cursors.listed(transaction, cursors.Door.TOPIC)
        now = time.monotonic()
        found = [cursor for cursor in found if cursor.name == self.topic]
        assert records == sum(cursor.tally.accepted for cursor in found), "seen apart"
        for cursor in found:
            at = self._upto[cursor.partition]
            times = self.sending.times[cursor.partition][at : cursor.next_position]
            self.took += [now - sent for sent in times]
            self._upto[cursor.partition] = cursor.next_position
        self.count = sum(self._upto)

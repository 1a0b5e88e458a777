"""The ingest role on Apache Kafka: what only a real client and a real broker do."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka.record.default_records import DefaultRecordBatch

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.errors import ConsumerBroken
from chargeback_worker.broker.kafka import KafkaBroker, Patience
from chargeback_worker.broker.kafka_consumer import KafkaConsumer
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline import offsets
from chargeback_worker.settings import Ingest, Kafka, Settings
from chargeback_worker.store import Store, cursors, schema
from chargeback_worker.store.cursors import Cursor, Door
from chargeback_worker.usage.event import Grain, Reader
from chargeback_worker.worker import lag, silence
from chargeback_worker.worker.consumer import Session, UsageConsumer
from chargeback_worker.worker.lifecycle import BackOff
from tests.support.brokers import BrokerServer

NOW_US = 1_800_000_000_000_000


@dataclass
class Rig:
    store: Store
    broker: KafkaBroker
    topic: str
    beats: list[str | None] = field(default_factory=list)
    batch_events: int = 12_000

    def role(self) -> UsageConsumer:
        kafka = Kafka(usage_topic=self.topic, group_id=self.topic)
        settings = Settings(kafka=kafka, ingest=Ingest(batch_events=self.batch_events))
        reader, metrics = Reader(Grain("UTC")), Metrics("test")
        return UsageConsumer(self.store, self.broker, settings, reader, metrics, lambda: NOW_US)

    def beat(self, waits_for: str | None = None) -> None:
        self.beats.append(waits_for)

    def session(self) -> tuple[Session, KafkaConsumer]:
        consumer = self.broker.consumer(self.topic)
        session = Session(self.role(), consumer, self.beat, BackOff())
        consumer.subscribe(self.topic, session.positions)
        _until(lambda: len(session.positions.held) == 2, session.turn)
        return session, consumer

    def put(self, *ids: int, partition: int) -> None:
        producer = self.broker.producer()
        for number in ids:
            sent = producer.send(self.topic, key=None, value=_event(number), partition=partition)
            sent.result(30)
        producer.close()

    def cursors(self) -> dict[int, Cursor]:
        with self.store.read() as transaction:
            found = cursors.listed(transaction, Door.TOPIC)
        return {cursor.partition: cursor for cursor in found}


def _event(number: int) -> bytes:
    return (
        b'{"usage_id":"%d","timestamp":"2026-10-01T12:00:00Z","team_id":"A","cost_usd":1}' % number
    )


def _until(condition: Callable[[], bool], step: Callable[[], object], turns: int = 90) -> None:
    for _ in range(turns):
        if condition():
            return
        step()
    raise AssertionError("it did not come about")


@pytest.fixture
def rig(kafka: BrokerServer, tmp_path: Path) -> Iterator[Rig]:
    store = Store(f"sqlite:///{tmp_path / 'books.db'}")
    schema.upgrade(store)
    broker = KafkaBroker(kafka.bootstrap_servers, patience=Patience(answer_s=5, session_s=6))
    topic = f"usage-{uuid4().hex[:8]}"
    broker.create_topic(topic, 2)
    yield Rig(store, broker, topic)
    broker.close()
    store.close()


def test_a_batch_that_is_never_decoded_stops_its_partition_after_three_attempts_and_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1, 666, 2, partition=0)
    rig.put(3, partition=1)
    read = DefaultRecordBatch._read_msg  # type: ignore[attr-defined]

    def fails(batch: Any, *arguments: Any, **more: Any) -> Any:
        record = read(batch, *arguments, **more)
        if record.value == _event(666):
            raise ValueError("it cannot be decoded")
        return record

    monkeypatch.setattr(DefaultRecordBatch, "_read_msg", fails)
    stop, ingest = threading.Event(), rig.role()

    def beat(waits_for: str | None = None) -> None:
        rig.beat(waits_for)
        both = rig.cursors()
        if both and both[0].stopped and both[1].tally.accepted:
            stop.set()

    thread = threading.Thread(target=ingest.run, args=(stop, beat))
    thread.start()
    thread.join(120)
    stop.set()
    assert not thread.is_alive()
    place = TopicPartition(rig.topic, 0)
    ((at, errors),) = ingest.undecodable.items()
    assert (at, len(errors)) == ((place, 1), offsets.ATTEMPTS_MAX)
    stopped = rig.cursors()[0]
    assert stopped.tally.accepted == 1
    assert f"{place}:1 cannot be decoded" in str(stopped.stopped)
    assert f"chargeback offsets skip {place}:1" in str(stopped.stopped)


def test_lag_counts_what_is_not_stored_while_the_database_is_held_up_and_falls_to_nothing_after(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "_ASK_S", 0.1)
    # One event is written, one is gathered behind it, and then the role waits and polls no more.
    rig.batch_events = 1
    role, stop = rig.role(), threading.Event()

    def shown() -> dict[str, float]:
        (family,) = role.metrics.consumer_lag.collect()
        return {sample.labels["partition"]: sample.value for sample in family.samples}

    def comes_to(first: int, second: int) -> None:
        wanted = {"0": first, "1": second}
        _until(lambda: shown() == wanted, lambda: time.sleep(0.1), turns=600)

    thread = threading.Thread(target=role.run, args=(stop, rig.beat))
    thread.start()
    try:
        comes_to(0, 0)
        with rig.store.begin():
            rig.put(1, 2, 3, partition=0)
            comes_to(3, 0)
            rig.put(4, 5, partition=0)
            rig.put(6, partition=1)
            comes_to(5, 1)
            assert sum(cursor.tally.consumed for cursor in rig.cursors().values()) == 0
        comes_to(0, 0)
        assert sum(cursor.tally.accepted for cursor in rig.cursors().values()) == 6
    finally:
        stop.set()
        thread.join(60)
    assert shown() == {}


def test_a_partition_that_the_client_has_lost_unheard_discards_the_consumer(rig: Rig) -> None:
    session, consumer = rig.session()
    lost = next(iter(session.positions.held))
    client: Any = consumer._client
    client._subscription.assignment.clear()
    with pytest.raises(ConsumerBroken, match="not assigned any more"):
        session.positions.wait_for([lost])
    with pytest.raises(ConsumerBroken):
        consumer.poll(0, 1)
    consumer.close()


def test_a_broker_that_is_away_is_told_though_a_poll_is_only_silent(
    rig: Rig, kafka: BrokerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_SILENCE_S", 0.0)
    session, consumer = rig.session()
    session.turn()
    assert rig.beats[-1] is None
    of_session = session._role.lag
    ends = lag.Ends(KafkaBroker(kafka.bootstrap_servers, patience=Patience(answer_s=1)), of_session)
    place = TopicPartition(rig.topic, 0)
    ends.ask()
    known = of_session._asked
    assert known[place] == 0
    kafka.stop()
    try:
        _until(lambda: "did not answer" in str(rig.beats[-1]), session.turn)
        ends.ask()
        assert of_session._asked == known
    finally:
        kafka.start()
    _until(lambda: rig.beats[-1] is None, session.turn)
    rig.put(1, partition=0)
    _until(lambda: of_session._asked.get(place) == 1, ends.ask)
    ends.close()
    consumer.close()

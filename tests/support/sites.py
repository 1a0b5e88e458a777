"""The brokers that the contract suite runs on, each with what only a test does to it."""

import itertools
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

import kafka

from chargeback_worker.broker import Broker, Consumer, Message, Reader, TopicPartition
from chargeback_worker.broker.kafka import KafkaBroker, Patience
from chargeback_worker.broker.kafka_consumer import KafkaConsumer, KafkaReader
from chargeback_worker.broker.kafka_producer import KafkaProducer
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.broker.memory_log import Transaction

# Longer than a session of a member that left without a word would hold anybody up.
DEADLINE_S = 15.0
SESSION_S = 30.0

_numbers = itertools.count(1)


class Site(Protocol):
    """A broker and the hands of somebody who runs it."""

    broker: Broker
    knows_topic_ids: bool

    def recreate(self, topic: str) -> None: ...

    def drop_before(self, partition: TopicPartition, offset: int) -> None: ...

    def transact(self, partition: TopicPartition, values: list[bytes], *, commit: bool) -> None: ...

    def committed(self, group_id: str, partition: TopicPartition) -> int | None: ...

    def close(self) -> None: ...


class MemorySite:
    def __init__(self) -> None:
        self.memory = MemoryBroker()
        self.broker: Broker = self.memory
        self.knows_topic_ids = True

    def recreate(self, topic: str) -> None:
        self.memory.recreate_topic(topic)

    def drop_before(self, partition: TopicPartition, offset: int) -> None:
        log = self.memory.log(partition)
        assert log is not None
        log.delete_before(offset)

    def transact(self, partition: TopicPartition, values: list[bytes], *, commit: bool) -> None:
        transaction = Transaction()
        for value in values:
            self.memory.put(
                partition.topic, value, partition=partition.partition, transaction=transaction
            )
        if commit:
            transaction.commit()
        else:
            transaction.abort()

    def committed(self, group_id: str, partition: TopicPartition) -> int | None:
        return self.memory.group(group_id).committed.get(partition)

    def close(self) -> None:
        pass


class TrackedBroker(KafkaBroker):
    """Closes its clients itself, also those of a test that failed before it could."""

    def __init__(
        self,
        servers: str,
        options: Mapping[str, object] | None = None,
        patience: Patience | None = None,
    ) -> None:
        # Members hear of each other in the answers to their heartbeats.
        super().__init__(servers, {"heartbeat_interval_ms": 300, **(options or {})}, patience)
        self._made: list[KafkaReader | KafkaProducer] = []

    def consumer(self, group_id: str, instance_id: str | None = None) -> KafkaConsumer:
        consumer = super().consumer(group_id, instance_id)
        self._made.append(consumer)
        return consumer

    def reader(self) -> KafkaReader:
        reader = super().reader()
        self._made.append(reader)
        return reader

    def producer(self) -> KafkaProducer:
        producer = super().producer()
        self._made.append(producer)
        return producer

    def close(self) -> None:
        for client in self._made:
            client.close()
        super().close()


class WireSite:
    """A broker behind the real adapter; what a test does to it goes past the adapter."""

    def __init__(self, servers: str, *, knows_topic_ids: bool = True) -> None:
        self._servers = servers
        self.knows_topic_ids = knows_topic_ids
        self.broker: Broker = TrackedBroker(servers, patience=Patience(session_s=SESSION_S))
        self._admin = kafka.KafkaAdminClient(bootstrap_servers=servers)

    def recreate(self, topic: str) -> None:
        before = self.broker.describe(topic)
        assert before is not None
        self._admin.delete_topics([topic])
        until(lambda: self.broker.describe(topic) is None)
        until(lambda: self.broker.create_topic(topic, before.partitions))

    def drop_before(self, partition: TopicPartition, offset: int) -> None:
        self._admin.delete_records({kafka.TopicPartition(*partition): offset})

    def transact(self, partition: TopicPartition, values: list[bytes], *, commit: bool) -> None:
        producer = kafka.KafkaProducer(
            bootstrap_servers=self._servers, transactional_id=unique("transaction")
        )
        producer.init_transactions()
        producer.begin_transaction()
        for value in values:
            producer.send(partition.topic, value, partition=partition.partition)
        if commit:
            producer.commit_transaction()
        else:
            producer.flush()
            producer.abort_transaction()
        producer.close()

    def committed(self, group_id: str, partition: TopicPartition) -> int | None:
        found = self._admin.list_group_offsets([group_id])[group_id]  # type: ignore[no-untyped-call]
        theirs = found.get(kafka.TopicPartition(*partition))
        return None if theirs is None else int(theirs.offset)

    def close(self) -> None:
        self._admin.close()
        self.broker.close()


class Places:
    """A listener that starts at the beginning, or at given offsets, and remembers what it heard."""

    def __init__(self, consumer: Consumer, starts: dict[TopicPartition, int] | None = None) -> None:
        self._consumer = consumer
        self._starts = starts or {}
        self.heard: list[tuple[str, list[int]]] = []

    def on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._note("assigned", partitions)
        self._consumer.seek_to_beginning([p for p in partitions if p not in self._starts])
        for partition in partitions:
            if partition in self._starts:
                self._consumer.seek(partition, self._starts[partition])

    def on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        self._note("revoked", partitions)

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        self._note("lost", partitions)

    def _note(self, what: str, partitions: Collection[TopicPartition]) -> None:
        self.heard.append((what, sorted(partition.partition for partition in partitions)))


def unique(stem: str) -> str:
    """A name that nobody else on this broker uses."""
    return f"{stem}-{os.getpid()}-{next(_numbers)}"


def make_topic(broker: Broker, partitions: int = 1, **config: str) -> str:
    """A new topic; settings with `_` for the dots of their names."""
    name = unique("topic")
    settings = {setting.replace("_", "."): value for setting, value in config.items()}
    assert broker.create_topic(name, partitions, settings)
    return name


def subscribed(
    broker: Broker, topic: str, group_id: str, instance_id: str | None = None
) -> tuple[Consumer, Places]:
    """A member that starts at the beginning."""
    consumer = broker.consumer(group_id, instance_id)
    places = Places(consumer)
    consumer.subscribe(topic, places)
    return consumer, places


def send_all(broker: Broker, topic: str, values: Iterable[bytes], partition: int = 0) -> None:
    producer = broker.producer()
    deliveries = [
        producer.send(topic, key=None, value=value, partition=partition) for value in values
    ]
    for delivery in deliveries:
        delivery.result(DEADLINE_S)
    producer.close()


def gather(reader: Reader, count: int) -> list[Message]:
    """Poll until there are that many messages; fails when they do not come."""
    found: list[Message] = []

    def enough() -> bool:
        for messages in reader.poll(0.5, 500).values():
            found.extend(messages)
        return len(found) >= count

    until(enough)
    return found


def until(done: Callable[[], object]) -> None:
    """Ask again and again; fails when the answer stays no."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"

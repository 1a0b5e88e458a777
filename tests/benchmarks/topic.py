"""What waits in an outbox: published to a topic, read back from it, and sent by the bare client."""

from typing import Any

import kafka
import msgspec
import sqlalchemy as sa

from chargeback_worker.broker import Message, TopicPartition
from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.broker.kafka_options import ALWAYS, FIXED_WRITING, WRITING
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.pipeline.publish import publish as publish_round
from chargeback_worker.store import Store
from chargeback_worker.store.tables import outbox
from tests.benchmarks.child import Clock, Found

_PARTITIONS = 6
_NOW_US = 1_797_940_800_000_000
_PATIENCE_S = 30
_AT_ONCE = 10_000


def publish(url: str, servers: str, topic: str) -> Found:
    """Publish all there is, round by round, as the publisher does."""
    store, broker = Store(url), KafkaBroker(servers)
    broker.create_topic(topic, _PARTITIONS)
    producer = broker.producer()
    clock, rounds, sent = Clock(), 0, 0
    while True:
        done = publish_round(store, producer, topic, owner="bench", now_us=_NOW_US)
        assert done is not None
        assert done.failure is None
        assert not done.parked, done
        rounds, sent = rounds + 1, sent + done.sent
        if not done.sent:
            break
    clock.lap("publish")
    producer.close()
    broker.close()
    store.close()
    return {**clock.found, "messages": sent, "rounds": rounds}


def check(url: str, servers: str, topic: str) -> Found:
    """Read the topic: no message lacks or comes before an earlier one of its key, and the end of a
    month is announced after all its invoices."""
    store, broker = Store(url), KafkaBroker(servers)
    seen: dict[bytes, int] = {}
    stamps: dict[str, int] = {}
    ends: dict[str, int] = {}
    for message in _read(broker, topic):
        headers = {name: value or b"" for name, value in message.headers}
        key, seq = message.key or b"", int(headers["seq"])
        assert seq <= seen.get(key, 0) + 1, (key, seq, seen.get(key))
        seen[key] = max(seq, seen.get(key, 0))
        period = msgspec.json.decode(message.value or b"")["period"]
        if headers["ce_type"].decode() == MessageType.PERIOD_CLOSED:
            ends[period] = message.timestamp_ms
        else:
            stamps[period] = max(message.timestamp_ms, stamps.get(period, 0))
    assert ends.keys() == stamps.keys(), (ends, stamps)
    assert all(stamps[period] <= ends[period] for period in ends), (stamps, ends)
    with store.read() as transaction:
        last = sa.func.max(outbox.c.seq).label("last")
        rows = transaction.execute(sa.select(outbox.c.key, last).group_by(outbox.c.key))
        expected = {row.key.encode(): row.last for row in rows}
    assert seen == expected, f"{len(seen)} keys on the topic, {len(expected)} in the outbox"
    broker.close()
    store.close()
    return {"messages": sum(seen.values())}


def _read(broker: KafkaBroker, topic: str) -> list[Message]:
    reader = broker.reader()
    partitions = [TopicPartition(topic, number) for number in range(_PARTITIONS)]
    reader.assign(partitions)
    reader.seek_to_beginning(partitions)
    ends = reader.end_offsets(partitions)
    found: list[Message] = []
    while any((reader.position(partition) or 0) < end for partition, end in ends.items()):
        for messages in reader.poll(_PATIENCE_S, _AT_ONCE).values():
            found += messages
    reader.close()
    return found


def produce(url: str, servers: str, topic: str) -> Found:
    """The same bytes by the client alone, with our options, all in one go."""
    store, broker = Store(url), KafkaBroker(servers)
    broker.create_topic(topic, _PARTITIONS)
    with store.read() as transaction:
        columns = (outbox.c.key, outbox.c.headers, outbox.c.payload)
        rows = transaction.execute(sa.select(*columns).order_by(outbox.c.message_id)).all()
    read = [(row.key.encode(), bytes(row.payload), _headers(row.headers)) for row in rows]
    settings: dict[str, Any] = {**ALWAYS, **WRITING, **FIXED_WRITING}
    known = kafka.KafkaProducer.DEFAULT_CONFIG
    options = {name: value for name, value in settings.items() if name in known}
    producer = kafka.KafkaProducer(bootstrap_servers=servers.split(","), **options)
    clock = Clock()
    for key, value, headers in read:
        producer.send(topic, key=key, value=value, headers=headers)
    producer.flush(_PATIENCE_S)
    clock.lap("produce")
    producer.close()
    broker.close()
    store.close()
    return {**clock.found, "messages": len(read)}


def _headers(stored: str) -> list[tuple[str, bytes]]:
    return [(name, text.encode()) for name, text in msgspec.json.decode(stored)]

"""A topic of usage: filled, and read by the bare client, whose messages are only decoded."""

from typing import Any

import kafka
import msgspec
from kafka.structs import TopicPartition

from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.broker.kafka_options import ALWAYS, READING
from tests.benchmarks.child import Clock, Found
from tests.benchmarks.usage_stream import PARTITIONS, usage

_AT_ONCE = 20_000
_PATIENCE_S = 60


def fill_topic(servers: str, topic: str, events: int, seed: int) -> Found:
    """Make a topic with so many events of the stream."""
    broker = KafkaBroker(servers)
    broker.create_topic(topic, PARTITIONS)
    broker.create_topic("invoices", 1)
    broker.close()
    producer = kafka.KafkaProducer(
        bootstrap_servers=servers.split(","),
        acks=1,
        linger_ms=50,
        batch_size=512 * 1024,
        metrics_enabled=False,
    )
    clock = Clock()
    for number, sent in enumerate(usage(events, seed), 1):
        producer.send(topic, key=sent.key, value=sent.value, partition=sent.partition)
        if number % (10 * _AT_ONCE) == 0:
            producer.flush(_PATIENCE_S)
    producer.flush(_PATIENCE_S)
    producer.close()
    clock.lap("fill")
    return {**clock.found, "events": events}


def consume(servers: str, topic: str, events: int) -> Found:
    """Read a topic from its beginning by the client alone, with our options, and decode."""
    options: dict[str, Any] = {**ALWAYS, **READING, "max_poll_records": _AT_ONCE}
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=servers.split(","),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **{name: options[name] for name in options if name in kafka.KafkaConsumer.DEFAULT_CONFIG},
    )
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    first = read = sum(map(len, consumer.poll(timeout_ms=_PATIENCE_S * 1000).values()))
    decode = msgspec.json.Decoder().decode
    clock = Clock()
    while read < events:
        polled = consumer.poll(timeout_ms=_PATIENCE_S * 1000)
        assert polled, f"nothing came after {read} events"
        for records in polled.values():
            for record in records:
                decode(record.value)
            read += len(records)
    clock.lap("consume")
    consumer.close()
    return {"rate": max(read - first, 1) / clock.found["consume"], "events": read}

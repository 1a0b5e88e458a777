"""What only the real client does, and what the adapter makes of it."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import kafka as client_library
import pytest
from kafka.errors import ClusterAuthorizationFailedError, UnsupportedVersionError

from chargeback_worker.broker import TopicPartition, kafka_consumer
from chargeback_worker.broker.errors import (
    BrokerUnreachable,
    ConsumerBroken,
    DeliveryFailed,
    MemberFenced,
    MissingTopic,
    UndecodableBatch,
    UnusableOption,
)
from chargeback_worker.broker.kafka import KafkaBroker, Patience
from tests.support.brokers import BrokerServer
from tests.support.ladder import free_port
from tests.support.sites import (
    DEADLINE_S,
    Places,
    TrackedBroker,
    gather,
    make_topic,
    send_all,
    subscribed,
    unique,
    until,
)


@pytest.fixture
def broker(kafka: BrokerServer) -> Iterator[KafkaBroker]:
    found = TrackedBroker(kafka.bootstrap_servers)
    yield found
    found.close()


@pytest.fixture
def nobody() -> KafkaBroker:
    return KafkaBroker(f"127.0.0.1:{free_port()}", patience=Patience(answer_s=0.5))


def test_a_broker_that_is_not_there_is_one_clear_error_and_leaves_no_thread(
    nobody: KafkaBroker,
) -> None:
    before = threading.active_count()
    for attempt in (
        nobody.topics,
        nobody.producer,
        nobody.reader,
        lambda: nobody.consumer("group"),
        lambda: nobody.describe("topic"),
        lambda: nobody.create_topic("topic", 1),
    ):
        with pytest.raises(BrokerUnreachable, match=r"The broker at 127\.0\.0\.1:\d+") as raised:
            attempt()
        assert "kafka.bootstrap_servers" in raised.value.hint
    assert threading.active_count() == before


def test_clients_that_are_closed_leave_no_thread(broker: KafkaBroker) -> None:
    topic = make_topic(broker)
    before = threading.active_count()
    producer = broker.producer()
    producer.send(topic, key=b"k", value=b"v").result(DEADLINE_S)
    consumer, _ = subscribed(broker, topic, unique("group"))
    gather(consumer, 1)
    producer.close()
    consumer.close()
    assert threading.active_count() == before


def test_an_unknown_option_is_named_with_those_near_it() -> None:
    with pytest.raises(UnusableOption, match="sasl_mechanism") as raised:
        KafkaBroker("127.0.0.1:9", {"sasl_mechanisms": "PLAIN"})
    assert raised.value.option == "sasl_mechanisms"


@pytest.mark.parametrize(
    "option", ["enable_auto_commit", "auto_offset_reset", "acks", "group_id", "value_deserializer"]
)
def test_an_option_that_promises_rest_on_cannot_be_set(option: str) -> None:
    with pytest.raises(UnusableOption, match="worker itself"):
        KafkaBroker("127.0.0.1:9", {option: "anything"})


def test_security_options_reach_every_client(kafka: BrokerServer) -> None:
    options = {"sasl_plain_username": "me", "sasl_mechanism": "SCRAM-SHA-512"}
    broker = TrackedBroker(kafka.bootstrap_servers, {**options, "ssl_ciphers": "HIGH"})
    broker.topics()
    clients: list[Any] = [broker._admin]
    clients += [made._client for made in (broker.reader(), broker.producer(), broker.consumer("g"))]
    for client in clients:
        assert options.items() <= client.config.items()
    broker.close()


def test_a_file_that_is_not_there_is_named_before_anything_connects() -> None:
    with pytest.raises(UnusableOption, match=r"ssl_cafile.*there is no file /nowhere/ca\.pem"):
        KafkaBroker("127.0.0.1:9", {"ssl_cafile": "/nowhere/ca.pem"})


def test_a_security_protocol_that_is_none_does_not_become_a_plain_connection() -> None:
    with pytest.raises(UnusableOption, match="'SASL-SSL' is none of"):
        KafkaBroker("127.0.0.1:9", {"security_protocol": "SASL-SSL"})


def test_an_option_of_a_wrong_value_is_a_configuration_fault(kafka: BrokerServer) -> None:
    broker = KafkaBroker(kafka.bootstrap_servers, {"connections_max_idle_ms": 1})
    with pytest.raises(UnusableOption, match="connections_max_idle_ms"):
        broker.reader()


def test_sending_to_a_missing_topic_names_it(kafka: BrokerServer) -> None:
    broker = TrackedBroker(kafka.bootstrap_servers, {"max_block_ms": 300})
    topic = unique("nowhere")
    producer = broker.producer()
    with pytest.raises(MissingTopic, match=topic):
        producer.send(topic, key=b"k", value=b"v")
    producer.close()
    broker.close()


def test_what_is_too_large_is_for_the_topic_to_say(broker: KafkaBroker) -> None:
    """An invoice of many lines is one message."""
    large = bytes(range(256)) * 20_000
    topic = make_topic(broker, max_message_bytes="8000000")
    send_all(broker, topic, [b"small", large, b"small"])
    place = TopicPartition(topic, 0)
    reader = broker.reader()
    reader.assign([place])
    reader.seek_to_beginning([place])
    assert [message.value for message in gather(reader, 3)] == [b"small", large, b"small"]
    reader.close()


def test_a_batch_that_cannot_be_decoded_is_named_and_does_not_hang(
    broker: KafkaBroker, kafka: BrokerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topic(broker)
    partition = TopicPartition(topic, 0)
    send_all(broker, topic, [b"good", b"good"])
    zipped = client_library.KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, compression_type="gzip"
    )
    zipped.send(topic, b"bad" * 1000).get(DEADLINE_S)  # type: ignore[no-untyped-call]
    zipped.close()

    def torn(data: bytes) -> bytes:
        raise EOFError("the compressed data ended early")

    monkeypatch.setattr("kafka.record.default_records.gzip_decode", torn)
    consumer, _ = subscribed(broker, topic, unique("group"))
    with pytest.raises(UndecodableBatch, match=f"{topic}:0:2 cannot be decoded") as raised:
        gather(consumer, 3)
    assert (raised.value.partition, raised.value.offset) == (partition, 2)
    # The client itself would never return from this one.
    with pytest.raises(ConsumerBroken):
        consumer.poll(1, 10)
    consumer.close()


def test_a_second_process_under_one_name_fences_the_first(broker: KafkaBroker) -> None:
    topic = make_topic(broker)
    group = unique("group")
    first, _ = subscribed(broker, topic, group, "worker-0")
    until(lambda: first.poll(0.3, 10) or first.assignment())
    second, _ = subscribed(broker, topic, group, "worker-0")
    until(lambda: second.poll(0.3, 10) or second.assignment())
    with pytest.raises(MemberFenced, match="worker-0"):
        until(lambda: first.poll(0.3, 10) and False)
    first.close()
    second.close()


def test_a_join_that_a_short_poll_leaves_under_way_is_not_forgotten(broker: KafkaBroker) -> None:
    topic = make_topic(broker, partitions=2)
    consumer, places = subscribed(broker, topic, unique("group"), "worker-0")
    group: Any = consumer._client._coordinator  # type: ignore[attr-defined]
    until(lambda: consumer.poll(0.3, 10) or (places.heard and not group.need_rejoin()))
    # As if the topic had another number of partitions when it was divided: the client joins anew.
    group._assignment_snapshot = {}
    del places.heard[:]
    consumer.poll(0, 10)
    # It divides the topic again while nobody polls, and with that its reason to join is gone.
    until(lambda: group._join_task is None or group._join_task.is_done)
    assert group._assignment_snapshot == group._metadata_snapshot
    until(lambda: consumer.poll(0.3, 10) or ("assigned", [0, 1]) in places.heard)
    until(lambda: consumer.poll(0.3, 10) or group._heartbeat_enabled)
    consumer.close()


@pytest.mark.parametrize("refusal", [ClusterAuthorizationFailedError, UnsupportedVersionError])
def test_a_broker_that_may_not_or_cannot_tell_its_time_tells_none(
    broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
) -> None:
    def refused(admin: Any) -> None:
        raise refusal("no")

    monkeypatch.setattr(client_library.KafkaAdminClient, "describe_metadata_quorum", refused)
    assert broker.clock_ms() is None


def test_a_poll_that_waits_can_be_woken(broker: KafkaBroker) -> None:
    topic = make_topic(broker)
    consumer, places = subscribed(broker, topic, unique("group"))
    until(lambda: consumer.poll(0.3, 10) or places.heard)
    threading.Timer(0.1, consumer.wakeup).start()
    started = time.monotonic()
    assert consumer.poll(60, 10) == {}
    assert time.monotonic() - started < 30
    consumer.close()


def test_a_broker_that_goes_away_and_comes_back_loses_nothing(kafka: BrokerServer) -> None:
    broker = TrackedBroker(
        kafka.bootstrap_servers,
        {"delivery_timeout_ms": 1_500, "request_timeout_ms": 1_000},
        Patience(answer_s=1),
    )
    topic = make_topic(broker)
    partition = TopicPartition(topic, 0)
    consumer, _ = subscribed(broker, topic, unique("group"))
    producer = broker.producer()
    producer.send(topic, key=b"k", value=b"1").result(DEADLINE_S)
    assert [message.value for message in gather(consumer, 1)] == [b"1"]

    kafka.kill()
    assert consumer.poll(0.5, 10) == {}
    assert consumer.position(partition) == 1
    with pytest.raises(DeliveryFailed):
        producer.send(topic, key=b"k", value=b"lost").result(DEADLINE_S)
    producer.close()
    with pytest.raises(BrokerUnreachable):
        consumer.end_offsets([partition])

    kafka.start()
    again = broker.producer()
    again.send(topic, key=b"k", value=b"2").result(DEADLINE_S)
    again.close()
    assert [message.value for message in gather(consumer, 1)] == [b"2"]
    consumer.close()
    broker.close()


def test_a_listener_may_ask_the_broker(broker: KafkaBroker) -> None:
    topic = make_topic(broker, 2)
    send_all(broker, topic, [b"a"])
    consumer = broker.consumer(unique("group"))
    asked: dict[TopicPartition, int] = {}

    class Asking(Places):
        def on_assigned(self, partitions: "object") -> None:
            parts = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
            asked.update(consumer.end_offsets(parts))
            for part, end in asked.items():
                consumer.seek(part, end)
                assert consumer.position(part) == end

    consumer.subscribe(topic, Asking(consumer))
    until(lambda: consumer.poll(0.3, 10) or asked)
    assert asked == {TopicPartition(topic, 0): 1, TopicPartition(topic, 1): 0}
    send_all(broker, topic, [b"b"])
    assert [message.value for message in gather(consumer, 1)] == [b"b"]
    consumer.close()


def test_a_static_member_that_comes_back_finds_partitions_that_were_added_meanwhile(
    kafka: BrokerServer, broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_consumer, "_ASK_AGAIN_S", 0.0)
    topic, group = make_topic(broker, 1), unique("group")
    before, places = subscribed(broker, topic, group, "one")
    until(lambda: before.poll(0.2, 1) == {} and places.heard)
    before.close()
    admin = client_library.KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.create_partitions({topic: 2})
    admin.close()
    until(lambda: (found := broker.describe(topic)) and found.partitions == 2)
    after, _ = subscribed(broker, topic, group, "one")
    until(lambda: after.poll(0.2, 1) == {} and len(after.assignment()) == 2)


def test_a_topic_that_is_made_anew_under_a_consumer_breaks_it(
    kafka: BrokerServer,
) -> None:
    broker = TrackedBroker(kafka.bootstrap_servers, {"metadata_max_age_ms": 200})
    topic = make_topic(broker, 1)
    consumer, places = subscribed(broker, topic, unique("group"))
    until(lambda: consumer.poll(0.2, 1) == {} and places.heard)
    admin = client_library.KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_topics([topic])
    until(lambda: broker.create_topic(topic, 1))
    admin.close()
    with pytest.raises(ConsumerBroken, match="made anew"):
        until(lambda: consumer.poll(0.2, 1))
    broker.close()

"""What every broker keeps: in memory, the embedded one, and Apache Kafka."""

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import pytest

from chargeback_worker.broker import Consumer, Message, Reader, TopicPartition
from chargeback_worker.broker.errors import (
    ConsumerBroken,
    MessageRefused,
    MissingTopic,
    OffsetOutOfRange,
)
from tests.support.sites import (
    DEADLINE_S,
    Places,
    Site,
    WireSite,
    gather,
    make_topic,
    send_all,
    subscribed,
    unique,
    until,
)


def placed(site: Site, partition: TopicPartition, offset: int) -> Reader:
    reader = site.broker.reader()
    reader.assign([partition])
    reader.seek(partition, offset)
    return reader


def values(messages: list[Message]) -> list[bytes | None]:
    return [message.value for message in messages]


def test_a_message_comes_back_as_it_was_sent(site: Site) -> None:
    topic = make_topic(site.broker, 3)
    producer = site.broker.producer()
    headers = [("ce_id", b"1"), ("ce_id", b"2"), ("content-type", "käse".encode())]
    sent = producer.send(topic, key=b"team:a", value=b"\x00\xff", headers=headers)
    partition, offset = sent.result(DEADLINE_S)
    producer.close()

    reader = placed(site, partition, offset)
    (message,) = gather(reader, 1)
    reader.close()

    assert (message.partition, message.offset) == (partition, offset)
    assert (message.key, message.value) == (b"team:a", b"\x00\xff")
    assert list(message.headers) == headers


def test_a_tombstone_has_no_value(site: Site) -> None:
    topic = make_topic(site.broker)
    producer = site.broker.producer()
    producer.send(topic, key=b"k", value=None).result(DEADLINE_S)
    producer.close()
    consumer, _ = subscribed(site.broker, topic, unique("group"))
    (message,) = gather(consumer, 1)
    consumer.close()
    assert message.value is None
    assert message.headers == ()


def test_messages_of_one_key_keep_their_order(site: Site) -> None:
    topic = make_topic(site.broker, 3)
    producer = site.broker.producer()
    for number in range(300):
        producer.send(topic, key=b"k%d" % (number % 7), value=b"%d" % number)
    producer.flush(DEADLINE_S)
    producer.close()

    consumer, _ = subscribed(site.broker, topic, unique("group"))
    found = gather(consumer, 300)
    consumer.close()

    for key in range(7):
        mine = [m for m in found if m.key == b"k%d" % key]
        assert values(mine) == [b"%d" % number for number in range(key, 300, 7)]
        assert len({message.partition for message in mine}) == 1


def test_a_poll_returns_no_more_than_it_was_asked_for(site: Site) -> None:
    topic = make_topic(site.broker)
    partition = TopicPartition(topic, 0)
    send_all(site.broker, topic, [b"%d" % number for number in range(25)])
    reader = placed(site, partition, 0)
    seen: list[bytes | None] = []

    def drained() -> bool:
        batch = reader.poll(0.5, 10).get(partition, [])
        assert len(batch) <= 10
        seen.extend(values(batch))
        assert reader.position(partition) == len(seen)
        return len(seen) == 25

    until(drained)
    reader.close()
    assert seen == [b"%d" % number for number in range(25)]


def test_the_position_is_where_the_last_seek_went(site: Site) -> None:
    topic = make_topic(site.broker)
    partition = TopicPartition(topic, 0)
    send_all(site.broker, topic, [b"a", b"b", b"c"])
    reader = placed(site, partition, 0)
    assert reader.position(partition) == 0
    assert values(gather(reader, 3)) == [b"a", b"b", b"c"]
    assert reader.position(partition) == 3
    reader.seek(partition, 1)
    assert reader.position(partition) == 1
    assert values(gather(reader, 2)) == [b"b", b"c"]
    reader.seek_to_beginning([partition])
    assert reader.position(partition) == 0
    assert values(gather(reader, 3)) == [b"a", b"b", b"c"]
    reader.close()


def test_the_beginning_is_after_what_retention_dropped(site: Site) -> None:
    topic = make_topic(site.broker)
    partition = TopicPartition(topic, 0)
    send_all(site.broker, topic, [b"%d" % number for number in range(5)])
    site.drop_before(partition, 3)
    consumer, _ = subscribed(site.broker, topic, unique("group"))
    assert values(gather(consumer, 2)) == [b"3", b"4"]
    assert consumer.beginning_offsets([partition]) == {partition: 3}
    assert consumer.end_offsets([partition]) == {partition: 5}
    consumer.close()


def test_where_partitions_end_is_told_to_a_reader_that_reads_none_of_them(site: Site) -> None:
    topic = make_topic(site.broker, 2)
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    reader = site.broker.reader()
    send_all(site.broker, topic, [b"a", b"b"], 1)
    assert reader.end_offsets(both) == {both[0]: 0, both[1]: 2}
    send_all(site.broker, topic, [b"c"], 1)
    assert reader.end_offsets(both) == {both[0]: 0, both[1]: 3}
    reader.close()


def test_an_offset_that_the_broker_dropped_is_named_and_not_skipped(site: Site) -> None:
    topic = make_topic(site.broker)
    partition = TopicPartition(topic, 0)
    send_all(site.broker, topic, [b"%d" % number for number in range(5)])
    site.drop_before(partition, 3)
    reader = placed(site, partition, 1)
    with pytest.raises(OffsetOutOfRange, match=f"{topic}:0 holds nothing at offset 1"):
        gather(reader, 1)
    with pytest.raises(ConsumerBroken):
        reader.poll(0.1, 10)
    reader.close()


def test_an_offset_beyond_the_end_is_named(site: Site) -> None:
    topic = make_topic(site.broker)
    reader = placed(site, TopicPartition(topic, 0), 9)
    with pytest.raises(OffsetOutOfRange):
        gather(reader, 1)
    reader.close()


def test_the_position_moves_past_the_marker_of_a_transaction(site: Site) -> None:
    topic = make_topic(site.broker)
    partition = TopicPartition(topic, 0)
    site.transact(partition, [b"a", b"b"], commit=True)
    reader = placed(site, partition, 0)
    assert values(gather(reader, 2)) == [b"a", b"b"]
    until(lambda: reader.poll(0.2, 10) == {} and reader.position(partition) == 3)
    assert reader.end_offsets([partition]) == {partition: 3}
    reader.close()


def test_the_position_moves_past_an_aborted_transaction_without_a_message(site: Site) -> None:
    topic = make_topic(site.broker)
    partition = TopicPartition(topic, 0)
    site.transact(partition, [b"never"], commit=False)
    reader = placed(site, partition, 0)
    until(lambda: reader.poll(0.2, 10) == {} and reader.position(partition) == 2)
    send_all(site.broker, topic, [b"after"])
    assert values(gather(reader, 1)) == [b"after"]
    reader.close()


def test_the_listener_hears_what_is_assigned_and_may_place_it(site: Site) -> None:
    topic = make_topic(site.broker, 2)
    for partition in (0, 1):
        send_all(site.broker, topic, [b"a", b"b", b"c"], partition)
    consumer = site.broker.consumer(unique("group"))
    places = Places(consumer, {TopicPartition(topic, 1): 2})
    consumer.subscribe(topic, places)
    found = gather(consumer, 4)
    assert places.heard == [("assigned", [0, 1])]
    assert {(m.partition.partition, m.value) for m in found} == {
        (0, b"a"), (0, b"b"), (0, b"c"), (1, b"c"),
    }  # fmt: skip
    assert consumer.assignment() == {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    assert consumer.high_watermarks() == dict.fromkeys(consumer.assignment(), 3)
    consumer.close()


class Silent:
    """A listener that places nothing."""

    def on_assigned(self, partitions: Collection[TopicPartition]) -> None: ...

    def on_revoked(self, partitions: Collection[TopicPartition]) -> None: ...

    def on_lost(self, partitions: Collection[TopicPartition]) -> None: ...


class Failing(Silent):
    """A listener whose database is away."""

    def on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        raise LookupError("the database is away")


def test_a_partition_that_nobody_placed_is_not_read_from_anywhere(site: Site) -> None:
    topic = make_topic(site.broker)
    send_all(site.broker, topic, [b"a"])
    consumer = site.broker.consumer(unique("group"))
    consumer.subscribe(topic, Silent())
    with pytest.raises(AssertionError, match="where to start"):
        gather(consumer, 1)
    with pytest.raises(ConsumerBroken):
        consumer.poll(0.1, 10)
    consumer.close()


def test_a_listener_that_failed_ends_the_consumer(site: Site) -> None:
    topic = make_topic(site.broker)
    send_all(site.broker, topic, [b"a"])
    consumer = site.broker.consumer(unique("group"))
    consumer.subscribe(topic, Failing())
    with pytest.raises(LookupError, match="the database is away"):
        gather(consumer, 1)
    for _ in range(2):
        with pytest.raises(ConsumerBroken, match="the database is away"):
            consumer.poll(0.1, 10)
    consumer.close()


def polled_until(done: Callable[[], object], *consumers: Consumer) -> None:
    """Poll all of them at the same time until it is so, as members of a group do."""

    def polled() -> object:
        list(threads.map(lambda consumer: consumer.poll(0.5, 100), consumers))
        return done()

    with ThreadPoolExecutor(len(consumers)) as threads:
        until(polled)


def test_two_members_share_the_partitions_and_one_takes_over(site: Site) -> None:
    topic = make_topic(site.broker, 4)
    group = unique("group")
    first, heard_by_first = subscribed(site.broker, topic, group)
    polled_until(lambda: len(first.assignment()) == 4, first)
    second, _ = subscribed(site.broker, topic, group)
    polled_until(lambda: len(second.assignment()) == 2, first, second)
    polled_until(lambda: len(first.assignment()) == 2, first, second)
    assert not first.assignment() & second.assignment()
    assert heard_by_first.heard[:2] == [("assigned", [0, 1, 2, 3]), ("revoked", [0, 1, 2, 3])]

    second.close()
    polled_until(lambda: len(first.assignment()) == 4, first)
    first.close()


def test_a_member_without_a_partition_hears_of_it(site: Site) -> None:
    topic = make_topic(site.broker, 1)
    group = unique("group")
    first, first_heard = subscribed(site.broker, topic, group)
    second, second_heard = subscribed(site.broker, topic, group)
    polled_until(lambda: first_heard.heard and second_heard.heard, first, second)
    polled_until(
        lambda: (
            sorted(places.heard[-1] for places in (first_heard, second_heard))
            == [("assigned", []), ("assigned", [0])]
        ),
        first,
        second,
    )
    first.close()
    second.close()


def test_a_static_member_takes_its_partitions_back_before_its_session_ends(site: Site) -> None:
    topic = make_topic(site.broker, 2)
    group = unique("group")
    first, _ = subscribed(site.broker, topic, group, "worker-0")
    polled_until(lambda: len(first.assignment()) == 2, first)
    # A static member does not say good-bye, so closing it is to its group as killing it.
    first.close()
    again, _ = subscribed(site.broker, topic, group, "worker-0")
    polled_until(lambda: len(again.assignment()) == 2, again)
    again.close()


def test_committed_offsets_are_for_show_only(site: Site) -> None:
    topic = make_topic(site.broker)
    partition = TopicPartition(topic, 0)
    group = unique("group")
    send_all(site.broker, topic, [b"a", b"b", b"c"])
    consumer, _ = subscribed(site.broker, topic, group)
    gather(consumer, 3)
    consumer.commit({partition: 2})
    polled_until(lambda: site.committed(group, partition) == 2, consumer)
    consumer.commit({partition: 3})
    consumer.close()
    until(lambda: site.committed(group, partition) == 3)

    again, _ = subscribed(site.broker, topic, group)
    assert values(gather(again, 3)) == [b"a", b"b", b"c"]
    again.close()


def test_a_paused_partition_waits_without_losing_its_place(site: Site) -> None:
    topic = make_topic(site.broker, 2)
    consumer, _ = subscribed(site.broker, topic, unique("group"))
    polled_until(lambda: len(consumer.assignment()) == 2, consumer)
    held = TopicPartition(topic, 0)
    consumer.pause([held])
    send_all(site.broker, topic, [b"held"], 0)
    send_all(site.broker, topic, [b"free"], 1)
    assert values(gather(consumer, 1)) == [b"free"]
    assert consumer.poll(0.3, 10) == {}
    consumer.resume([held])
    assert values(gather(consumer, 1)) == [b"held"]
    consumer.close()


def test_the_broker_tells_its_own_time_or_none(site: Site) -> None:
    found = site.broker.clock_ms()
    if isinstance(site, WireSite) and site.knows_topic_ids:
        assert found is not None
        # It may be another machine's.
        assert abs(found - time.time_ns() // 1_000_000) < 60_000
    else:
        assert found is None


def test_a_topic_is_described_with_its_settings(site: Site) -> None:
    topic = make_topic(site.broker, 3, retention_ms="3600000")
    found = site.broker.describe(topic)
    assert found is not None
    assert (found.name, found.partitions) == (topic, 3)
    assert found.config["retention.ms"] == "3600000"
    assert topic in site.broker.topics()
    assert found.replicas == (1 if isinstance(site, WireSite) else None)


def test_a_group_is_described_with_its_members(site: Site) -> None:
    topic, group = make_topic(site.broker, 2), unique("group")
    found = site.broker.describe_group(group)
    assert found is None or found.members == ()
    consumer, _ = subscribed(site.broker, topic, group)
    polled_until(lambda: len(consumer.assignment()) == 2, consumer)
    found = site.broker.describe_group(group)
    consumer.close()
    if not isinstance(site, WireSite) or site.knows_topic_ids:
        assert found is not None
    if found is not None:
        assert (found.state, len(found.members)) == ("Stable", 1)
        assert found.members[0].instance_id is None


def test_a_topic_is_not_made_twice(site: Site) -> None:
    topic = make_topic(site.broker, 3)
    assert site.broker.create_topic(topic, 5) is False
    found = site.broker.describe(topic)
    assert found is not None
    assert found.partitions == 3


def test_a_topic_made_anew_has_another_id(site: Site) -> None:
    topic = make_topic(site.broker)
    consumer = site.broker.consumer(unique("group"))
    before = consumer.topic_id(topic)
    assert (before is not None) == site.knows_topic_ids
    assert consumer.topic_id(topic) == before
    site.recreate(topic)
    after = consumer.topic_id(topic)
    assert (after != before) == site.knows_topic_ids
    assert (after is not None) == site.knows_topic_ids
    consumer.close()


def test_a_missing_topic_is_one_clear_error(site: Site) -> None:
    topic = unique("nowhere")
    assert site.broker.describe(topic) is None
    consumer = site.broker.consumer(unique("group"))
    with pytest.raises(MissingTopic, match=f"There is no topic {topic}") as raised:
        consumer.subscribe(topic, Silent())
    assert raised.value.hint == "chargeback topics create"
    consumer.close()
    reader = site.broker.reader()
    with pytest.raises(MissingTopic):
        reader.assign([TopicPartition(topic, 0)])
    reader.close()
    assert topic not in site.broker.topics()


def test_a_message_that_is_too_large_is_refused_and_the_others_go_on(site: Site) -> None:
    topic = make_topic(site.broker)
    producer = site.broker.producer()
    before = producer.send(topic, key=b"k", value=b"before")
    large = producer.send(topic, key=b"k", value=bytes(1_100_000))
    after = producer.send(topic, key=b"k", value=b"after")
    producer.flush(DEADLINE_S)
    with pytest.raises(MessageRefused, match="for ever"):
        large.result(DEADLINE_S)
    assert before.result(DEADLINE_S)[1] == 0
    assert after.result(DEADLINE_S)[1] == 1
    producer.close()


def test_a_message_larger_than_its_topic_allows_is_refused(site: Site) -> None:
    topic = make_topic(site.broker, max_message_bytes="2000")
    producer = site.broker.producer()
    large = producer.send(topic, key=b"k", value=bytes(5_000))
    with pytest.raises(MessageRefused):
        large.result(DEADLINE_S)
    # One refusal is not held against those that follow.
    small = [producer.send(topic, key=b"k", value=b"small") for _ in range(3)]
    assert [delivery.result(DEADLINE_S)[1] for delivery in small] == [0, 1, 2]
    producer.close()


def test_a_message_that_its_topic_refuses_holds_up_none_that_is_sent_beside_it(site: Site) -> None:
    topic = make_topic(site.broker, max_message_bytes="2000")
    producer = site.broker.producer()
    values = [b"small", bytes(5_000), *[b"small"] * 5, bytes(5_000), b"small"]
    # At once: a client that sends them together has to find out which ones are refused.
    sent = [producer.send(topic, key=b"k", value=value) for value in values]
    producer.flush(DEADLINE_S)
    for value, delivery in zip(values, sent, strict=True):
        if value == b"small":
            assert delivery.result(0)
        else:
            with pytest.raises(MessageRefused):
                delivery.result(0)
    producer.close()


def test_a_reader_reads_everything_back(site: Site) -> None:
    topic = make_topic(site.broker, 2)
    for partition in (0, 1):
        send_all(site.broker, topic, [b"%d" % number for number in range(40)], partition)
    partitions = [TopicPartition(topic, number) for number in (0, 1)]
    reader = site.broker.reader()
    reader.assign(partitions)
    reader.seek_to_beginning(partitions)
    found = gather(reader, 80)
    assert {p: reader.position(p) for p in partitions} == reader.end_offsets(partitions)
    assert len(found) == 80
    reader.close()

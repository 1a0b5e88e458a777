"""A piece of a topic is read to its end, outside of any group, on every broker."""

import pytest

from chargeback_worker.broker import Message, TopicPartition
from chargeback_worker.broker.errors import BrokerUnreachable, OffsetOutOfRange
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.broker.ranges import ReadingStalled, bounds, read_ranges
from tests.support.sites import Site, gather, make_topic, send_all, subscribed, unique, until


def _read(site: Site, topic: str, partitions: int, last: int | None = None) -> list[Message]:
    """All of a topic, or so many offsets before each end."""
    reader = site.broker.reader()
    there = bounds(reader, topic, partitions)
    if last is not None:
        there = {place: (max(first, end - last), end) for place, (first, end) in there.items()}
    found = list(read_ranges(reader, there))
    reader.close()
    return found


def _values(messages: list[Message]) -> list[bytes | None]:
    return [message.value for message in messages]


def test_all_of_a_topic_is_read_each_partition_in_its_order(site: Site) -> None:
    topic = make_topic(site.broker, 3)
    send_all(site.broker, topic, [b"%d" % n for n in range(1_200)], 0)
    send_all(site.broker, topic, [b"a", b"b"], 2)
    found = _read(site, topic, 3)
    assert _values([m for m in found if m.partition.partition == 0]) == [
        b"%d" % n for n in range(1_200)
    ]
    assert _values([m for m in found if m.partition.partition != 0]) == [b"a", b"b"]


def test_the_last_messages_are_read_alone(site: Site) -> None:
    topic = make_topic(site.broker, 2)
    send_all(site.broker, topic, [b"1", b"2", b"3"], 0)
    send_all(site.broker, topic, [b"4"], 1)
    assert sorted(filter(None, _values(_read(site, topic, 2, last=1)))) == [b"3", b"4"]


def test_what_comes_after_the_end_that_was_named_is_left(site: Site) -> None:
    topic = make_topic(site.broker)
    send_all(site.broker, topic, [b"1", b"2"])
    reader = site.broker.reader()
    there = bounds(reader, topic, 1)
    send_all(site.broker, topic, [b"3"])
    assert _values(list(read_ranges(reader, there))) == [b"1", b"2"]
    reader.close()


def test_a_topic_without_messages_is_read_at_once(site: Site) -> None:
    assert _read(site, make_topic(site.broker, 2), 2) == []


@pytest.mark.parametrize("commit", [True, False])
def test_the_end_of_a_transaction_is_no_message_and_not_waited_for(
    site: Site, commit: bool
) -> None:
    topic = make_topic(site.broker)
    send_all(site.broker, topic, [b"before"])
    site.transact(TopicPartition(topic, 0), [b"within"], commit=commit)
    assert _values(_read(site, topic, 1)) == [b"before", *[b"within"] * commit]
    # The last offset is a marker.
    assert _read(site, topic, 1, last=1) == []


def test_what_retention_dropped_is_not_missed(site: Site) -> None:
    topic = make_topic(site.broker)
    send_all(site.broker, topic, [b"%d" % n for n in range(5)])
    site.drop_before(TopicPartition(topic, 0), 3)
    assert _values(_read(site, topic, 1)) == [b"3", b"4"]
    reader = site.broker.reader()
    with pytest.raises(OffsetOutOfRange):
        list(read_ranges(reader, {TopicPartition(topic, 0): (1, 5)}))
    reader.close()


def test_what_a_group_has_written_is_told_by_topic(site: Site) -> None:
    topic, other, group = make_topic(site.broker, 2), make_topic(site.broker), unique("group")
    assert site.broker.committed(group, topic) == {}
    send_all(site.broker, topic, [b"1", b"2"], 1)
    consumer, _ = subscribed(site.broker, topic, group)
    gather(consumer, 2)
    consumer.commit({TopicPartition(topic, 1): 2})

    def written() -> bool:
        consumer.poll(0.1, 10)
        return site.broker.committed(group, topic) == {TopicPartition(topic, 1): 2}

    until(written)
    consumer.close()
    assert site.broker.committed(group, topic) == {TopicPartition(topic, 1): 2}
    assert site.broker.committed(group, other) == {}


def test_a_broker_that_goes_away_meanwhile_is_named() -> None:
    broker = MemoryBroker()
    broker.create_topic("t", 1)
    broker.put("t", b"1")
    reader = broker.reader()
    there = bounds(reader, "t", 1)
    broker.away = True
    with pytest.raises(BrokerUnreachable):
        list(read_ranges(reader, there))
    with pytest.raises(BrokerUnreachable):
        broker.committed("g", "t")


def test_an_end_that_is_never_reached_is_named() -> None:
    broker = MemoryBroker()
    broker.create_topic("t", 1)
    broker.put("t", b"1")
    with pytest.raises(ReadingStalled, match="t:0 ends at 9, and nothing comes of it from 1 on"):
        list(read_ranges(broker.reader(), {TopicPartition("t", 0): (0, 9)}, patience_s=0))

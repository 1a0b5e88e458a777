"""What tests can do to the broker in memory, beyond the contract."""

import pytest

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.errors import (
    BrokerUnreachable,
    ConsumerBroken,
    DeliveryFailed,
    MemberFenced,
    MessageRefused,
    OffsetOutOfRange,
)
from chargeback_worker.broker.memory import MemoryBroker, SendFault
from chargeback_worker.broker.memory_group import MemoryConsumer
from chargeback_worker.broker.memory_log import Transaction
from tests.support.sites import Places

TOPIC = "usage-events"
FIRST = TopicPartition(TOPIC, 0)


def world(partitions: int = 2) -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, partitions)
    return broker


def member(broker: MemoryBroker, name: str | None = None) -> tuple[MemoryConsumer, Places]:
    consumer = broker.consumer("group", name)
    places = Places(consumer)
    consumer.subscribe(TOPIC, places)
    return consumer, places


def test_a_zombie_still_lists_its_partitions_and_hears_of_its_loss_at_its_next_poll() -> None:
    broker = world()
    zombie, heard = member(broker)
    broker.put(TOPIC, b"a", partition=0)
    assert zombie.poll(0, 10)
    zombie.evict()
    assert zombie.assignment() == {FIRST, TopicPartition(TOPIC, 1)}

    successor, _ = member(broker)
    assert [m.value for m in successor.poll(0, 10)[FIRST]] == [b"a"]
    assert zombie.assignment() == successor.assignment()

    zombie.commit({FIRST: 1})
    assert broker.group("group").committed == {}
    zombie.poll(0, 10)
    assert heard.heard == [("assigned", [0, 1]), ("lost", [0, 1]), ("assigned", [1])]


def test_a_killed_member_keeps_its_partitions_until_its_session_ends() -> None:
    broker = world()
    killed, _ = member(broker)
    killed.poll(0, 10)
    killed.kill()
    other, heard = member(broker)
    other.poll(0, 10)
    assert heard.heard == [("assigned", [1])]
    killed.evict()
    other.poll(0, 10)
    assert heard.heard[-1] == ("assigned", [0, 1])
    with pytest.raises(ConsumerBroken):
        killed.poll(0, 10)


def test_a_static_member_replaces_itself_and_nobody_else_notices() -> None:
    broker = world()
    first, _ = member(broker, "a")
    other, heard = member(broker, "b")
    first.poll(0, 10)
    other.poll(0, 10)
    first.poll(0, 10)
    generation = broker.group("group").generation
    again, _ = member(broker, "a")
    again.poll(0, 10)
    other.poll(0, 10)
    assert again.assignment() == {FIRST}
    assert heard.heard == [("assigned", [1])]
    assert broker.group("group").generation == generation
    with pytest.raises(MemberFenced):
        first.poll(0, 10)


def test_nothing_of_an_open_transaction_or_after_it_is_read() -> None:
    broker = world()
    transaction = Transaction()
    broker.put(TOPIC, b"later", partition=0, transaction=transaction)
    broker.put(TOPIC, b"plain", partition=0)
    consumer, _ = member(broker)
    assert consumer.poll(0, 10) == {}
    assert consumer.position(FIRST) == 0
    transaction.commit()
    assert [m.offset for m in consumer.poll(0, 10)[FIRST]] == [0, 1]
    assert consumer.position(FIRST) == 3


def test_a_lost_tail_gives_its_offsets_out_again() -> None:
    broker = world()
    consumer, _ = member(broker)
    for value in (b"a", b"b", b"c"):
        broker.put(TOPIC, value, partition=0)
    consumer.poll(0, 10)
    log = broker.log(FIRST)
    assert log is not None
    log.cut(1)
    with pytest.raises(OffsetOutOfRange):
        consumer.poll(0, 10)
    assert broker.put(TOPIC, b"other", partition=0) == (FIRST, 1)
    assert [m.value for m in log.messages()] == [b"a", b"other"]


def test_while_the_broker_is_away_polls_are_empty_and_questions_fail() -> None:
    broker = world()
    consumer, heard = member(broker)
    producer = broker.producer()
    broker.put(TOPIC, b"a", partition=0)
    broker.away = True
    assert consumer.poll(0, 10) == {}
    assert heard.heard == []
    for attempt in (broker.topics, lambda: producer.send(TOPIC, key=b"k", value=b"v")):
        with pytest.raises(BrokerUnreachable):
            attempt()
    broker.away = False
    assert consumer.poll(0, 10)


@pytest.mark.parametrize(
    ("fault", "error", "stored"),
    [
        (SendFault.LOST, DeliveryFailed, 0),
        (SendFault.UNACKNOWLEDGED, DeliveryFailed, 1),
        (SendFault.REFUSED, MessageRefused, 0),
    ],
)
def test_a_send_fails_as_it_was_told_to(
    fault: SendFault, error: type[Exception], stored: int
) -> None:
    broker = world(1)
    broker.fail_sends(SendFault.NONE, fault)
    producer = broker.producer()
    assert producer.send(TOPIC, key=b"k", value=b"1").result(0) == (FIRST, 0)
    with pytest.raises(error):
        producer.send(TOPIC, key=b"k", value=b"2").result(0)
    log = broker.log(FIRST)
    assert log is not None
    assert log.end == 1 + stored


def test_a_poll_fails_as_it_was_told_to() -> None:
    broker = world()
    consumer, _ = member(broker)
    consumer.fail_next_poll(OSError("torn"))
    with pytest.raises(OSError, match="torn"):
        consumer.poll(0, 10)
    with pytest.raises(ConsumerBroken, match="torn"):
        consumer.poll(0, 10)


def test_it_can_forget_a_failed_listener_as_the_client_library_does() -> None:
    broker = MemoryBroker(forgets_failed_listeners=True)
    broker.create_topic(TOPIC, 1)
    for value in (b"a", b"b", b"c"):
        broker.put(TOPIC, value)
    broker.group("group").committed[FIRST] = 2

    class Failing(Places):
        def on_assigned(self, partitions: object) -> None:
            raise LookupError("the database is away")

    consumer = broker.consumer("group")
    consumer.subscribe(TOPIC, Failing(consumer))
    with pytest.raises(LookupError):
        consumer.poll(0, 10)
    assert [m.value for m in consumer.poll(0, 10)[FIRST]] == [b"c"]


def test_full_partitions_do_not_starve_the_others() -> None:
    broker = world(3)
    for number in range(30):
        broker.put(TOPIC, b"%d" % number, partition=number % 3)
    consumer, _ = member(broker)
    first_three = [consumer.poll(0, 5) for _ in range(3)]
    assert {p for batch in first_three for p in batch} == set(consumer.assignment())


def test_the_same_calls_give_the_same_run() -> None:
    def run() -> list[object]:
        broker = world(3)
        seen: list[object] = [broker.describe(TOPIC)]
        one, _ = member(broker)
        for number in range(20):
            seen.append(broker.put(TOPIC, b"v", key=b"%d" % (number % 5)))
        seen.append(one.poll(0, 7))
        two, _ = member(broker)
        return [*seen, two.poll(0, 7), one.poll(0, 7), one.assignment(), two.assignment()]

    assert run() == run()

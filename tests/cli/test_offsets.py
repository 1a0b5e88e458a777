"""The three ways past what stops a partition, each with a reason, each audited."""

from collections.abc import Iterator
from typing import Any

import pytest

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.pipeline import offsets
from chargeback_worker.store import Store
from tests.support.command import Command

TOPIC = "usage-events"


@pytest.fixture
def topic_id(memory_broker: MemoryBroker) -> str:
    """A topic of two partitions with three messages in each."""
    memory_broker.create_topic(TOPIC, 2)
    for number in range(6):
        memory_broker.put(TOPIC, b"a", partition=number % 2)
    described = memory_broker.describe(TOPIC)
    assert described is not None
    assert described.topic_id is not None
    return described.topic_id


@pytest.fixture
def store(ready_url: str, chargeback: Command) -> Iterator[Store]:
    chargeback.ok("db", "upgrade")
    store = Store(ready_url)
    yield store
    store.close()


@pytest.fixture
def reading(store: Store, chargeback: Command, topic_id: str) -> Command:
    """Both partitions are to be read from offset 1 on."""
    for partition in (0, 1):
        offsets.first_seen(store, TOPIC, partition, topic_id=topic_id, position=1, now_us=1)
    return chargeback


def _rows(chargeback: Command, *command: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = chargeback.ok(*command, "-o", "json").json["offsets"]
    return rows


def test_positions_are_shown_with_their_lag(reading: Command, memory_broker: MemoryBroker) -> None:
    rows = _rows(reading, "offsets", "show")
    assert [(row["partition"], row["next_position"], row["lag"]) for row in rows] == [
        ("0", "1", "2"),
        ("1", "1", "2"),
    ]
    memory_broker.away = True
    away = reading.ok("offsets", "show", "-o", "json")
    assert [row["lag"] for row in away.json["offsets"]] == [None, None]
    assert "Without the ends of partitions" in away.err


def test_one_record_is_skipped(reading: Command) -> None:
    wrong = reading("offsets", "skip", f"{TOPIC}:1:2", "--reason", "damaged")
    assert wrong.code == 2
    assert f"Skip {TOPIC}:1:1" in wrong.err
    (row,) = _rows(reading, "offsets", "skip", f"{TOPIC}:1:1", "--reason", "damaged")
    assert (row["next_position"], row["skipped"]) == ("2", "1")


def test_whoever_moves_a_position_is_told_to_start_the_worker_again(
    reading: Command, memory_broker: MemoryBroker
) -> None:
    unmoved = reading.ok("offsets", "accept-gap", "--reason", "too slow")
    assert "start" not in unmoved.err.lower()
    log = memory_broker.log(TopicPartition(TOPIC, 0))
    assert log is not None
    log.delete_before(3)
    for command in (["accept-gap"], ["skip", f"{TOPIC}:1:1"]):
        told = reading.ok("offsets", *command, "--reason", "lost").err
        assert "Start the worker again" in told, command
    memory_broker.recreate_topic(TOPIC)
    assert "Start the worker again" in reading.ok("offsets", "adopt-topic", "--reason", "new").err


def test_a_batch_is_skipped_and_nothing_behind_the_end(reading: Command) -> None:
    for wrong in ("1-0", "1-99", "1-"):
        refused = reading("offsets", "skip", f"{TOPIC}:1:{wrong}", "--reason", "damaged")
        assert refused.code == 2, refused
    (row,) = _rows(reading, "offsets", "skip", f"{TOPIC}:1:1-2", "--reason", "damaged")
    assert (row["next_position"], row["skipped"]) == ("3", "2")


def test_a_gap_is_accepted_where_there_is_one(
    reading: Command, memory_broker: MemoryBroker
) -> None:
    assert _rows(reading, "offsets", "accept-gap", "--reason", "too slow") == []
    log = memory_broker.log(TopicPartition(TOPIC, 0))
    assert log is not None
    log.delete_before(3)
    (row,) = _rows(reading, "offsets", "accept-gap", "--reason", "too slow")
    assert (row["partition"], row["next_position"], row["skipped"]) == ("0", "3", "2")


def test_a_topic_made_anew_is_adopted(reading: Command, memory_broker: MemoryBroker) -> None:
    memory_broker.recreate_topic(TOPIC)
    rows = _rows(reading, "offsets", "adopt-topic", "--reason", "more partitions")
    assert [row["retired"] for row in rows] == [True, True]
    (act,) = reading.ok("audit", "-o", "json").json["audit"]
    assert (act["action"], act["reason"]) == ("offsets.adopt-topic", "more partitions")


@pytest.mark.parametrize(
    "command", [["skip", f"{TOPIC}:0:1"], ["accept-gap"], ["adopt-topic"]], ids=lambda c: c[0]
)
def test_none_of_them_goes_without_a_reason(
    sqlite_chargeback: Command, memory_broker: MemoryBroker, command: list[str]
) -> None:
    ended = sqlite_chargeback("offsets", *command)
    assert ended.code == 2
    assert "a reason is required" in ended.err

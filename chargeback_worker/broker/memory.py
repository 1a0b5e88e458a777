"""A broker in memory, for tests: one thread, no clock, the same run for the same calls.

It keeps the same contract as the real ones, and can be told to be worse: to be away, to lose what
was sent or only its acknowledgement, to evict a member, to drop or lose messages, to make a topic
anew under its old name.
"""

import itertools
import uuid
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from chargeback_worker.broker import (
    GroupDescription,
    GroupMember,
    TopicDescription,
    TopicPartition,
)
from chargeback_worker.broker.errors import (
    BrokerUnreachable,
    DeliveryFailed,
    MessageRefused,
    MissingTopic,
)
from chargeback_worker.broker.memory_group import Group, MemoryConsumer, MemoryReader
from chargeback_worker.broker.memory_log import PartitionLog, Transaction

_DEFAULT_CONFIG = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "retention.ms": "604800000",
}


class SendFault(Enum):
    """What may become of a message that is sent."""

    NONE = "stored and acknowledged"
    LOST = "not stored"
    UNACKNOWLEDGED = "stored, but nobody hears of it"
    REFUSED = "refused for ever"


@dataclass
class _Topic:
    topic_id: str
    logs: list[PartitionLog]
    config: dict[str, str]


@dataclass
class MemoryBroker:
    """The topics and the groups; `now_ms` is the time that messages get.

    `clock` is the time that it tells who asks, None as one that tells none.
    """

    now_ms: int = 0
    clock: int | None = None
    away: bool = False
    forgets_failed_listeners: bool = False
    _topics: dict[str, _Topic] = field(default_factory=dict)
    _groups: dict[str, Group] = field(default_factory=dict)
    _send_faults: deque[SendFault] = field(default_factory=deque)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _turns: "itertools.count[int]" = field(default_factory=itertools.count)

    def consumer(self, group_id: str, instance_id: str | None = None) -> MemoryConsumer:
        return MemoryConsumer(self, self.group(group_id), instance_id)

    def reader(self) -> MemoryReader:
        return MemoryReader(self)

    def producer(self) -> "MemoryProducer":
        return MemoryProducer(self)

    def topics(self) -> set[str]:
        self._answer()
        return set(self._topics)

    def committed(self, group_id: str, topic: str) -> dict[TopicPartition, int]:
        self._answer()
        written = self.group(group_id).committed
        return {place: offset for place, offset in written.items() if place.topic == topic}

    def describe(self, topic: str) -> TopicDescription | None:
        self._answer()
        found = self._topics.get(topic)
        if found is None:
            return None
        config = dict(found.config)
        replicas = config.pop("replicas", None)
        return TopicDescription(
            topic,
            len(found.logs),
            found.topic_id,
            config,
            None if replicas is None else int(replicas),
        )

    def describe_group(self, group_id: str) -> GroupDescription | None:
        self._answer()
        members = [GroupMember("memory", one.instance_id) for one in self.group(group_id).members]
        return GroupDescription("Stable" if members else "Empty", tuple(members))

    def clock_ms(self) -> int | None:
        self._answer()
        return self.clock

    def create_topic(
        self, name: str, partitions: int, config: Mapping[str, str] | None = None
    ) -> bool:
        self._answer()
        if name in self._topics:
            return False
        logs = [PartitionLog(TopicPartition(name, number)) for number in range(partitions)]
        topic_id = str(uuid.UUID(int=next(self._ids)))
        self._topics[name] = _Topic(topic_id, logs, _DEFAULT_CONFIG | dict(config or {}))
        return True

    def close(self) -> None:
        pass

    # What tests and readers use besides.

    def recreate_topic(self, name: str) -> None:
        """Empty, under the same name, with another id."""
        gone = self._topics.pop(name)
        self.create_topic(name, len(gone.logs), gone.config)

    def group(self, group_id: str) -> Group:
        if group_id not in self._groups:
            self._groups[group_id] = Group(group_id, self)
        return self._groups[group_id]

    def log(self, partition: TopicPartition) -> PartitionLog | None:
        topic = self._topics.get(partition.topic)
        if topic is None or partition.partition >= len(topic.logs):
            return None
        return topic.logs[partition.partition]

    def partitions(self, topic: str) -> list[TopicPartition]:
        return [log.partition for log in self._topics[topic].logs] if topic in self._topics else []

    def topic_id(self, topic: str) -> str | None:
        found = self.describe(topic)
        return found.topic_id if found else None

    def put(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
        transaction: Transaction | None = None,
    ) -> tuple[TopicPartition, int]:
        """Append a message at once, past all faults; may be part of a `Transaction`."""
        logs = self._topics[topic].logs
        if partition is None:
            number = next(self._turns) if key is None else zlib.crc32(key)
            partition = number % len(logs)
        log = logs[partition]
        offset = log.append(
            key, value, tuple(headers), timestamp_ms=self.now_ms, transaction=transaction
        )
        return log.partition, offset

    def fail_sends(self, *faults: SendFault) -> None:
        """What becomes of the next messages that producers send, one after the other."""
        self._send_faults.extend(faults)

    def next_send_fault(self) -> SendFault:
        return self._send_faults.popleft() if self._send_faults else SendFault.NONE

    def _answer(self) -> None:
        if self.away:
            raise BrokerUnreachable("memory", "it is away")


@dataclass(frozen=True)
class MemoryDelivery:
    """Known at once."""

    outcome: tuple[TopicPartition, int] | DeliveryFailed | MessageRefused

    def result(self, timeout_s: float) -> tuple[TopicPartition, int]:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class MemoryProducer:
    """Appends when it is asked to send."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> MemoryDelivery:
        found = self._broker.describe(topic)
        if found is None:
            raise MissingTopic(topic, "memory")
        fault = self._broker.next_send_fault()
        size = len(key or b"") + len(value or b"")
        if fault is SendFault.REFUSED or size > int(found.config["max.message.bytes"]):
            return MemoryDelivery(MessageRefused(topic, f"{size} bytes are too many"))
        if fault is SendFault.LOST:
            return MemoryDelivery(DeliveryFailed(topic, fault.value))
        stored = self._broker.put(topic, value, key=key, headers=headers, partition=partition)
        if fault is SendFault.UNACKNOWLEDGED:
            return MemoryDelivery(DeliveryFailed(topic, fault.value))
        return MemoryDelivery(stored)

    def flush(self, timeout_s: float) -> None:
        if self._broker.away:
            raise BrokerUnreachable("memory", "it is away")

    def close(self) -> None:
        pass

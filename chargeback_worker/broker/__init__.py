"""The broker: reading a topic in a group, writing to one, and looking at both.

Owns: the connection to Apache Kafka and all that its client library does unasked; the broker in
memory that tests drive step by step; the packaged broker of the demo.

Does not own: what a message means, and where reading goes on. Positions are the store's.

Invariants:
* Bytes in, bytes out; nothing is decoded here.
* A newly assigned partition gives no message before the listener has placed it by a seek. The
  group's committed offset is written for those who watch, and nothing is read on from it.
* The listener runs in the thread that polls, before `poll` returns. It may do all that its caller
  may: seek, ask for offsets, use a database.
* A consumer out of whose `poll` an error came is of no more use: every later `poll` raises
  `ConsumerBroken`. Close it and make another.
* Anything that the broker did not answer in time is an `Unavailable`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

Headers = tuple[tuple[str, bytes | None], ...]


class TopicPartition(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}"


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message as it lies in its partition."""

    partition: TopicPartition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """What the broker says of a topic.

    `topic_id` changes when a topic is made anew under the same name; some brokers have none.
    `config` holds those of the settings in `WATCHED_SETTINGS` that the broker reports; `replicas`
    is the least of any partition, None where it is not known.
    """

    name: str
    partitions: int
    topic_id: str | None
    config: Mapping[str, str] = field(default_factory=dict)
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A consumer of the group; `instance_id` is its own where it is a static member."""

    client_id: str
    instance_id: str | None


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """What the broker says of a consumer group; `state` is its word for it."""

    state: str
    members: tuple[GroupMember, ...]


WATCHED_SETTINGS = (
    "cleanup.policy",
    "max.message.bytes",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
)


class AssignmentListener(Protocol):
    """Told, inside `poll`, which partitions are ours now and which no longer.

    `on_assigned` names all that are ours from now on, possibly none, and must place each by `seek`
    or `seek_to_beginning`. `on_revoked` comes before it, with all that were ours; `on_lost`
    instead when the group had already given them away. None of them is called by `close`.
    """

    def on_assigned(self, partitions: Collection[TopicPartition]) -> None: ...

    def on_revoked(self, partitions: Collection[TopicPartition]) -> None: ...

    def on_lost(self, partitions: Collection[TopicPartition]) -> None: ...


class Reader(Protocol):
    """Reads partitions that it was given, outside of any group."""

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        """Read these from now on; each is to be placed by a seek before the next poll."""

    def poll(self, timeout_s: float, max_records: int) -> dict[TopicPartition, list[Message]]:
        """The next messages, as soon as there are some; none when the broker is away."""

    def position(self, partition: TopicPartition) -> int | None:
        """Where the next poll goes on: past all that the last one returned or skipped.

        Never asks the broker. None for a partition that is not ours or not placed yet.
        """

    def seek(self, partition: TopicPartition, offset: int) -> None: ...

    def seek_to_beginning(self, partitions: Collection[TopicPartition]) -> None:
        """Go to the first offset that is kept; `position` knows it when this returns."""

    def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]: ...

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]: ...

    def wakeup(self) -> None:
        """From another thread: let a poll that is waiting return soon."""

    def close(self) -> None: ...


class Consumer(Reader, Protocol):
    """Reads the partitions that its group assigns to it."""

    def subscribe(self, topic: str, listener: AssignmentListener) -> None: ...

    def assignment(self) -> set[TopicPartition]:
        """What is ours as far as we know. One that was evicted still lists what it had."""

    def pause(self, partitions: Collection[TopicPartition]) -> None: ...

    def resume(self, partitions: Collection[TopicPartition]) -> None: ...

    def high_watermarks(self) -> dict[TopicPartition, int]:
        """The ends of our partitions as last heard of while reading; costs nothing."""

    def topic_id(self, topic: str) -> str | None: ...

    def partitions(self, topic: str) -> Collection[TopicPartition]:
        """All partitions of a topic, as last heard of."""

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Write the group's offsets for those who watch lag; may silently not happen."""


class Delivery(Protocol):
    """A message on its way."""

    def result(self, timeout_s: float) -> tuple[TopicPartition, int]:
        """Where it was stored, by all replicas in sync.

        Raises `MessageRefused` when asking again would be in vain, else `Unavailable`: it may or
        may not have been stored.
        """


class Producer(Protocol):
    """Writes messages, in the order of `send` for each partition.

    One that raised `Unavailable` is best closed and made anew.
    """

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> Delivery: ...

    def flush(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class Broker(Protocol):
    """Where topics live. Opening one costs nothing; its clients connect when they are made."""

    def consumer(self, group_id: str, instance_id: str | None = None) -> Consumer: ...

    def reader(self) -> Reader: ...

    def producer(self) -> Producer: ...

    def topics(self) -> set[str]: ...

    def committed(self, group_id: str, topic: str) -> dict[TopicPartition, int]:
        """The offsets that a group has written of a topic, to be compared with what is stored."""

    def describe_group(self, group_id: str) -> GroupDescription | None:
        """Who is in a group; None where the broker cannot say, or may not tell us."""

    def describe(self, topic: str) -> TopicDescription | None:
        """What is known of a topic, or None when there is none of this name."""

    def clock_ms(self) -> int | None:
        """The time by the clock of the cluster's controller, in milliseconds since 1970.

        None where the broker does not tell it, or not to us.
        """

    def create_topic(
        self, name: str, partitions: int, config: Mapping[str, str] | None = None
    ) -> bool:
        """Make a topic and wait until it can be used; False when it was there already."""

    def close(self) -> None: ...

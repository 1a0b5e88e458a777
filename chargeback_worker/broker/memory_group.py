"""Readers of the broker in memory, and the groups that share its partitions out.

The group is stricter to its members than a real one: a partition is given to its new owner at once,
while the old one, until its own next poll, goes on as if nothing had happened.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from chargeback_worker.broker import AssignmentListener, Message, TopicPartition
from chargeback_worker.broker.errors import (
    BrokerUnreachable,
    ConsumerBroken,
    MemberFenced,
    MissingTopic,
)
from chargeback_worker.broker.memory_log import PartitionLog


class World(Protocol):
    """What a reader sees of the broker."""

    away: bool
    forgets_failed_listeners: bool

    def log(self, partition: TopicPartition) -> PartitionLog | None: ...

    def partitions(self, topic: str) -> list[TopicPartition]: ...

    def topic_id(self, topic: str) -> str | None: ...


class Group:
    """The members of one group in the order in which they joined, and what each of them owns."""

    def __init__(self, group_id: str, world: World) -> None:
        self.group_id = group_id
        self.generation = 0
        self.committed: dict[TopicPartition, int] = {}
        self.members: list[MemoryConsumer] = []
        self.owned: dict[MemoryConsumer, frozenset[TopicPartition]] = {}
        self._world = world

    def join(self, member: "MemoryConsumer") -> None:
        for number, known in enumerate(self.members):
            if member.instance_id is not None and known.instance_id == member.instance_id:
                # A static member takes its own partitions back without anybody noticing.
                known.fenced = True
                self.members[number] = member
                self.owned[member] = self.owned.pop(known)
                return
        self.members.append(member)
        self.rebalance()

    def remove(self, member: "MemoryConsumer") -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        """Share the partitions out in ranges, as Kafka's range assignor does."""
        self.generation += 1
        self.owned = {member: frozenset() for member in self.members}
        for topic in sorted({member.topic for member in self.members}):
            takers = [member for member in self.members if member.topic == topic]
            partitions = self._world.partitions(topic)
            share, more = divmod(len(partitions), len(takers))
            first = 0
            for number, member in enumerate(takers):
                last = first + share + (number < more)
                self.owned[member] = frozenset(partitions[first:last])
                first = last


class MemoryReader:
    """Reads given partitions. Nothing happens but in its own calls."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._assigned: list[TopicPartition] = []
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._heard: dict[TopicPartition, int] = {}
        self._faults: deque[Exception] = deque()
        self._turn = 0
        self._broken: str | None = None

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        for topic in sorted({partition.topic for partition in partitions}):
            self._require(topic)
        self._take(partitions)

    def poll(self, timeout_s: float, max_records: int) -> dict[TopicPartition, list[Message]]:
        if self._broken is not None:
            raise ConsumerBroken(self._broken)
        try:
            if self._faults:
                raise self._faults.popleft()
            if self._world.away:
                return {}
            self._follow()
            unplaced = [p for p in self._assigned if p not in self._positions]
            assert not unplaced, f"nothing said where to start {unplaced}"
            return self._fetch(max_records)
        except BaseException as error:
            self._fail(error)
            raise

    def fail_next_poll(self, error: Exception) -> None:
        """For tests: let a poll raise this, one after the other."""
        self._faults.append(error)

    def position(self, partition: TopicPartition) -> int | None:
        return self._positions.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition in self._assigned, f"{partition} is not assigned"
        self._positions[partition] = offset

    def seek_to_beginning(self, partitions: Collection[TopicPartition]) -> None:
        for partition, offset in sorted(self.beginning_offsets(partitions).items()):
            self.seek(partition, offset)

    def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        return self._ask(partitions, lambda log: log.start)

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return self._ask(partitions, lambda log: log.stable_end)

    def wakeup(self) -> None:
        pass

    def close(self) -> None:
        self._broken = "it was closed"

    def _follow(self) -> None:
        pass

    def _fail(self, error: BaseException) -> None:
        self._broken = f"{type(error).__name__}: {error}"

    def _take(self, partitions: Collection[TopicPartition]) -> None:
        self._assigned = sorted(partitions)
        self._positions.clear()
        self._paused.clear()
        self._heard.clear()

    def _fetch(self, max_records: int) -> dict[TopicPartition, list[Message]]:
        found: dict[TopicPartition, list[Message]] = {}
        # Each poll starts with the next partition, so that a full one does not starve the others.
        self._turn += 1
        for number in range(len(self._assigned)):
            partition = self._assigned[(self._turn + number) % len(self._assigned)]
            log = self._world.log(partition)
            if max_records == 0 or log is None or partition in self._paused:
                continue
            self._heard[partition] = log.end
            messages, self._positions[partition] = log.read(self._positions[partition], max_records)
            if messages:
                found[partition] = messages
                max_records -= len(messages)
        return found

    def _ask(
        self, partitions: Collection[TopicPartition], answer: Callable[[PartitionLog], int]
    ) -> dict[TopicPartition, int]:
        if self._world.away:
            raise BrokerUnreachable("memory", "it is away")
        found = {}
        for partition in partitions:
            log = self._world.log(partition)
            if log is None:
                raise BrokerUnreachable("memory", f"{partition} has no leader")
            found[partition] = answer(log)
        return found

    def _require(self, topic: str) -> None:
        if self._world.away:
            raise BrokerUnreachable("memory", "it is away")
        if not self._world.partitions(topic):
            raise MissingTopic(topic, "memory")


class MemoryConsumer(MemoryReader):
    """The same as a member of a group. One that was evicted finds out at its next poll."""

    def __init__(self, world: World, group: Group, instance_id: str | None) -> None:
        super().__init__(world)
        self.instance_id = instance_id
        self.topic = ""
        self.fenced = False
        self._group = group
        self._generation = -1
        self._listener: AssignmentListener | None = None
        self.topic_id = world.topic_id
        self.partitions = world.partitions

    def subscribe(self, topic: str, listener: AssignmentListener) -> None:
        self._require(topic)
        self.topic = topic
        self._listener = listener

    def assignment(self) -> set[TopicPartition]:
        return set(self._assigned)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def high_watermarks(self) -> dict[TopicPartition, int]:
        return dict(self._heard)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        current = self._generation == self._group.generation
        if current and self in self._group.members and not self._world.away:
            self._group.committed.update(offsets)

    def evict(self) -> None:
        """For tests: its session ran out, or it polled too late."""
        self._group.remove(self)

    def kill(self) -> None:
        """For tests: it is gone without a word; its group waits for its session to run out."""
        self._broken = "it was killed"

    def close(self) -> None:
        if self._broken is None and self.instance_id is None:
            self._group.remove(self)
        super().close()

    def _follow(self) -> None:
        if self._listener is None:
            return
        if self.fenced:
            raise MemberFenced(self._group.group_id, self.instance_id)
        evicted = self._generation >= 0 and self not in self._group.members
        if self not in self._group.members:
            self._group.join(self)
        if self._generation != self._group.generation:
            self._hear(lost=evicted)

    def _hear(self, *, lost: bool) -> None:
        assert self._listener is not None
        told, gone = self._generation >= 0, frozenset(self._assigned)
        self._generation = self._group.generation
        self._take(self._group.owned[self])
        if told and gone:
            if lost:
                self._listener.on_lost(gone)
            else:
                self._listener.on_revoked(gone)
        self._listener.on_assigned(frozenset(self._assigned))

    def _fail(self, error: BaseException) -> None:
        if not self._world.forgets_failed_listeners:
            super()._fail(error)
            return
        # What kafka-python does by itself: go on from the group's offsets as if all were well.
        for partition in self._assigned:
            if partition not in self._positions and (log := self._world.log(partition)):
                start = self._group.committed.get(partition, log.start)
                self._positions[partition] = start

"""The broker in memory with waits, with members that die, and with sends that fail or half fail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chargeback_worker.broker import Headers, Message, TopicPartition
from chargeback_worker.broker.memory import (
    MemoryBroker,
    MemoryDelivery,
    MemoryProducer,
    SendFault,
)
from chargeback_worker.broker.memory_group import Group, MemoryConsumer
from chargeback_worker.broker.memory_log import Transaction
from tests.interleaving.baton import Baton, Process

USAGE, INVOICES = "usage-events", "invoices"
_POLL_STEPS = 300


class Weather(Protocol):
    """What a broker needs to know of the history it is in."""

    baton: Baton

    def send_fault(self) -> SendFault: ...

    def poll_size(self) -> int: ...

    def rested_us(self, least_s: float, steps_max: int) -> int: ...

    def sending(self, process: Process) -> None:
        """A publisher is about to send."""


@dataclass(frozen=True, slots=True)
class Appended:
    """One message of the invoices topic, in the order in which all of them came."""

    key: bytes
    value: bytes
    headers: Headers

    def header(self, name: str) -> str:
        return (dict(self.headers)[name] or b"").decode()


@dataclass
class Topics(MemoryBroker):
    """Both topics, and what was ever appended to that of invoices."""

    appended: list[Appended] = field(default_factory=list)

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
        if topic == INVOICES:
            self.appended.append(Appended(key or b"", value or b"", tuple(headers)))
        return super().put(
            topic,
            value,
            key=key,
            headers=headers,
            partition=partition,
            transaction=transaction,
        )


class Member(MemoryConsumer):
    """A member of the group that belongs to a process, and waits in its polls."""

    def __init__(self, topics: Topics, group: Group, weather: Weather, process: Process) -> None:
        super().__init__(topics, group, None)
        self.process = process
        self._weather = weather

    def poll(self, timeout_s: float, max_records: int) -> dict[TopicPartition, list[Message]]:
        until_us = self._weather.rested_us(timeout_s, _POLL_STEPS)
        self._weather.baton.wait(self._has_news, until_us, "poll")
        return super().poll(timeout_s, min(max_records, self._weather.poll_size()))

    def close(self) -> None:
        # Who is killed does not say goodbye: the group waits for its session to run out.
        if not self.process.killed:
            super().close()

    @property
    def in_group(self) -> bool:
        return self in self._group.members

    def _has_news(self) -> bool:
        if self._broken is not None or self._generation != self._group.generation:
            return True
        if self not in self._group.members:
            return True
        for partition in self._assigned:
            log = self._world.log(partition)
            at = self._positions.get(partition)
            if log and at is not None and partition not in self._paused and at < log.stable_end:
                return True
        return False


class Sender(MemoryProducer):
    """A producer of a process; each message may be the last."""

    def __init__(self, topics: Topics, weather: Weather, process: Process) -> None:
        super().__init__(topics)
        self._weather = weather
        self._process = process

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> MemoryDelivery:
        self._weather.sending(self._process)
        self._weather.baton.step("send")
        fault = self._weather.send_fault()
        if fault is not SendFault.NONE:
            self._broker.fail_sends(fault)
        return super().send(topic, key=key, value=value, headers=headers, partition=partition)

    def flush(self, timeout_s: float) -> None:
        self._weather.baton.step("flush")
        super().flush(timeout_s)


@dataclass
class Connection:
    """The broker as one process sees it."""

    topics: Topics
    weather: Weather
    process: Process
    joined: Callable[[Member], None]

    def consumer(self, group_id: str, instance_id: str | None = None) -> Member:
        member = Member(self.topics, self.topics.group(group_id), self.weather, self.process)
        self.joined(member)
        return member

    def producer(self) -> Sender:
        return Sender(self.topics, self.weather, self.process)

    def ends(self) -> Mapping[tuple[str, int], int]:
        """The ends of the usage topic, as whoever closes asks for them."""
        places = self.topics.partitions(USAGE)
        found = self.topics.reader().end_offsets(places)
        return {(place.topic, place.partition): end for place, end in found.items()}

"""What was read and not yet handed to the database: whole polls, until one transaction is full."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from chargeback_worker.broker import TopicPartition
from chargeback_worker.pipeline.ingest import Part, ReadEvent


@dataclass(slots=True)
class _Growing:
    cursor_id: int
    events: list[ReadEvent]
    expected: int
    new: int
    size_bytes: int


@dataclass(slots=True)
class Gathered:
    """The next part of each partition. `events_max` and `bytes_max` say when it is full."""

    events_max: int
    bytes_max: int
    _parts: dict[TopicPartition, _Growing] = field(default_factory=dict)

    def add(
        self, partition: TopicPartition, cursor_id: int, events: list[ReadEvent], span: range
    ) -> None:
        """Put events behind those of the same partition; `span` is from expected to new."""
        size_bytes = sum([len(event.raw.value or b"") for event in events])
        part = self._parts.get(partition)
        if part is None:
            part = _Growing(cursor_id, events, span.start, span.stop, size_bytes)
            self._parts[partition] = part
            return
        assert (part.cursor_id, part.new) == (cursor_id, span.start), (part.new, span)
        part.events += events
        part.new = span.stop
        part.size_bytes += size_bytes

    @property
    def room(self) -> int:
        """How many events more it takes."""
        parts = self._parts.values()
        if sum(part.size_bytes for part in parts) >= self.bytes_max:
            return 0
        return max(0, self.events_max - sum(len(part.events) for part in parts))

    def __bool__(self) -> bool:
        return bool(self._parts)

    def take(self) -> dict[TopicPartition, Part]:
        """All of it; then it is empty."""
        taken, self._parts = self._parts, {}
        return {
            partition: Part(part.cursor_id, part.events, part.expected, part.new)
            for partition, part in taken.items()
        }

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget what was read of these; it is read again from where the store stands."""
        for partition in list(partitions):
            self._parts.pop(partition, None)

    def clear(self) -> None:
        self._parts.clear()

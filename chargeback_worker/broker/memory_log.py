"""A partition in memory: offsets, markers that occupy one, and what transactions hide."""

from dataclasses import dataclass, field
from enum import Enum

from chargeback_worker.broker import Headers, Message, TopicPartition
from chargeback_worker.broker.errors import OffsetOutOfRange


class Fate(Enum):
    """What became of a transaction."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass
class Transaction:
    """Messages that appear together, or never."""

    fate: Fate = Fate.OPEN
    logs: "list[PartitionLog]" = field(default_factory=list)

    def commit(self) -> None:
        self._end(Fate.COMMITTED)

    def abort(self) -> None:
        self._end(Fate.ABORTED)

    def _end(self, fate: Fate) -> None:
        assert self.fate is Fate.OPEN, f"the transaction is {self.fate.value} already"
        self.fate = fate
        for log in self.logs:
            log.append_marker()


@dataclass(slots=True)
class _Entry:
    message: Message | None
    transaction: Transaction | None = None


class PartitionLog:
    """What one partition holds, from `start` up to `end`."""

    def __init__(self, partition: TopicPartition) -> None:
        self.partition = partition
        self.start = 0
        self._entries: list[_Entry] = []
        self._firsts: list[tuple[Transaction, int]] = []

    @property
    def end(self) -> int:
        return self.start + len(self._entries)

    @property
    def stable_end(self) -> int:
        """Up to here a reader of committed messages may go."""
        open_ = [first for transaction, first in self._firsts if transaction.fate is Fate.OPEN]
        return min(open_, default=self.end)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        *,
        timestamp_ms: int,
        transaction: Transaction | None = None,
    ) -> int:
        offset = self.end
        message = Message(self.partition, offset, key, value, headers, timestamp_ms)
        self._entries.append(_Entry(message, transaction))
        if transaction is not None and self not in transaction.logs:
            transaction.logs.append(self)
            self._firsts.append((transaction, offset))
        return offset

    def append_marker(self) -> None:
        """What the end of a transaction leaves: an offset that no reader gets to see."""
        self._entries.append(_Entry(None))

    def read(self, position: int, max_records: int) -> tuple[list[Message], int]:
        """Messages from the position on, and where reading goes on afterwards."""
        if not self.start <= position <= self.end:
            raise OffsetOutOfRange(self.partition, position)
        found: list[Message] = []
        stable_end = self.stable_end
        while position < stable_end and len(found) < max_records:
            entry = self._entries[position - self.start]
            aborted = entry.transaction is not None and entry.transaction.fate is Fate.ABORTED
            if entry.message is not None and not aborted:
                found.append(entry.message)
            position += 1
        return found, position

    def messages(self) -> list[Message]:
        """All that a reader of committed messages gets."""
        return self.read(self.start, len(self._entries) + 1)[0]

    def delete_before(self, offset: int) -> None:
        """Retention: drop what lies before the offset."""
        assert self.start <= offset <= self.end
        del self._entries[: offset - self.start]
        self.start = offset

    def cut(self, offset: int) -> None:
        """A lost tail: drop the offset and all after it, to be given out again."""
        assert self.start <= offset <= self.end
        del self._entries[offset - self.start :]

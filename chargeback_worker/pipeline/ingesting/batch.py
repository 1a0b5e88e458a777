"""What a door hands to the ingest step, and what the step answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from chargeback_worker.store.cursors import Tally
from chargeback_worker.usage.event import RawEvent, RefusedEvent, UsageEvent


class Outcome(StrEnum):
    """How an event ends: exactly one of these."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"


class ReadEvent(msgspec.Struct, frozen=True, gc=False):
    """A message and what it says; `received_us` is given where that was not when it is written."""

    raw: RawEvent
    said: UsageEvent | RefusedEvent
    received_us: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one cursor delivers: the events of a poll of one partition, or some lines of a file.

    `expected` is where the cursor must stand and `new` where it stands afterwards; both None for a
    door without positions. `replays`: the positions are ids of quarantined events.
    """

    cursor_id: int
    events: Sequence[ReadEvent]
    expected: int | None = None
    new: int | None = None
    replays: bool = False

    def usable(self) -> Iterator[UsageEvent]:
        """The events that were not refused."""
        for event in self.events:
            if type(event.said) is UsageEvent:
                yield event.said


@dataclass(frozen=True, slots=True)
class PartResult:
    """`outcomes` in the order of the part's events; `late` counts accepted events."""

    tally: Tally
    outcomes: tuple[Outcome, ...]
    late: int


@dataclass(frozen=True, slots=True)
class IngestResult:
    """One result a part, in their order; `billed_in`: which period bills what was accepted, by the
    month of its day."""

    parts: tuple[PartResult, ...]
    billed_in: Mapping[int, int]

    @property
    def tally(self) -> Tally:
        return sum((part.tally for part in self.parts), Tally())

    @property
    def late(self) -> int:
        return sum(part.late for part in self.parts)

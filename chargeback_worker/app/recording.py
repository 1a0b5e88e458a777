"""Usage that comes one request at a time, over HTTP: the same step as the topic and the files.

An event that says no time was used when it came; one that is refused is told to its sender, who
still has it, and not kept in quarantine.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chargeback_worker.app import App, now_us
from chargeback_worker.errors import Conflict
from chargeback_worker.period import Period
from chargeback_worker.pipeline.ingest import IngestResult, Outcome, Part, ReadEvent
from chargeback_worker.store.cursors import Door
from chargeback_worker.usage.event import RawEvent, Received, RefusedEvent, UsageEvent

# Who counts into the same row waits for each other until a commit.
_CURSORS = 16
_POSITION_BITS = 62


class UsageConflict(Conflict):
    """An event of this id is stored with other content; the first one stands."""

    def __init__(self, event: UsageEvent) -> None:
        super().__init__(
            f"There is usage {event.usage_id!r} with other content already; that one stands.",
            "Give other usage an id of its own; a correction is a new event with its own id.",
        )


class SentEvent(NamedTuple):
    """An event as it was sent and as it was read, and when that was."""

    value: bytes
    event: UsageEvent
    at_us: int


class Recorded(NamedTuple):
    """How an event ended, and the period that bills it if it was accepted just now."""

    outcome: Outcome
    period: Period | None


@dataclass
class Recorder:
    """Takes events for one process. What came by HTTP has no position, and so no order."""

    app: App
    _cursors: dict[int, int] = field(default_factory=dict)

    def read(
        self, values: Sequence[bytes], names: Sequence[str | None], at_us: int
    ) -> list[UsageEvent | RefusedEvent]:
        """What the values say. `names` are what those are called that have no id."""
        return [
            self.app.reader.read(RawEvent(value), at_us, Received(name))
            for value, name in zip(values, names, strict=True)
        ]

    def store(
        self, values: Sequence[bytes], events: Sequence[UsageEvent], at_us: int
    ) -> tuple[Outcome, ...]:
        """Store events in one transaction; how each of them ended.

        `at_us` is when they were read. Raises Unavailable: whether they are stored may then be
        unknown, and it is right to send them again.
        """
        sent = [SentEvent(*one, at_us) for one in zip(values, events, strict=True)]
        return self._write(sent).parts[0].outcomes

    def record(self, sent: Sequence[SentEvent]) -> list[Recorded]:
        """Store events of several senders in one transaction, as if each had come after the other.

        Raises what `store` raises; then of none of them anything is known to be stored.
        """
        result = self._write(sent)
        return [
            Recorded(outcome, _billed(result, one.event) if outcome is Outcome.ACCEPTED else None)
            for one, outcome in zip(sent, result.parts[0].outcomes, strict=True)
        ]

    def now_us(self) -> int:
        return now_us()

    def _write(self, sent: Sequence[SentEvent]) -> IngestResult:
        events = [
            # With its own time of receipt, which is that of its use where it says none.
            ReadEvent(RawEvent(one.value, position=_position()), one.event, one.at_us)
            for one in sent
        ]
        result = self.app.write(Part(self._cursor(), events))
        self._count(result.tally.outcomes())
        return result

    def _count(self, outcomes: dict[str, int]) -> None:
        for outcome, number in outcomes.items():
            self.app.metrics.events.labels(outcome).inc(number)

    def _cursor(self) -> int:
        number = secrets.randbelow(_CURSORS)
        found = self._cursors.get(number)
        if found is None:
            found = self._cursors[number] = self.app.cursor(Door.HTTP, "api", number).cursor_id
        return found


def _position() -> int:
    return secrets.randbits(_POSITION_BITS)


def _billed(result: IngestResult, event: UsageEvent) -> Period:
    return Period.from_number(result.billed_in[event.day // 100])

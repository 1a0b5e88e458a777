"""Usage that comes one request at a time, over HTTP: the same step as the topic and the files.

An event that says no time was used when it came; one that is refused is told to its sender, who
still has it, and not kept in quarantine.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from chargeback_worker.app import App, now_us
from chargeback_worker.errors import Conflict
from chargeback_worker.pipeline.ingest import Outcome, Part, ReadEvent
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
        part = Part(
            self._cursor(),
            [
                ReadEvent(RawEvent(value, position=secrets.randbits(_POSITION_BITS)), event)
                for value, event in zip(values, events, strict=True)
            ],
        )
        result = self.app.write(part, at_us=at_us)
        self._count(result.tally.outcomes())
        return result.parts[0].outcomes

    def now_us(self) -> int:
        return now_us()

    def _count(self, outcomes: dict[str, int]) -> None:
        for outcome, number in outcomes.items():
            self.app.metrics.events.labels(outcome).inc(number)

    def _cursor(self) -> int:
        number = secrets.randbelow(_CURSORS)
        found = self._cursors.get(number)
        if found is None:
            found = self._cursors[number] = self.app.cursor(Door.HTTP, "api", number).cursor_id
        return found

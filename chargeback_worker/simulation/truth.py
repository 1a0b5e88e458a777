"""What must become of an event, and what must come out of many."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Outcome = Literal["accepted", "duplicate", "conflict", "quarantined"]
Headers = tuple[tuple[str, bytes], ...]


class Truth(NamedTuple):
    """What the generator knows of an event, in exact nano-units."""

    outcome: Outcome
    late: bool
    """Its time is in the month before the simulated one."""
    source: str
    """Of its identity: of its CloudEvent where it has no id of its own, else empty."""
    usage_id: str
    team: str | None
    user: str | None
    agent: str
    resource_type: str
    cost: int
    quantity: int


class Simulated(NamedTuple):
    """One event as it is sent to a topic, with its truth."""

    value: bytes
    key: bytes
    headers: Headers
    truth: Truth
    line: bytes
    """The same event on one line of a file, where there are no headers; without its new line."""


@dataclass(slots=True)
class Expected:
    """What must come out of the events added so far, whoever reads them, in whatever batches."""

    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    late: int = 0
    cost: int = 0
    late_cost: int = 0
    by_team: dict[str | None, int] = field(default_factory=dict)

    def add(self, truth: Truth) -> None:
        self.outcomes[truth.outcome] += 1
        if truth.outcome != "accepted":
            return
        self.cost += truth.cost
        self.by_team[truth.team] = self.by_team.get(truth.team, 0) + truth.cost
        if truth.late:
            self.late += 1
            self.late_cost += truth.cost

    @property
    def events(self) -> int:
        return sum(self.outcomes.values())

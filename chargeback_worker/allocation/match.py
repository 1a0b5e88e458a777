"""What a rule asks of a total: one condition for each field, and all of them must hold."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """Which values of one field are taken; None among them stands for "has none".

    Without `values` all are taken, or with `present` all but the missing one.
    """

    values: frozenset[str | None] | None = None
    present: bool = False

    @classmethod
    def one_of(cls, values: Iterable[str | None]) -> "Condition":
        return cls(frozenset(values))

    def takes(self, value: str | None) -> bool:
        if self.values is not None:
            return value in self.values
        return value is not None or not self.present

    def __and__(self, other: "Condition") -> "Condition":
        """What both take."""
        if self.values is None and other.values is None:
            return Condition(present=self.present or other.present)
        one, rest = (self, other) if self.values is not None else (other, self)
        return Condition(frozenset(value for value in one.values or () if rest.takes(value)))

    def covers(self, other: "Condition") -> bool:
        """Whether this takes every value that `other` takes."""
        if self.values is None:
            return not self.present or not other.takes(None)
        return other.values is not None and other.values <= self.values

    @property
    def takes_all(self) -> bool:
        return self.values is None and not self.present

    @property
    def takes_nothing(self) -> bool:
        return self.values is not None and not self.values


ANY = Condition()
PRESENT = Condition(present=True)
MISSING = Condition.one_of([None])


@dataclass(frozen=True, slots=True)
class Claim:
    """The condition of each field; of labels by the label's name, those without one left out.

    `teams` and `users` are of the pair that a total belongs to, not of the record.
    """

    teams: Condition = ANY
    users: Condition = ANY
    agents: Condition = ANY
    resource_types: Condition = ANY
    labels: tuple[tuple[str, Condition], ...] = ()

    def label(self, name: str) -> Condition:
        return dict(self.labels).get(name, ANY)

    def fields(self) -> dict[str, Condition]:
        """Every condition by the words of a rule: `teams`, `labels.project`."""
        named = {f"labels.{name}": condition for name, condition in self.labels}
        plain = {name: getattr(self, name) for name in FIELDS}
        return plain | named

    def covers(self, other: "Claim") -> bool:
        """Whether this takes every total that `other` takes."""
        if other.takes_nothing:
            return True
        mine, its = self.fields(), other.fields()
        return all(condition.covers(its.get(name, ANY)) for name, condition in mine.items())

    @property
    def takes_all(self) -> bool:
        return all(condition.takes_all for condition in self.fields().values())

    @property
    def takes_nothing(self) -> bool:
        return any(condition.takes_nothing for condition in self.fields().values())


FIELDS = ("teams", "users", "agents", "resource_types")
"""The fields of a match besides the labels."""


@dataclass(frozen=True, slots=True)
class Match:
    """A rule's `match` as it was written: every field given must hold, any listed value does."""

    teams: tuple[str | None, ...] | None = None
    users: tuple[str | None, ...] | None = None
    agents: tuple[str | None, ...] | None = None
    resource_types: tuple[str | None, ...] | None = None
    labels: tuple[tuple[str, tuple[str | None, ...]], ...] = ()

    @property
    def narrows(self) -> bool:
        return self != EVERYTHING

    def claim(self, team_id: str | None = None) -> Claim:
        """The conditions, narrowed to a team where one is given."""
        only = ANY if team_id is None else Condition.one_of([team_id])
        return Claim(
            _condition(self.teams) & only,
            _condition(self.users),
            _condition(self.agents),
            _condition(self.resource_types),
            tuple((name, Condition.one_of(values)) for name, values in self.labels),
        )


EVERYTHING = Match()


def _condition(values: tuple[str | None, ...] | None) -> Condition:
    return ANY if values is None else Condition.one_of(values)

"""What of totals must be kept apart to allocate them: over the rest they may be summed before.

So the cost of an allocation follows what its rules tell apart, not how many totals there are. All
agents or labels that no rule names are one value to every rule, and so are the days between two on
which anything changes: the rules for everybody, the directory for one team or user alone. In a
large organisation somebody joins on every day, and yet a team keeps few stretches.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.match import Condition
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.rule import applying, effective
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import BillingRange
from chargeback_worker.usage.total import UsageTotal


@dataclass(frozen=True, slots=True)
class Values:
    """What is kept of an agent or label: nothing, unless rules name values of it.

    Then those and the missing one stay as they are, and every other becomes `other`. With `whole`
    all stay as they are.
    """

    named: frozenset[str | None] = frozenset()
    whole: bool = False

    @property
    def looked_at(self) -> bool:
        return self.whole or bool(self.named)

    @property
    def other(self) -> str:
        """A text that is none of those named."""
        text = "(other)"
        while text in self.named:
            text += "'"
        return text

    def kept(self, value: str | None) -> str | None:
        if self.whole:
            return value
        if value is None or not self.named:
            return None
        return value if value in self.named else self.other


@dataclass(frozen=True, slots=True)
class Grouping:
    """How totals of some days may be summed; what is not kept stands there as if missing.

    Of the days from one of `days` to the next the first stands for all, unless the directory
    changes in between for that usage: for a recorded team on `team_days`, for a user without one
    on `user_days`. `labels` are by their place in the grain. Where a team is recorded, only `users`
    are kept, or everybody without that.
    """

    days: tuple[date, ...]
    agents: Values = Values()
    labels: tuple[Values, ...] = ()
    team_days: Mapping[str, tuple[date, ...]] = field(default_factory=dict)
    user_days: Mapping[str, tuple[date, ...]] = field(default_factory=dict)
    users: frozenset[str] | None = None

    @property
    def tells_days_apart(self) -> bool:
        return len(self.days) > 1 or bool(self.team_days or self.user_days)

    def day(self, day: date, team: str | None, user: str | None) -> date:
        """The day that stands for it in usage with that recorded team and user."""
        start = self.days[bisect_right(self.days, day) - 1]
        if team is not None:
            own = self.team_days.get(team, ())
        else:
            own = () if user is None else self.user_days.get(user, ())
        before = bisect_right(own, day)
        return max(start, own[before - 1]) if before else start

    def kept_user(self, team: str | None, user: str | None) -> str | None:
        return user if self.users is None or team is None or user in self.users else None

    def kept_labels(self, labels: Iterable[str | None]) -> tuple[str | None, ...]:
        kept = zip(self.labels, labels, strict=True)
        return tuple(values.kept(label) for values, label in kept)

    def group(self, total: UsageTotal) -> UsageTotal:
        """A total as what it is to the rules; those that are alike may be summed."""
        return replace(
            total,
            day=self.day(total.day, total.team, total.user),
            user=self.kept_user(total.team, total.user),
            agent=self.agents.kept(total.agent),
            labels=self.kept_labels(total.labels),
        )


def grouping(snapshot: Snapshot, days: BillingRange) -> Grouping:
    """How totals of those days may be summed for an allocation by this snapshot."""
    by_start = effective(snapshot.rules, days)
    starts = [start for start, _ in by_start]
    in_force = applying(by_start)
    whole = {name for rule in in_force for name in METHODS[rule.rule_type].looks_at}
    claims = [METHODS[rule.rule_type].claims(rule) for rule in in_force]
    every_day = set(days.each()) if "day" in whole else set()
    team_days, user_days = ({}, {}) if every_day else _changes(snapshot.directory, days)
    return Grouping(
        tuple(sorted({*starts, *every_day})),
        Values(_named(claim.agents for claim in claims), "agent" in whole),
        tuple(
            Values(_named(claim.label(name) for claim in claims), "labels" in whole)
            for name in snapshot.labels
        ),
        team_days,
        user_days,
    )


def measuring(snapshot: Snapshot, days: BillingRange, users: frozenset[str]) -> Grouping:
    """How totals of those days may be summed where only teams, those users, and users without a
    team are measured by them."""
    nothing = (Values(),) * len(snapshot.labels)
    _, user_days = _changes(snapshot.directory, days)
    return Grouping((days.start,), labels=nothing, user_days=user_days, users=users)


_Days = dict[str, tuple[date, ...]]


def _changes(directory: Directory, days: BillingRange) -> tuple[_Days, _Days]:
    """The days on which a team changes, and those on which any team of a user does.

    A user's own days are among those of their teams; between them the team that usage without one
    falls to is the same, and so are its members.
    """
    of_team: dict[str, set[date]] = {}
    of_user: dict[str, set[date]] = {}
    for team in directory.teams:
        edges = {edge for member in team.members for edge in (member.first, member.until)}
        within = {edge for edge in edges if edge is not None and days.start < edge < days.end}
        if within:
            of_team[team.team_id] = within
            for member in team.members:
                of_user.setdefault(member.user_id, set()).update(within)
    return _sorted(of_team), _sorted(of_user)


def _sorted(changes: Mapping[str, Iterable[date]]) -> _Days:
    return {name: tuple(sorted(edges)) for name, edges in changes.items()}


def _named(conditions: Iterable[Condition]) -> frozenset[str | None]:
    """The values that any condition tells apart; "any but the missing one" tells that one."""
    named: set[str | None] = set()
    for condition in conditions:
        named |= {None} if condition.present else set()
        named |= condition.values or set()
    return frozenset(named)

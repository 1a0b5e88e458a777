"""Who belongs to which team, and on which days: one document, versioned as a whole.

Only what decides about money is here; names, cost centres and addresses stay with the document
that people wrote. Version 0 is empty.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from chargeback_worker.allocation.pair import Pair


@dataclass(frozen=True, slots=True)
class Member:
    """A user in a team from a billing day to another, half-open; None is for ever."""

    user_id: str
    first: date | None = None
    until: date | None = None
    primary: bool = False

    def on(self, day: date) -> bool:
        started = self.first is None or self.first <= day
        return started and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class Team:
    """`tax_rate_nano` in units of 10**-9; None leaves the rate to the settings."""

    team_id: str
    members: tuple[Member, ...] = ()
    tax_rate_nano: int | None = None


@dataclass(frozen=True)
class Directory:
    """Teams by id, each once; two primary teams of a user on one day are refused before this."""

    version: int = 0
    teams: tuple[Team, ...] = ()

    def owner(self, team: str | None, user: str | None, day: date) -> Pair:
        """The pair that usage belongs to before any rule claims it.

        A user without a recorded team takes their only team of that day, or the primary one.
        Records are never rewritten: usage reports show the recorded team, allocations this one.
        """
        if team is None and user is not None:
            team = self._team_of(user, day)
        return Pair(team, user)

    def members(self, team: str, day: date) -> tuple[str, ...]:
        """The users of a team on a day, each once, by code point."""
        found = self._by_id.get(team)
        return (
            () if found is None else tuple(sorted({m.user_id for m in found.members if m.on(day)}))
        )

    def has(self, team: str, user: str, day: date) -> bool:
        """Whether a user is in a team on a day, in whatever others besides."""
        of_user = self._teams_of.get(user, ())
        return any(name == team and member.on(day) for name, member in of_user)

    def tax_rate_nano(self, team: str) -> int | None:
        found = self._by_id.get(team)
        return None if found is None else found.tax_rate_nano

    def ever_members(self, teams: Iterable[str]) -> frozenset[str]:
        """Everybody who is or was a member of any of those teams."""
        found = (self._by_id[team] for team in teams if team in self._by_id)
        return frozenset(member.user_id for team in found for member in team.members)

    def ever_teams(self, user: str) -> frozenset[str]:
        """The teams that a user is or was a member of."""
        return frozenset(team for team, _ in self._teams_of.get(user, ()))

    @property
    def team_ids(self) -> frozenset[str]:
        return frozenset(self._by_id)

    @property
    def user_ids(self) -> frozenset[str]:
        """Everybody who is or was a member of any team."""
        return frozenset(self._teams_of)

    def _team_of(self, user: str, day: date) -> str | None:
        of_day = [
            (team, member.primary)
            for team, member in self._teams_of.get(user, ())
            if member.on(day)
        ]
        teams = {team for team, _ in of_day}
        if len(teams) > 1:
            teams = {team for team, is_primary in of_day if is_primary}
        return teams.pop() if len(teams) == 1 else None

    @cached_property
    def _by_id(self) -> dict[str, Team]:
        return {team.team_id: team for team in self.teams}

    @cached_property
    def _teams_of(self) -> dict[str, list[tuple[str, Member]]]:
        found: dict[str, list[tuple[str, Member]]] = {}
        for team, member in self._members():
            found.setdefault(member.user_id, []).append((team, member))
        return found

    def _members(self) -> Iterator[tuple[str, Member]]:
        return ((team.team_id, member) for team in self.teams for member in team.members)


EMPTY = Directory()

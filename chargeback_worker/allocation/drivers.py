"""What weights may derive from: all usage of the period, whatever rule claims it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Driver
from chargeback_worker.usage.total import UsageTotal


class Attributed(NamedTuple):
    """A usage total with the pair it belongs to once the directory is applied."""

    owner: Pair
    total: UsageTotal


class _Used(NamedTuple):
    """What was used of one resource type, summed in the order of `_PLACES`."""

    team: str | None
    user: str | None
    resource_type: str
    sums: list[int]


_PLACES = {Driver.COST: 0, Driver.QUANTITY: 1, Driver.RECORDS: 2}


@dataclass(frozen=True)
class Drivers:
    """Sums of the owned usage of a period, made once for all rules.

    `measured_by` is all usage summed before (`grouping.measuring`), where `usage` is not all of
    it: then everybody is measured by it, and only the users of the teams there are known.
    """

    usage: tuple[Attributed, ...]
    measured_by: tuple[Attributed, ...] | None = None

    def measured(
        self, receivers: Iterable[Pair], driver: Driver, resource_types: Sequence[str] = ()
    ) -> dict[Pair, int]:
        """Of each receiver (`team:T` or `user:U`) its owned usage, never below 0.

        A total counts once: for its team where that is a receiver, else for its user. Without
        `resource_types` all count.
        """
        place = _PLACES[driver]
        found = dict.fromkeys(receivers, 0)
        teams = {receiver.team for receiver in found if receiver.team is not None}
        for receiver in found:
            measured = sum(
                used.sums[place]
                for used in self._counted_for(receiver, teams)
                if not resource_types or used.resource_type in resource_types
            )
            found[receiver] = max(measured, 0)
        return found

    @cached_property
    def owners(self) -> tuple[Pair, ...]:
        """The teams with owned usage, and the users with usage that has no team."""
        teams = {Pair(team=team) for team in self._of_team}
        users = {Pair(user=used.user) for used in self._used if used.team is None}
        return tuple(sorted(teams | users))

    def users_of(self, team: str) -> tuple[str, ...]:
        """The users with usage in a team."""
        return tuple(sorted(self._users_of.get(team, ())))

    def _counted_for(self, receiver: Pair, teams: Collection[str]) -> Iterable[_Used]:
        """What counts for a receiver beside those teams."""
        if receiver.team is not None:
            return self._of_team.get(receiver.team, ()) if receiver.user is None else ()
        of_user = () if receiver.user is None else self._of_user.get(receiver.user, ())
        return (used for used in of_user if used.team is None or used.team not in teams)

    @cached_property
    def _users_of(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for owner, _ in self.usage:
            if owner.team is not None and owner.user is not None:
                found.setdefault(owner.team, set()).add(owner.user)
        return found

    @cached_property
    def _of_team(self) -> dict[str, list[_Used]]:
        found: dict[str, list[_Used]] = {}
        for used in self._used:
            if used.team is not None:
                found.setdefault(used.team, []).append(used)
        return found

    @cached_property
    def _of_user(self) -> dict[str, list[_Used]]:
        found: dict[str, list[_Used]] = {}
        for used in self._used:
            if used.user is not None:
                found.setdefault(used.user, []).append(used)
        return found

    @cached_property
    def _used(self) -> list[_Used]:
        """The owned usage by owner and resource type."""
        found: dict[tuple[str | None, str | None, str], list[int]] = {}
        for owner, total in self.usage if self.measured_by is None else self.measured_by:
            key = (owner.team, owner.user, total.resource_type)
            sums = found.get(key)
            if sums is None:
                found[key] = [total.cost, total.quantity, total.records]
            else:
                sums[0] += total.cost
                sums[1] += total.quantity
                sums[2] += total.records
        return [
            _Used(team, user, resource_type, sums)
            for (team, user, resource_type), sums in found.items()
            if team is not None or user is not None
        ]

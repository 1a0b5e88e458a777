"""Two methods and their rules, to try the frame with: one divides by cost, one by users seen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Attributed, Drivers, Method, Pool
from chargeback_worker.allocation.rule import Rule

BY_USAGE = Rule("shared", 1, "trial_by_usage", priority=1000)
BY_TEAM = Rule("teams", 1, "trial_by_team", priority=1000)


def _by_usage_claims(rule: Rule, usage: Attributed) -> bool:
    return True


def _by_usage(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """Owned to its pair; ownerless to the teams in proportion to their owned cost."""
    owners = {u.owner for u in usage} - {UNALLOCATED}
    pools = [Pool.owned(owner, [u for u in usage if u.owner == owner]) for owner in owners]
    costs: dict[Pair, int] = {}
    for owner, total in drivers.usage:
        if owner.team is not None:
            team = Pair(owner.team)
            costs[team] = costs.get(team, 0) + total.cost
    ownerless = [u for u in usage if u.owner == UNALLOCATED]
    weights = {team: max(cost, 0) for team, cost in costs.items()}
    return [*pools, Pool(("shared",), weights, ownerless)] if ownerless else pools


def _by_team_claims(rule: Rule, usage: Attributed) -> bool:
    return usage.owner.team is not None


def _by_team(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """Each team's equally to its users with usage in the period."""
    pools = []
    for team in {u.owner.team for u in usage}:
        seen = {u.owner for u in drivers.usage if u.owner.team == team and u.owner.user}
        claimed = [u for u in usage if u.owner.team == team]
        pools.append(Pool((team,), dict.fromkeys(seen or {Pair(team)}, 1), claimed))
    return pools


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "trial_by_usage", Method(_by_usage_claims, _by_usage))
    monkeypatch.setitem(METHODS, "trial_by_team", Method(_by_team_claims, _by_team))


@contextmanager
def installed() -> Iterator[None]:
    """For laws: a fixture of one function would live across all their examples."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        yield

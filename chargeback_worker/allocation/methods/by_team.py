"""What a team used is divided equally among its people."""

from collections.abc import Sequence
from dataclasses import replace

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import PRESENT, Claim
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Method, Pool
from chargeback_worker.allocation.rule import Rule


def claims(rule: Rule) -> Claim:
    claim = rule.narrowed
    return replace(claim, teams=claim.teams & PRESENT)


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """One pool for each team and each set of users that bear it, whatever the days.

    On days without members the users seen in the team anywhere in the period bear it, whatever
    rule claims their usage; if there are none, the team itself.
    """
    by_users: dict[tuple[str, tuple[str, ...]], list[Attributed]] = {}
    teams_without: set[str] = set()
    for used in usage:
        team = used.owner.team
        assert team is not None, rule.cited
        users = directory.members(team, used.total.day)
        if not users:
            teams_without.add(team)
            users = drivers.users_of(team)
        by_users.setdefault((team, users), []).append(used)
    made = []
    for (team, users), claimed in by_users.items():
        # Late usage changes who was seen, so where days without members are in it the pool is
        # named by its team alone: also where those seen happen to be the members of other days.
        by_seen = team in teams_without and users == drivers.users_of(team)
        key = ("team", team) if by_seen else ("team", team, *users)
        made.append(Pool(key, _equally(team, users), claimed))
    return made


def _equally(team: str, users: Sequence[str]) -> dict[Pair, int]:
    return {Pair(team, user): 1 for user in users} or {Pair(team): 1}


def says(rule: Rule) -> str:
    whose = "each team" if rule.team_id is None else f"team {rule.team_id}"
    return (
        f"divides what {whose} used equally among its members of the day, or, where the directory"
        " has none, among the users seen in it in the period"
    )


METHOD = Method(claims, pools, says)

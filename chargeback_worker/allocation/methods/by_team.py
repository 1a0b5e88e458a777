"""What a team used is divided equally among its people."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import PRESENT, Claim, Condition
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer, Method, Pool
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
    by_members: dict[tuple[str, tuple[str, ...]], list[Attributed]] = {}
    members_of = cache(directory.members)
    for used in usage:
        team = used.owner.team
        assert team is not None, rule.cited
        members = members_of(team, used.total.day)
        by_members.setdefault((team, members), []).append(used)
    for team in [team for team, members in by_members if not members]:
        # Where those seen are the members of other days, the weights are the same and so is the
        # pool. It keeps the key of days without members, as late usage may show who else was seen.
        if seen := drivers.users_of(team):
            by_members[team, ()] += by_members.pop((team, seen), [])
    return [
        Pool(("team", team, *members), _equally(team, members or drivers.users_of(team)), claimed)
        for (team, members), claimed in by_members.items()
    ]


def _equally(team: str, users: Sequence[str]) -> dict[Pair, int]:
    return {Pair(team, user): 1 for user in users} or {Pair(team): 1}


def says(rule: Rule) -> str:
    whose = "each team" if rule.team_id is None else f"team {rule.team_id}"
    return (
        f"divides what {whose} used equally among its members of the day, or, where the directory"
        " has none, among the users seen in it in the period"
    )


def reaches(rule: Rule, bearer: Bearer) -> Claim | None:
    """A team's is its own; a user bears what others used in their teams.

    All that was used there counts, also what the rule does not claim: it shows who else bears.
    """
    if bearer.one.user is None:
        return None
    return Claim(teams=claims(rule).teams & Condition.one_of(bearer.teams))


METHOD = Method(claims, pools, says, reaches=reaches)

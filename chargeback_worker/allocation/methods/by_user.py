"""Named people bear their own usage, and equally what the rule claims besides."""

from collections.abc import Sequence
from dataclasses import replace

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import PRESENT, Claim, Condition
from chargeback_worker.allocation.naming import first_few
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer, Method, Pool
from chargeback_worker.allocation.rule import Rule


def claims(rule: Rule) -> Claim:
    claim = rule.narrowed
    if not rule.user_ids:
        return replace(claim, users=claim.users & PRESENT)
    if rule.match.narrows or rule.team_id is not None:
        return claim
    return replace(claim, users=Condition.one_of(rule.user_ids))


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """One pool for each pair with a listed user, and one of the rest of each team."""
    listed = set(rule.user_ids)
    made = Pool.owned_each(used for used in usage if not listed or used.owner.user in listed)
    others: dict[str | None, list[Attributed]] = {}
    for used in usage:
        if listed and used.owner.user not in listed:
            others.setdefault(used.owner.team, []).append(used)
    for team, claimed in others.items():
        weights = {Pair(team, user): 1 for user in rule.user_ids}
        made.append(Pool(("others", team), weights, claimed))
    return made


def says(rule: Rule) -> str:
    if not rule.user_ids:
        return "gives each user their own usage"
    users = ", ".join(first_few(rule.user_ids))
    return f"gives {users} their own usage, and equally what it claims of others"


def reaches(rule: Rule, bearer: Bearer) -> Claim | None:
    """It keeps the team, so only those named bear what is not their own."""
    return claims(rule) if bearer.one.user in rule.user_ids else None


METHOD = Method(claims, pools, says, frozenset({"user_ids"}), reaches=reaches)

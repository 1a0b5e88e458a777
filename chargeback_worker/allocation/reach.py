"""Which totals bear on what a few teams or users bear; the rest need not be read to know that.

A report of one team would otherwise settle the whole month. Three things reach a bearer: usage of
their own, usage that a rule divides among them and others, which must then be whole, and what
weights are measured by. To take too much is harmless, to leave anything out is not.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.match import MISSING, PRESENT, Claim, Condition
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer
from chargeback_worker.allocation.rule import applying, effective
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import BillingRange
from chargeback_worker.usage.total import UsageTotal


@dataclass(frozen=True, slots=True)
class Reach:
    """What to read: totals that any of `claims` takes, whose teams and users are those recorded.

    `measured` names the users who are measured even where they have a team, if anything is measured
    at all: then that takes all usage of the period, summed by `grouping.measuring`.
    """

    claims: tuple[Claim, ...]
    measured: frozenset[str] | None = None

    @property
    def everything(self) -> bool:
        return any(claim.takes_all for claim in self.claims)

    def takes(self, total: UsageTotal, labels: Sequence[str]) -> bool:
        """Whether a total, of those labels of the grain, is to be read."""
        return any(_takes(claim, total, labels) for claim in self.claims)


def bearer(one: Pair, directory: Directory, seen: Iterable[str] = ()) -> Bearer:
    """A team or a user; `seen` are the teams that usage of the user names."""
    if one.user is None:
        return Bearer(one)
    return Bearer(one, directory.ever_teams(one.user) | frozenset(seen))


def reach(snapshot: Snapshot, days: BillingRange, bearers: Sequence[Bearer]) -> Reach:
    """What bears on those bearers of the usage of those days, by that snapshot."""
    claims = _own(bearers)
    users: set[str] = set()
    measures = False
    for rule in applying(effective(snapshot.rules, days)):
        method = METHODS[rule.rule_type]
        shared = [claim for one in bearers if (claim := method.reaches(rule, one)) is not None]
        claims += shared
        if shared and method.measures:
            measures = True
            users |= {named.pair.user for named in rule.receivers if named.pair.user is not None}
    recorded = (found for claim in claims for found in _recorded(claim, snapshot.directory))
    found = Reach(
        tuple(dict.fromkeys(claim for claim in recorded if not claim.takes_nothing)),
        frozenset(users) if measures else None,
    )
    return Reach((Claim(),)) if found.everything else found


def _own(bearers: Iterable[Bearer]) -> list[Claim]:
    teams = frozenset(one.one.team for one in bearers if one.one.team is not None)
    users = frozenset(one.one.user for one in bearers if one.one.user is not None)
    return [Claim(teams=Condition(teams)), Claim(users=Condition(users))]


def _recorded(claim: Claim, directory: Directory) -> Iterator[Claim]:
    """What may be recorded of usage that belongs to a pair which the claim takes: the directory
    gives a team to users without one, on some days."""
    if claim.takes_all:
        yield claim
        return
    yield replace(claim, teams=claim.teams & PRESENT)
    if claim.teams.takes(None):
        users = claim.users
    elif claim.teams.values is None:
        users = claim.users & Condition(directory.user_ids)
    else:
        named = (team for team in claim.teams.values if team is not None)
        users = claim.users & Condition(directory.ever_members(named))
    yield replace(claim, teams=MISSING, users=users)


def takes_labels(claim: Claim, names: Sequence[str], labels: Sequence[str | None]) -> bool:
    """Whether a claim takes those labels of the grain."""
    return all(claim.label(name).takes(label) for name, label in zip(names, labels, strict=True))


def _takes(claim: Claim, total: UsageTotal, labels: Sequence[str]) -> bool:
    return (
        claim.teams.takes(total.team)
        and claim.users.takes(total.user)
        and claim.agents.takes(total.agent)
        and claim.resource_types.takes(total.resource_type)
        and takes_labels(claim, labels, total.labels)
    )

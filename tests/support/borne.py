"""Allocations in a form that a test can write down: who bears how much, by the order of keys."""

from collections.abc import Iterable

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.engine import allocate
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Receiver, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.usage.total import UsageTotal


def borne(
    totals: Iterable[UsageTotal], *rules: Rule, directory: Directory | None = None
) -> list[tuple[str, int]]:
    """The keys of pairs with their cost, one row a part."""
    snapshot = Snapshot(rules, directory or Directory())
    return [(part.key.pair.key, part.cost) for part in allocate(totals, snapshot)]


def receivers(*pairs: Pair) -> tuple[Receiver, ...]:
    return tuple(Receiver(pair.key, pair) for pair in pairs)


def directory(**members: Iterable[str | Member]) -> Directory:
    """Teams by their name, each with the users that are members of it on all days."""
    teams = (
        Team(name, tuple(Member(user) if isinstance(user, str) else user for user in users))
        for name, users in members.items()
    )
    return Directory(1, tuple(teams))

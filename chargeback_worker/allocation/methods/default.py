"""The reserved rule's method: everything goes to its own pair, what has no owner to nobody."""

from collections.abc import Sequence

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Attributed, Drivers, Method, Pool
from chargeback_worker.allocation.rule import Rule


def claims(rule: Rule, usage: Attributed) -> bool:
    return True


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """One pool a pair. Ownerless usage is the pair of nobody, so it stays unallocated."""
    by_owner: dict[Pair, list[Attributed]] = {}
    for attributed in usage:
        by_owner.setdefault(attributed.owner, []).append(attributed)
    return [Pool.owned(owner, claimed) for owner, claimed in by_owner.items()]


METHOD = Method(claims, pools)

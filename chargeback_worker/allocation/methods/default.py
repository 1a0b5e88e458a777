"""The reserved rule's method: everything goes to its own pair, what has no owner to nobody."""

from collections.abc import Sequence

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import Claim
from chargeback_worker.allocation.pool import Bearer, Method, Pool
from chargeback_worker.allocation.rule import Rule


def claims(rule: Rule) -> Claim:
    return Claim()


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """One pool a pair. Ownerless usage is the pair of nobody, so it stays unallocated."""
    return Pool.owned_each(usage)


def says(rule: Rule) -> str:
    return "leaves usage with the team and user it belongs to, and what has no owner unallocated"


def reaches(rule: Rule, bearer: Bearer) -> Claim | None:
    return None


METHOD = Method(claims, pools, says, reaches=reaches)

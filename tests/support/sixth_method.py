"""A method that is not in the house: one file, and one line to install it.

What an agent costs is borne by those who use that agent, by the records that they made with it
anywhere in the period. Nobody has decided so; it shows what a new method has to say about itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import PRESENT, Claim
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Method, Objection, Pool
from chargeback_worker.allocation.rule import Rule


def claims(rule: Rule) -> Claim:
    claim = rule.narrowed
    return replace(claim, agents=claim.agents & PRESENT)


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """One pool an agent; where nobody is known to have used it, it stays unallocated."""
    records: dict[str | None, dict[Pair, int]] = {}
    for owner, total in drivers.usage:
        if owner != UNALLOCATED:
            of_agent = records.setdefault(total.agent, {})
            of_agent[owner] = of_agent.get(owner, 0) + total.records
    by_agent: dict[str | None, list[Attributed]] = {}
    for used in usage:
        by_agent.setdefault(used.total.agent, []).append(used)
    return [
        Pool(("agent", agent), records.get(agent, {}), claimed)
        for agent, claimed in by_agent.items()
    ]


def says(rule: Rule) -> str:
    return "divides what each agent cost among those who used it, by their number of records"


def check(rule: Rule) -> Iterable[Objection]:
    if None in (rule.match.agents or ()):
        yield Objection(
            "no_agent", "allocation_metadata.match.agents", "by_agent needs agents to divide by"
        )


METHOD = Method(claims, pools, says, check=check, looks_at=frozenset({"agent"}))


@contextmanager
def installed() -> Iterator[None]:
    """For laws: a fixture of one function would live across all their examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "by_agent", METHOD)
        yield

"""Hypothesis strategies for usage totals of one month."""

from collections.abc import Sequence
from datetime import date

from hypothesis import strategies as st

from chargeback_worker.usage.total import UsageTotal
from tests.support.pure_ledger import usage

TEAMS = ("A", "B", "C")
USERS = ("x", "y")
AGENTS = ("a1", "a2", "a3")
RESOURCE_TYPES = ("compute", "query")
LABELS = ("project", "stage")
"""Keys of the grain, for usage that has labels."""
VALUES = ("", "p", "q")
"""Of labels: an empty one is a value."""

# Small amounts meet ties and zero often, large ones pass 64 bits in a sum.
COSTS = st.integers(-30, 30) | st.integers(-(10**19), 10**19)


def totals(
    month: int = 10,
    *,
    labels: Sequence[str] = (),
    teams: Sequence[str] = TEAMS,
    users: Sequence[str] = USERS,
    min_size: int = 0,
    max_size: int = 12,
) -> st.SearchStrategy[list[UsageTotal]]:
    one = st.builds(
        usage,
        COSTS,
        day=st.integers(1, 28).map(lambda day: date(2025, month, day)),
        # Half of it has no team: what is shared, and what the directory decides about.
        team=st.none() | st.sampled_from(teams),
        user=st.none() | st.sampled_from(users),
        agent=st.sampled_from([None, *AGENTS]),
        resource_type=st.sampled_from(RESOURCE_TYPES),
        labels=st.tuples(*[st.sampled_from([None, *VALUES])] * len(labels)),
        quantity=st.integers(-5, 10**12),
        records=st.integers(1, 3),
    )
    return st.lists(one, min_size=min_size, max_size=max_size)

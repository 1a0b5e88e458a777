"""Hypothesis strategies for usage totals of one month."""

from datetime import date

from hypothesis import strategies as st

from chargeback_worker.usage.total import UsageTotal
from tests.support.pure_ledger import usage

# Small amounts meet ties and zero often, large ones pass 64 bits in a sum.
COSTS = st.integers(-30, 30) | st.integers(-(10**19), 10**19)


def totals(month: int = 10) -> st.SearchStrategy[list[UsageTotal]]:
    one = st.builds(
        usage,
        COSTS,
        day=st.integers(1, 28).map(lambda day: date(2025, month, day)),
        team=st.sampled_from([None, "A", "B", "C"]),
        user=st.sampled_from([None, "x", "y"]),
        resource_type=st.sampled_from(["compute", "query"]),
        quantity=st.integers(-5, 10**12),
    )
    return st.lists(one, max_size=12)

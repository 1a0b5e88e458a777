"""What a walk may be given: usage, rules, directories, settings, and what is asked for."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.allocation.snapshot import Approval, Requested, Snapshot
from chargeback_worker.money import nano_from_text
from chargeback_worker.period import Period

MONTHS = (Period(2026, 9), Period(2026, 10), Period(2026, 11), Period(2026, 12))
"""The last one has only begun when a walk does."""
months = st.sampled_from([*MONTHS[:3], *MONTHS[:3], MONTHS[3]])

_COSTS = ("7", "-3.3", "0.004", "10.000000007", "0.000000001", "33.335", "-0.015", "120", "-50")


@dataclass(frozen=True)
class Used:
    """One event; days after the second only of months that are over."""

    month: Period
    day: int
    team: str | None
    user: str | None
    resource_type: str
    cost: str

    @property
    def on(self) -> str:
        return f"{self.month}-{self.day if self.month != MONTHS[-1] else 1:02d}"

    @property
    def nano(self) -> int:
        return nano_from_text(self.cost, limit=10**12)


def events(*, least: int = 1, most: int = 3) -> st.SearchStrategy[list[Used]]:
    owners: list[tuple[str | None, str | None]] = [
        ("A", "x"),
        ("A", "y"),
        ("B", "x"),
        ("B", None),
        (None, "x"),
        (None, "y"),
    ]
    one = st.builds(
        lambda month, day, owner, resource_type, cost: Used(
            month, day, owner[0], owner[1], resource_type, cost
        ),
        st.sampled_from([*MONTHS[:3], *MONTHS]),
        st.integers(1, 28),
        st.sampled_from([*owners, (None, None)]),
        st.sampled_from(["query", "query", "compute"]),
        st.sampled_from(_COSTS),
    )
    return st.lists(one, min_size=least, max_size=most)


_SHARED = {"match": {"teams": [None], "users": [None]}}
RULES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "members": [{"rule_id": "members", "rule_type": "by_team", "team_id": "A"}],
    "rent": [{"rule_id": "rent", "rule_type": "by_usage", "allocation_metadata": _SHARED}],
    "agreed": [
        {
            "rule_id": "agreed",
            "rule_type": "fixed_split",
            "team_id": "A",
            "split_percentages": {"team:A": "33.3", "team:B": "66.7"},
        },
        {"rule_id": "rent", "rule_type": "by_usage"},
    ],
    "even": [
        {
            "rule_id": "even",
            "rule_type": "equal_split",
            "allocation_metadata": {
                "match": {"resource_types": ["compute"]},
                "receivers": ["team:A", "user:y", "team:C"],
            },
        }
    ],
    "people": [
        {
            "rule_id": "people",
            "rule_type": "by_user",
            "user_ids": ["x", "y"],
            "allocation_metadata": _SHARED,
        },
        {"rule_id": "members", "rule_type": "by_team"},
    ],
}
RATES: dict[str, dict[str, int]] = {
    "empty": {},
    "teams": {"A": 190_000_000},
    "moved": {"A": 190_000_000, "B": 75_000_000},
    "untaxed": {"A": 0},
}
"""The tax rates that are in each directory."""
DIRECTORIES: dict[str, dict[str, Any]] = {
    "empty": {"teams": []},
    "teams": {
        "teams": [
            {"team_id": "A", "tax_rate": "0.19", "members": [{"user_id": "x"}]},
            {"team_id": "B", "members": [{"user_id": "y"}]},
        ]
    },
    "moved": {
        "teams": [
            {
                "team_id": "A",
                "tax_rate": "0.19",
                "members": [{"user_id": "x", "to": "2026-10-15"}, {"user_id": "y"}],
            },
            {
                "team_id": "B",
                "tax_rate": "0.075",
                "members": [{"user_id": "x", "from": "2026-10-15"}],
            },
        ]
    },
    "untaxed": {"teams": [{"team_id": "A", "tax_rate": "0", "members": [{"user_id": "y"}]}]},
}

terms = st.builds(
    Snapshot,
    bill_to=st.sampled_from([BillTo.TEAM, BillTo.TEAM, BillTo.USER]),
    tax_rate_nano=st.sampled_from([0, 70_000_000]),
    due_days=st.sampled_from([0, 14, 30]),
    approval=st.sampled_from([Approval.AUTO, Approval.AUTO, Approval.MANUAL]),
)

requests = st.builds(
    Requested,
    st.sampled_from(
        [
            Pair("A"),
            Pair("B"),
            Pair(None, "x"),
            Pair(None, "x"),
            Pair(None, "y"),
            Pair("A", "x"),
            Pair("A", "x"),
            Pair("A", "y"),
            Pair("C"),
        ]
    ),
    tax_rate_nano=st.sampled_from([None, None, 0, 125_000_000]),
    due_days=st.sampled_from([None, None, 0, 5]),
)
reasons = st.sampled_from(["wrong price", "agreed so", "by mistake", "asked to", " ", None])
"""Mostly one that will do."""

"""Hypothesis strategies for documents as people write them: of rules, right ones and any others."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from chargeback_worker.allocation.writing.directory import MEMBER_FIELDS, TEAM_FIELDS
from chargeback_worker.allocation.writing.fields import FIELDS, IGNORED, METADATA_FIELDS
from chargeback_worker.allocation.writing.match import MATCH_FIELDS
from chargeback_worker.allocation.writing.place import Number

LABELS = ("env", "project")

_letters = st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp"))
ids = st.one_of(
    st.sampled_from(["A", "B", "team-9", "zoe", "a.b", "x:y", "7"]),
    st.text(_letters, min_size=1, max_size=8),
    st.integers(0, 99).map(lambda number: Number(f"{number:03d}")),
)
_days = st.dates(date(2000, 1, 1), date(2100, 1, 1))


@st.composite
def receiver_keys(draw: st.DrawFn) -> str:
    prefix = draw(st.sampled_from(["", "team:", "user:"]))
    key: str = prefix + draw(ids)
    return key


@st.composite
def _listed(draw: st.DrawFn, *values: st.SearchStrategy[Any]) -> list[Any]:
    return draw(st.lists(st.one_of(*values), min_size=1, max_size=3))


def _some_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


_matches = _some_of(
    {
        **{field: _listed(ids, st.none()) for field in MATCH_FIELDS[:-1]},
        "labels": st.dictionaries(
            st.sampled_from(LABELS), _listed(ids, st.none(), st.just(""), st.booleans())
        ),
    }
)


@st.composite
def _dates(draw: st.DrawFn) -> dict[str, str]:
    first, count = draw(_days), draw(st.integers(1, 400))
    both = {"effective_from": first, "effective_to": first + timedelta(days=count)}
    given = draw(st.sets(st.sampled_from(sorted(both))))
    return {field: both[field].isoformat() for field in sorted(given)}


@st.composite
def splits(draw: st.DrawFn) -> dict[str, Any]:
    """Percentages that sum to exactly 100, of receivers that are different however resolved."""
    names = draw(st.lists(ids.filter(lambda i: ":" not in i), min_size=1, max_size=4, unique=True))
    cuts = draw(
        st.lists(
            st.integers(1, 100 * 10**9 - 1),
            min_size=len(names) - 1,
            max_size=len(names) - 1,
            unique=True,
        )
    )
    edges = [0, *sorted(cuts), 100 * 10**9]
    shares = [Decimal(end - start).scaleb(-9) for start, end in pairwise(edges)]
    return {
        str(name): Number(format(share, "f")) for name, share in zip(names, shares, strict=True)
    }


@st.composite
def written_rules(draw: st.DrawFn, rule_id: str | None = None) -> dict[str, Any]:
    """A rule that is refused for nothing, whatever the directory; with any optional fields."""
    kind = draw(st.sampled_from(["by_usage", "by_team", "by_user", "fixed_split", "equal_split"]))
    metadata = draw(
        _some_of(
            {
                "match": _matches,
                "entity_type": st.sampled_from(["team", "user"]),
                "driver": st.sampled_from(["cost", "records"]),
                "driver_match": st.fixed_dictionaries({"resource_types": _listed(ids)}),
            }
        )
    )
    document = draw(
        _some_of(
            {
                "name": st.text(_letters, max_size=8),
                "description": st.text(_letters | st.just("\n"), max_size=12),
                "enabled": st.booleans(),
                "priority": st.integers(-5, 3000),
                "team_id": ids,
            }
        )
    )
    document |= {"rule_id": rule_id or draw(ids.filter(lambda i: i != "default"))}
    document |= {"rule_type": kind} | draw(_dates())
    users = draw(st.lists(ids, min_size=1, max_size=3, unique_by=str))
    if kind in ("by_user", "equal_split"):
        document["user_ids"] = users
    elif kind == "by_usage":
        metadata["receivers"] = [f"team:{user}" for user in users]
    elif kind == "fixed_split":
        document["split_percentages"] = draw(splits())
    if draw(st.booleans()) or metadata:
        document["allocation_metadata"] = metadata
    return document


_numbers = st.integers() | st.decimals(allow_nan=True) | st.from_regex(r"-?\d{1,3}", fullmatch=True)
_scalars = (
    st.none()
    | st.booleans()
    | st.text(max_size=5)
    | _numbers
    | _numbers.map(lambda number: Number(number))
    | st.sampled_from(["team:", "default", "by_usage", "cost", "2026-10-01", "quantity"])
)
_OTHERS = ("rule", "rules", "env", "directory")
_names = st.sampled_from(
    [*FIELDS, *IGNORED, *METADATA_FIELDS, *MATCH_FIELDS, *TEAM_FIELDS, *MEMBER_FIELDS, *_OTHERS]
)
anything: st.SearchStrategy[Any] = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_names | st.text(max_size=3) | st.integers(), inner, max_size=6)
    ),
    max_leaves=20,
)
"""Any plain document, with the words of real ones in it."""

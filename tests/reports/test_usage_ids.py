"""Usage ids for who sees only what is theirs: of all that stands behind a row, their own."""

from typing import Any

import pytest
from hypothesis import given

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.period import Period
from chargeback_worker.pipeline.allocate import allocate
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.reports.allocations import list_allocations
from chargeback_worker.reports.owner import team_report, user_report
from chargeback_worker.store import Store
from tests.support.feed import Feed, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, OCTOBER, TERMS, act, closed
from tests.support.made_months import (
    FAR_US,
    Used,
    events,
    months_of,
    shared,
    some_rules,
    write,
    year_of,
)

TEAM, USER = Pair(team="A"), Pair(user="x")


def _rows(store: Store, month: Period, of: Pair, **options: Any) -> list[Any]:
    found = list_allocations(
        store, month.days(), TERMS, team=of.team, user=of.user, limit=1_000, **options
    )
    return list(found["allocations"])


def _ids(store: Store, month: Period, of: Pair) -> dict[str, list[str]]:
    rows = _rows(store, month, of, usage_ids_of=of)
    return {row["allocation_details"]["rule"]: sorted(row["usage_records"]) for row in rows}


@law_on_a_store(12)
@given(used=events(month=1), rules=some_rules())
def test_they_are_those_of_the_owner_among_all_and_nothing_else_changes(
    store: Store, used: list[Used], rules: list[Rule]
) -> None:
    year = year_of(store, used, rules)
    month, _ = months_of(year)
    for source in ("computed", "run", "booked"):
        if source == "run":
            allocate(store, month, TERMS, act())
        if source == "booked":
            closed(store, month, now_us=FAR_US)
        for of in (TEAM, USER):
            theirs = {
                f"{year}-e{place}"
                for place, one in enumerate(used)
                if (one.team == of.team if of.team else one.user == of.user)
            }
            whole, own = _rows(store, month, of), _rows(store, month, of, usage_ids_of=of)
            for row in whole:
                row["usage_records"] = [name for name in row["usage_records"] if name in theirs]
            assert own == whole, (source, of)


@pytest.fixture
def october(store: Store) -> Store:
    """Team A bears half of what B used, and x is in A from the 10th on."""
    members = [{"user_id": "x", "from": "2026-10-10"}]
    apply_directory(store, {"teams": [{"team_id": "A", "members": members}]}, act())
    write(store, shared("rent", Pair("A"), Pair("B"), priority=10, team_id="B"))
    Feed(store).send(
        usage("of-a", team="A", user_id="y"),
        usage("of-b", team="B", user_id="b"),
        usage("of-x-before", team=None, user_id="x", day="2026-10-09"),
        usage("of-x", team=None, user_id="x", day="2026-10-10"),
        usage("of-x-in-b", team="B", user_id="x"),
    )
    return store


def test_usage_is_of_the_team_that_the_directory_gives_it_to(october: Store) -> None:
    rows = _rows(october, OCTOBER, TEAM, usage_ids_of=TEAM)
    assert {row["user_id"]: row["usage_records"] for row in rows} == {
        "x": ["of-x"],
        "y": ["of-a"],
        None: [],
    }
    (rent,) = (row for row in rows if row["rule_id"] == "rent")
    assert rent["usage_record_count"] == 2


def test_a_report_tells_no_more_of_them_than_a_list(october: Store) -> None:
    found = team_report(october, OCTOBER.days(), TERMS, "A", usage_ids_of=TEAM)["report"]
    assert found["allocations"] == _rows(october, OCTOBER, TEAM, usage_ids_of=TEAM)
    found = user_report(october, OCTOBER.days(), TERMS, "x", usage_ids_of=USER)["report"]
    assert found["allocations"] == _rows(october, OCTOBER, USER, usage_ids_of=USER)


def test_an_adjustment_tells_no_usage_of_others_either(october: Store) -> None:
    closed(october)
    late = usage("late-of-b", team="B", user_id="b")
    Feed(october, partition=1).send(late, usage("late-of-a", team="A", user_id="y"))
    closed(october, NOVEMBER, now_us=AFTER_NOVEMBER_US)
    whole = {name for row in _rows(october, NOVEMBER, TEAM) for name in row["usage_records"]}
    assert whole == {"late-of-a", "late-of-b"}
    assert _ids(october, NOVEMBER, TEAM) == {"default@1": ["late-of-a"], "rent@1": []}

"""Who bears the usage of some days: all of it, once, whether booked, run or computed."""

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import encode
from chargeback_worker.money import NANO
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.allocate import allocate
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.reports.allocations import list_allocations
from chargeback_worker.store import Store
from chargeback_worker.store.rules import RuleUnknown
from chargeback_worker.store.tables import billing_period
from chargeback_worker.usage.event import Grain
from tests.support.feed import Feed, set_state, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import (
    AFTER_NOVEMBER_US,
    NOVEMBER,
    NOW_US,
    OCTOBER,
    SEPTEMBER,
    TERMS,
    act,
    closed,
)
from tests.support.made_months import (
    FAR_US,
    Used,
    cost_of,
    events,
    months_of,
    nano,
    shared,
    some_rules,
    write,
    year_of,
)

_DAYS = OCTOBER.days()
_FEW = law_on_a_store(12)


def _listed(store: Store, days: BillingRange, **filters: Any) -> dict[str, Any]:
    return list_allocations(store, days, TERMS, **filters)


def _rows(store: Store, days: BillingRange = _DAYS, **filters: Any) -> list[Any]:
    """Rule, team, user and cost of each."""
    return [
        (
            row["allocation_details"]["rule"],
            row["team_id"],
            row["user_id"],
            nano(row["total_cost_usd"]),
        )
        for row in _listed(store, days, **filters)["allocations"]
    ]


@_FEW
@given(used=events(), rules=some_rules(), first=st.integers(1, 27), until=st.integers(29, 58))
def test_whatever_the_days_all_their_usage_is_borne_once(
    store: Store, used: list[Used], rules: list[Rule], first: int, until: int
) -> None:
    year = year_of(store, used, rules)
    days = BillingRange(
        date(year, 1, first), date.fromordinal(date(year, 1, 1).toordinal() + until)
    )
    one, two = months_of(year)
    for asked in (one.days(), two.days(), BillingRange(date(year, 1, 1), date(year, 3, 1)), days):
        counted = [u for u in used if asked.start <= date(year, u.month, u.day) < asked.end]
        found = _listed(store, asked, limit=1_000)
        rows = found["allocations"]
        assert sum(nano(row["total_cost_usd"]) for row in rows) == cost_of(counted)
        assert nano(found["total_cost_usd"]) == cost_of(counted)
        nobody = [row for row in rows if (row["team_id"], row["user_id"]) == (None, None)]
        assert nano(found["unallocated"]) == sum(nano(row["total_cost_usd"]) for row in nobody)
        for row in rows:
            parts = row["allocation_details"]["by_resource_type"].values()
            assert sum(nano(part["cost"]) for part in parts) == nano(row["total_cost_usd"])
            # Over several months, a share of nothing in one of them is counted in none.
            assert len(row["usage_records"]) >= row["usage_record_count"]
            if len(asked.periods()) == 1:
                assert len(row["usage_records"]) == row["usage_record_count"]


@_FEW
@given(used=events(), rules=some_rules())
def test_the_months_of_a_range_sum_to_the_range(
    store: Store, used: list[Used], rules: list[Rule]
) -> None:
    year = year_of(store, used, rules)
    one, two = months_of(year)
    sums: dict[Any, int] = {}
    for month in (one, two):
        for *key, cost in _rows(store, month.days(), limit=1_000):
            sums[tuple(key)] = sums.get(tuple(key), 0) + cost
    whole = _rows(store, BillingRange(one.days().start, two.days().end), limit=1_000)
    # A row may cancel out over the months and still have parts that do not.
    assert {tuple(key): cost for *key, cost in whole if cost} == {
        key: cost for key, cost in sums.items() if cost
    }


@_FEW
@given(used=events(month=1), rules=some_rules())
def test_a_run_a_computation_and_the_books_of_a_first_close_agree(
    store: Store, used: list[Used], rules: list[Rule]
) -> None:
    year = year_of(store, used, rules)
    month, _ = months_of(year)
    answers = [_listed(store, month.days(), limit=1_000)]
    allocate(store, month, TERMS, act())
    answers.append(_listed(store, month.days(), limit=1_000))
    closed(store, month, now_us=FAR_US)
    answers.append(_listed(store, month.days(), limit=1_000))
    assert [answer["stored"] for answer in answers] == [False, True, True]
    for answer in answers:
        for row in answer["allocations"]:
            row["created_at"] = None
        del answer["stored"]
    assert encode(answers[0]) == encode(answers[1]) == encode(answers[2])


@pytest.fixture
def october(store: Store) -> Store:
    """Usage of two teams and of nobody, and a rule that divides compute."""
    Feed(store).send(
        usage("a", "1.5", team="A", quantity="2"),
        usage("b", "2", team="B", user_id=None),
        usage("c", "3", team=None, user_id=None),
        usage("d", "4", team="B", resource_type="compute"),
        usage("e", "1", team="A", resource_type="compute", day="2026-09-30"),
    )
    write(store, shared("even", Pair("A"), Pair("B", None), priority=10, team_id="B"))
    return store


def test_a_row_has_the_shape_that_programs_rely_on(october: Store) -> None:
    allocate(october, OCTOBER, TERMS, act())
    page = _listed(october, OCTOBER.days(), rule_id="even", limit=1)
    (row,) = page["allocations"]
    identity = row["allocation_id"].encode()
    assert encode(page) == (
        b'{"period_start":"2026-10-01","period_end":"2026-11-01","allocations":['
        b'{"allocation_id":"' + identity + b'","rule_id":"even","rule_version":1,'
        b'"period_start":"2026-10-01","period_end":"2026-11-01","team_id":"A","user_id":null,'
        b'"total_cost_usd":3,"usage_records":' + encode(row["usage_records"]) + b","
        b'"usage_record_count":2,"allocation_details":{"rule":"even@1","kind":"shared",'
        b'"share":"1/2","by_resource_type":{"compute":{"cost":2,"quantity":null,"shared":true,'
        b'"share":"1/2"},"query":{"cost":1,"quantity":null,"shared":true,"share":"1/2"}}},'
        b'"created_at":"2026-11-22T12:00:00Z"}],"total_cost_usd":6,"unallocated":3,'
        b'"stored":true,"pruned":[],"next_cursor":"' + page["next_cursor"].encode() + b'"}'
    )
    assert sorted(row["usage_records"]) == ["b", "d"]


def test_what_nobody_bears_is_a_row_too_and_the_last(october: Store) -> None:
    assert _rows(october) == [
        ("default@1", "A", "u", 1_500_000_000),
        ("default@1", None, None, 3 * NANO),
        ("even@1", "A", None, 3 * NANO),
        ("even@1", "B", None, 3 * NANO),
    ]
    assert nano(_listed(october, OCTOBER.days(), team="A")["unallocated"]) == 3 * NANO


def test_filters_are_exact_and_an_empty_one_asks_for_none(october: Store) -> None:
    assert [row[:3] for row in _rows(october, team="A")] == [
        ("default@1", "A", "u"),
        ("even@1", "A", None),
    ]
    assert [row[0] for row in _rows(october, team="A", user="")] == ["even@1"]
    assert [row[1:3] for row in _rows(october, team="")] == [(None, None)]
    assert _rows(october, rule_id="default", user="u") == [("default@1", "A", "u", 1_500_000_000)]
    assert _rows(october, team="C") == []
    with pytest.raises(RuleUnknown, match="Did you mean 'even'"):
        _listed(october, OCTOBER.days(), rule_id="evens")


def test_pages_go_on_in_the_order_of_keys(october: Store) -> None:
    cursor, pages = None, []
    for _ in range(4):
        page = _listed(october, OCTOBER.days(), limit=1, cursor=cursor)
        pages += page["allocations"]
        cursor = page["next_cursor"]
    assert cursor is None
    assert pages == _listed(october, OCTOBER.days())["allocations"]


def test_a_run_stays_as_it_was_until_the_next(october: Store) -> None:
    allocate(october, OCTOBER, TERMS, act())
    before = _listed(october, OCTOBER.days())
    Feed(october).send(usage("later", "5", team="A"))
    after = _listed(october, OCTOBER.days())
    assert after["total_cost_usd"] == before["total_cost_usd"]
    allocate(october, OCTOBER, TERMS, act())
    assert nano(_listed(october, OCTOBER.days())["total_cost_usd"]) == 15_500_000_000


def test_a_range_that_is_no_month_is_computed_and_has_no_ids(october: Store) -> None:
    found = _listed(october, BillingRange.parse("2026-09-15/2026-10-04"))
    assert found["stored"] is False
    assert {row["allocation_id"] for row in found["allocations"]} == {None}
    assert {row["created_at"] for row in found["allocations"]} == {None}
    assert nano(found["total_cost_usd"]) == 11_500_000_000


def test_late_usage_is_an_adjustment_of_the_month_that_books_it(october: Store) -> None:
    closed(october, SEPTEMBER)
    closed(october, OCTOBER)
    Feed(october).send(usage("late", "6", team="B", user_id=None))
    closed(october, NOVEMBER, now_us=AFTER_NOVEMBER_US)

    booked = _listed(october, OCTOBER.days())
    assert nano(booked["total_cost_usd"]) == 10_500_000_000
    adjustments = _listed(october, NOVEMBER.days())["allocations"]
    assert [row["team_id"] for row in adjustments] == ["A", "B"]
    for row in adjustments:
        details = row["allocation_details"]
        assert (details["kind"], details["origin_period"]) == ("adjustment", "2026-10")
        assert details["by_resource_type"]["query"]["cause"] == "late_usage"
        assert (row["usage_records"], row["usage_record_count"]) == (["late"], 1)
        assert row["period_start"] == NOVEMBER.days().start
    # By the day of the usage it belongs to October, which the close of November does not change.
    days = BillingRange(OCTOBER.days().start, NOVEMBER.days().end)
    assert nano(_listed(october, days)["total_cost_usd"]) == 16_500_000_000


def test_a_range_goes_by_what_decided_its_closed_months(october: Store) -> None:
    closed(october, SEPTEMBER)
    closed(october, OCTOBER)
    write(october, shared("even", Pair("C"), version=2, priority=10, team_id="B"))
    days = BillingRange(OCTOBER.days().start, NOVEMBER.days().end)
    assert ("even@1", "B", None, 3 * NANO) in _rows(october, days)


def test_a_closed_month_answers_with_the_sum_of_its_revisions(october: Store) -> None:
    closed(october, SEPTEMBER)
    closed(october, OCTOBER)
    first = _listed(october, OCTOBER.days(), rule_id="even")["allocations"]
    set_state(october, OCTOBER, "reopened")
    _set_revision(october, 2)
    Feed(october).send(usage("more", "2", team="B", user_id=None))
    closed(october, OCTOBER, now_us=NOW_US + 1)

    again = _listed(october, OCTOBER.days(), rule_id="even")["allocations"]
    assert [nano(row["total_cost_usd"]) for row in again] == [4 * NANO, 4 * NANO]
    assert [row["usage_record_count"] for row in again] == [3, 3]
    for name in ("allocation_id", "created_at"):
        assert [row[name] for row in again] == [row[name] for row in first]
    assert sorted(again[0]["usage_records"]) == ["b", "d", "more"]


def test_usage_ids_are_found_by_all_that_rules_tell_apart(store: Store) -> None:
    """Labels and agents that no rule names are summed, and so are days between two changes."""
    feed = Feed(store, grain=Grain("UTC", ("project",)))
    members = [{"user_id": "x", "from": "2026-10-10"}]
    apply_directory(store, {"teams": [{"team_id": "A", "members": members}]}, act())
    match = Match(labels=(("project", ("p", None)),), agents=("a1", None))
    write(store, shared("labelled", Pair("C"), priority=10, match=match))
    feed.send(
        *(
            usage(
                f"{day}-{agent}-{project}",
                day=f"2026-10-{day}",
                team=None,
                user_id="x",
                agent_id=agent,
                metadata={} if project is None else {"project": project},
            )
            for day in ("05", "09", "10", "12")
            for agent in ("a1", "a2", None)
            for project in ("p", "q", None)
        )
    )
    terms = Snapshot(labels=("project",))
    rows = list_allocations(store, _DAYS, terms)["allocations"]
    found = {
        (row["rule_id"], row["team_id"], row["user_id"]): set(row["usage_records"]) for row in rows
    }
    by_rule = {
        "-".join((d, str(a), str(p)))
        for d in ("05", "09", "10", "12")
        for a in ("a1", None)
        for p in ("p", None)
    }
    others = {
        "-".join((d, str(a), str(p)))
        for d in ("05", "09", "10", "12")
        for a in ("a1", "a2", None)
        for p in ("p", "q", None)
    } - by_rule
    assert found == {
        ("default", "A", "x"): {name for name in others if name[:2] in ("10", "12")},
        ("default", None, "x"): {name for name in others if name[:2] in ("05", "09")},
        ("labelled", "C", None): by_rule,
    }
    assert [row["usage_record_count"] for row in rows] == [10, 10, 16]


def test_no_more_usage_ids_are_shown_than_asked_for(store: Store) -> None:
    Feed(store).send(
        *(usage(f"u{n}", team="A", day=f"2026-10-{n % 9 + 1:02d}") for n in range(120))
    )
    (row,) = _listed(store, _DAYS)["allocations"]
    assert (len(set(row["usage_records"])), row["usage_record_count"]) == (100, 120)
    assert row["usage_records"] == _listed(store, _DAYS)["allocations"][0]["usage_records"]
    (row,) = _listed(store, _DAYS, usage_ids_max=0)["allocations"]
    assert row["usage_records"] == []


def test_of_nothing_there_is_nothing(store: Store) -> None:
    found = _listed(store, OCTOBER.days())
    assert (found["allocations"], nano(found["unallocated"]), found["stored"]) == ([], 0, False)


def _set_revision(store: Store, revision: int) -> None:
    with store.begin() as transaction:
        transaction.execute(
            sa.update(billing_period)
            .where(billing_period.c.period == OCTOBER.number)
            .values(revision=revision)
        )

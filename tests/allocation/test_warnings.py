from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import EMPTY
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.rule import Rule, in_effect
from chargeback_worker.allocation.warnings import RuleWarning, warnings_of
from chargeback_worker.allocation.writing.rules import read_rules
from chargeback_worker.period import BillingRange
from tests.support.written_documents import written_rules

OCTOBER = BillingRange(date(2025, 10, 1), date(2025, 11, 1))


def rule(rule_id: str, rule_type: str = "by_usage", *, version: int = 1, **fields: Any) -> Rule:
    document = {"rule_id": rule_id, "rule_type": rule_type, **fields}
    (read,) = read_rules(document, labels=(), directory=EMPTY)
    return replace(read, version=version)


def warnings(of: Rule, versions: Sequence[Rule]) -> list[RuleWarning]:
    (told,) = warnings_of([of], versions)
    return told


def kinds(of: Rule, *others: Rule) -> list[str]:
    return [warning.kind.value for warning in warnings(of, [of, *others])]


def match(**fields: object) -> dict[str, Any]:
    return {"allocation_metadata": {"match": fields}}


@given(st.lists(written_rules(), max_size=4))
def test_any_rules_can_be_asked_about_one_by_one_or_together(documents: list[Any]) -> None:
    rules = [
        replace(read, version=number)
        for number, document in enumerate(documents)
        for read in read_rules(document, labels=("env", "project"), directory=EMPTY)
    ]
    assert warnings_of(rules, rules) == [warnings(of, rules) for of in rules]


@given(st.lists(written_rules(), max_size=8))
def test_a_rule_is_shadowed_by_the_first_that_takes_all_of_its_claim(documents: list[Any]) -> None:
    rules = [
        replace(read, rule_id=f"r{number}", version=1, effective_from=None, effective_to=None)
        for number, document in enumerate(documents)
        for read in read_rules(document, labels=("env", "project"), directory=EMPTY)
    ]
    claims = {of.cited: METHODS[of.rule_type].claims(of) for of in rules}
    before: list[Rule] = []
    for of in in_effect(rules, date(2025, 10, 1))[:-1]:
        claim = claims[of.cited]
        first = next((one.cited for one in before if claims[one.cited].covers(claim)), None)
        told = [one.sentence for one in warnings(of, rules) if one.kind == "shadowed"]
        if first is None or claim.takes_nothing:
            assert told == []
        else:
            assert f"{first} claims all of it before" in told[0]
        before.append(of)


def test_a_rule_that_narrows_nothing_is_a_catch_all_even_while_it_is_disabled() -> None:
    off = rule("off", priority=1, enabled=False)
    assert warnings(off, [off]) == [
        RuleWarning(
            "catch_all",  # type: ignore[arg-type]
            "off@1 narrows nothing: at priority 1 it claims whatever no rule claims before it; "
            "if that is not meant, give it a match or a team_id",
        )
    ]
    assert kinds(rule("teams", "by_team")) == ["catch_all"]
    assert kinds(rule("people", "by_user", user_ids=["u"])) == []


def test_a_rule_behind_a_wider_one_is_shadowed_and_both_are_named() -> None:
    specific = rule("z-specific", team_id="A")
    first, second = rule("a-all"), rule("b-all")
    late = rule("late-specific", team_id="B", priority=2000)
    rules = (specific, first, second, late)
    assert kinds(specific, *rules) == []
    assert kinds(first, *rules) == ["catch_all"]
    assert kinds(second, *rules) == ["catch_all", "shadowed"]
    (shadowed,) = warnings(late, rules)
    assert shadowed.kind == "shadowed"
    assert "late-specific@1 never claims anything: a-all@1 claims all of it" in shadowed.sentence


def test_a_rule_is_shadowed_only_if_it_is_on_every_day_on_which_it_applies() -> None:
    narrow = rule("b", team_id="A")
    until = rule("a1", team_id="A", effective_to="2025-10-15")
    after = rule("a2", team_id="A", effective_from="2025-10-15")
    gap = rule("a2", team_id="A", effective_from="2025-10-16")
    assert kinds(narrow, until) == []
    assert kinds(narrow, until, gap) == []
    (shadowed,) = warnings(narrow, [narrow, until, after])
    assert "a1@1 and a2@1 claim all of it" in shadowed.sentence
    inside = rule("b", team_id="A", effective_from="2025-10-01", effective_to="2025-10-15")
    assert kinds(inside, until) == ["shadowed"]


def test_neither_a_disabled_nor_a_replaced_version_shadows_or_is_shadowed() -> None:
    narrow, wide = rule("b", team_id="A"), rule("a", team_id="A")
    assert kinds(narrow, rule("a", team_id="A", enabled=False)) == []
    assert kinds(rule("b", team_id="A", enabled=False), wide) == []
    assert kinds(narrow, wide, rule("a", team_id="B", version=2)) == []
    assert kinds(narrow, rule("b", team_id="B", version=2), wide) == []
    assert kinds(narrow, wide, replace(wide, version=2, ended=True)) == []


def test_a_rule_that_claims_nothing_a_covering_one_takes_is_not_shadowed() -> None:
    of_team = rule("b", team_id="A")
    assert kinds(of_team, rule("a", **match(teams=["A"], agents=["x"]))) == []
    assert kinds(rule("b", "by_user"), rule("a", "by_team", priority=1)) == ["catch_all"]


def test_dates_that_reach_into_closed_months_are_told_with_the_months() -> None:
    def dated(**dates: Any) -> Rule:
        return replace(rule("r", team_id="A", **dates), closed=(OCTOBER,))

    (told,) = warnings(dated(effective_from="2025-10-15"), [])
    assert told.kind == "dates_in_closed_period"
    assert "r@1 is dated from 2025-10-15, and does not hold in 2025-10" in told.sentence
    assert kinds(dated(effective_from="2025-09-01")) == ["dates_in_closed_period"]
    assert kinds(dated(effective_from="2025-09-01", effective_to="2025-10-01")) == []
    assert kinds(dated(effective_from="2025-11-01")) == []
    assert kinds(dated(effective_to="2025-10-01")) == []
    assert kinds(dated(effective_to="2025-10-02")) == ["dates_in_closed_period"]
    assert kinds(dated(effective_to="2025-11-01")) == ["dates_in_closed_period"]
    assert kinds(dated(effective_to="2025-11-02")) == []
    assert kinds(dated()) == []


def test_many_closed_months_are_told_in_short() -> None:
    closed = (BillingRange(date(2025, 1, 1), date(2025, 11, 1)),)
    dated = rule("r", team_id="A", effective_from="2025-03-15")
    (told,) = warnings(replace(dated, closed=closed), [])
    assert "does not hold in 2025-03 and 7 more months up to 2025-10" in told.sentence


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"team_id": "A", **match(teams=["B"])}, "teams"),
        ({"rule_type": "by_team", **match(teams=[None])}, "teams"),
        ({"rule_type": "by_user", **match(users=[None])}, "users"),
    ],
)
def test_conditions_that_exclude_each_other_are_told(fields: dict[str, Any], where: str) -> None:
    never = rule("r", **{"rule_type": "by_usage", **fields})
    (told,) = warnings(never, [never, rule("a", priority=1)])
    assert told.kind == "never_matches"
    assert f"ask of {where} excludes" in told.sentence


def test_fields_that_the_type_does_not_look_at_are_told() -> None:
    of_team = rule(
        "r",
        "by_team",
        team_id="A",
        user_ids=["u"],
        split_percentages={"team:B": 100},
        allocation_metadata={
            "receivers": ["team:C"],
            "driver": "records",
            "driver_match": {"resource_types": ["query"]},
        },
    )
    told = warnings(of_team, [of_team])
    assert {warning.kind.value for warning in told} == {"unused_field"}
    assert [warning.sentence.split()[2].rstrip(",") for warning in told] == [
        "user_ids",
        "split_percentages",
        "receivers",
        "driver",
        "driver_match",
    ]


def test_a_version_that_ends_a_rule_is_told_nothing() -> None:
    end = replace(rule("r"), ended=True)
    assert kinds(end) == []

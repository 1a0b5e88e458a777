from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import EMPTY
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.writing.place import Number
from chargeback_worker.allocation.writing.rule_document import rule_document, same, shown_rule
from chargeback_worker.allocation.writing.rules import read_rules
from chargeback_worker.period import BillingRange
from tests.support.written_documents import LABELS, written_rules

FULL: dict[str, Any] = {
    "rule_id": "r",
    "rule_type": "fixed_split",
    "split_percentages": {"ops": Number("33.3"), "user:u": Number("66.7")},
    "allocation_metadata": {"match": {"teams": ["A", None]}, "entity_type": "team"},
}


def read(document: object) -> Rule:
    (rule,) = read_rules(document, labels=LABELS, directory=EMPTY)
    return rule


def test_a_rule_is_written_with_all_fields_and_only_the_metadata_it_has() -> None:
    assert rule_document(read(FULL)) == {
        "rule_id": "r",
        "name": "",
        "description": "",
        "rule_type": "fixed_split",
        "enabled": True,
        "priority": None,
        "effective_from": None,
        "effective_to": None,
        "team_id": None,
        "user_ids": [],
        "split_percentages": {"ops": "33.3", "user:u": "66.7"},
        "allocation_metadata": {"match": {"teams": ["A", None]}, "entity_type": "team"},
    }


def test_a_shown_rule_tells_its_version_its_priority_and_whom_its_keys_were_resolved_to() -> None:
    shown = shown_rule(replace(read(FULL), version=3), number=lambda nano: nano)
    assert shown["split_percentages"] == {"ops": 33_300_000_000, "user:u": 66_700_000_000}
    assert (shown["version"], shown["priority"]) == (3, 100)
    assert shown["resolved"] == {"ops": "team:ops", "user:u": "user:u"}


@given(written_rules())
def test_a_shown_rule_can_be_written_again(document: dict[str, Any]) -> None:
    rule = read(document)
    assert read(shown_rule(rule)) == replace(rule, priority_given=True)


def test_a_derived_priority_is_derived_anew_when_fields_are_merged_in() -> None:
    everything = read({"rule_id": "r", "rule_type": "by_usage"})
    merged = read({**rule_document(everything), "team_id": "A"})
    assert (everything.priority, merged.priority) == (1000, 100)


@given(written_rules(), st.integers(0, 9))
def test_versions_and_the_months_closed_then_make_no_difference(
    document: dict[str, Any], version: int
) -> None:
    rule = read(document)
    closed = (BillingRange(date(2025, 1, 1), date(2025, 3, 1)),)
    assert same(rule, replace(rule, version=version, closed=closed))


def test_the_order_in_which_values_are_listed_makes_no_difference() -> None:
    other = {
        **FULL,
        "split_percentages": {"user:u": Number("66.70"), "ops": Number("33.3")},
        "allocation_metadata": {"match": {"teams": [None, "A"]}, "entity_type": "team"},
    }
    assert same(read(FULL), read(other))


def test_any_field_makes_a_difference() -> None:
    rule = read(FULL)
    others: list[dict[str, Any]] = [
        {"name": "x"},
        {"enabled": False},
        {"priority": 100},
        {"effective_to": "2026-01-01"},
        {"split_percentages": {"ops": Number("33.4"), "user:u": Number("66.6")}},
        {"split_percentages": {"team:ops": Number("33.3"), "user:u": Number("66.7")}},
        {"allocation_metadata": {"match": {"teams": ["A"]}, "entity_type": "team"}},
        {"allocation_metadata": {"match": {"users": ["A", None]}, "entity_type": "team"}},
    ]
    assert not any(same(rule, read({**FULL, **other})) for other in others)
    assert not same(rule, replace(rule, ended=True))

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import EMPTY, Directory, Member, Team
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Driver, Rule
from chargeback_worker.allocation.writing.faults import FaultKind, RulesRefused
from chargeback_worker.allocation.writing.place import Number
from chargeback_worker.allocation.writing.rule_document import rule_document
from chargeback_worker.allocation.writing.rules import read_rules
from tests.support.reading import OPS, faults, faults_of, kind_of, metadata, read, read_one, refusal
from tests.support.written_documents import anything, written_rules

CASES = Path(__file__).parents[2] / "cases"


@given(anything)
def test_any_document_gives_rules_or_is_refused_with_all_its_faults(document: object) -> None:
    refused = refusal(document)
    if refused is not None:
        assert refused.faults
        assert all(fault.sentence and fault.subject for fault in refused.faults)
        assert str(refused).replace("\n", "").isprintable()


@given(anything, st.sampled_from(["match", "receivers", "driver_match", "entity_type", "driver"]))
def test_anything_may_stand_in_the_metadata(value: object, field: str) -> None:
    document = {"rule_id": "r", "rule_type": "by_usage", "allocation_metadata": {field: value}}
    refused = refusal(document)
    if refused is not None:
        assert {fault.of for fault in refused.faults} == {"r"}
        where = {fault.path[:2] for fault in refused.faults}
        at = "allocation_metadata"
        assert where <= {(at, field), (at, "driver_match")}


@given(written_rules())
def test_a_rule_written_out_and_read_again_is_the_same_rule(document: dict[str, Any]) -> None:
    (rule,) = read(document, OPS)
    written = rule_document(rule)
    assert read(written, OPS) == (rule,)
    as_json = msgspec.json.encode(rule_document(rule, number=lambda nano: Decimal(nano) / 10**9))
    assert read(json.loads(as_json, parse_float=Decimal), OPS) == (rule,)


@given(written_rules())
def test_a_rule_can_be_stored_as_json_without_loss(document: dict[str, Any]) -> None:
    (rule,) = read(document, OPS)
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


def test_a_bare_key_is_what_entity_type_or_the_directory_or_its_beginning_says() -> None:
    keys = ["ops", "teamster", "team-9", "zoe", "user:team-9", "team:zoe"]
    (rule,) = read({"rule_id": "r", "rule_type": "equal_split"} | metadata(receivers=keys), OPS)
    resolved = {receiver.written: receiver.pair.key for receiver in rule.receivers}
    assert list(resolved) == keys
    assert list(resolved.values()) == [
        "team:ops",
        "user:teamster",
        "team:team-9",
        "user:zoe",
        "user:team-9",
        "team:zoe",
    ]
    typed = {"rule_id": "r", "rule_type": "by_usage"}
    (rule,) = read(typed | metadata(receivers=["zoe", "user:zoe"], entity_type="team"), OPS)
    assert [receiver.pair.key for receiver in rule.receivers] == ["team:zoe", "user:zoe"]


def test_a_bare_key_that_is_a_team_and_a_user_is_refused() -> None:
    directory = Directory(1, (Team("x", (Member("x"),)),))
    document = {"rule_id": "r", "rule_type": "fixed_split", "split_percentages": {"x": 100}}
    (fault,) = faults(document, directory)
    assert (fault.kind, fault.by_state) == (FaultKind.AMBIGUOUS_RECEIVER, True)
    assert "team:x or user:x" in fault.sentence
    (rule,) = read(document | metadata(entity_type="user"), directory)
    assert rule.split[0].receiver.pair == Pair(user="x")


def test_users_are_users_whatever_they_are_called() -> None:
    rule = read_one(rule_type="equal_split", user_ids=["team-9", Number("007")])
    assert rule.user_ids == ("team-9", "007")


def test_twice_is_a_fault_only_where_the_type_looks() -> None:
    assert read_one(rule_type="by_team", user_ids=["u", "u"]).user_ids == ("u", "u")


def test_everything_optional_has_its_default() -> None:
    rule = read_one()
    assert rule == Rule("r", 0, "by_usage", priority=1000, priority_given=False)
    nothing: dict[str, Any] = {"name": "", "user_ids": [], "split_percentages": {}}
    nulls = dict.fromkeys(["team_id", "priority", "enabled", "effective_from", "description"])
    assert read_one(allocation_metadata={}, **nothing, **nulls) == rule
    assert read_one(**metadata(match={}, driver=None, driver_match={}, receivers=None)) == rule


def test_every_field_is_read() -> None:
    rule = read_one(
        rule_type="by_usage",
        name="n",
        description="two\nlines",
        enabled=False,
        priority=Number("7"),
        effective_from="2026-10-01T00:00:00+02:00",
        effective_to="2026-11-01",
        team_id=Number("007"),
        **metadata(
            match={
                "teams": [None, "A", "A"],
                "labels": {"project": ["x", "", True, Number("5.0")], "env": [None]},
            },
            driver="quantity",
            driver_match={"resource_types": ["query"]},
        ),
    )
    assert rule == Rule(
        "r",
        0,
        "by_usage",
        enabled=False,
        priority=7,
        effective_from=date(2026, 10, 1),
        effective_to=date(2026, 11, 1),
        name="n",
        description="two\nlines",
        team_id="007",
        match=Match(
            teams=(None, "A"), labels=(("env", (None,)), ("project", ("x", "", "true", "5.0")))
        ),
        driver=Driver.QUANTITY,
        driver_resource_types=("query",),
    )


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({"rule_type": "by_team"}, 1000),
        ({"rule_type": "by_team", "team_id": "A"}, 100),
        ({"rule_type": "by_user"}, 1000),
        ({"rule_type": "by_user", "user_ids": ["u"]}, 100),
        ({"rule_type": "equal_split", "user_ids": ["u"]}, 1000),
        (metadata(match={"agents": [None]}), 100),
        ({"priority": 1000, "team_id": "A"}, 1000),
    ],
)
def test_a_priority_follows_from_what_the_rule_narrows(
    fields: dict[str, Any], priority: int
) -> None:
    rule = read_one(**fields)
    assert (rule.priority, rule.priority_given) == (priority, "priority" in fields)


@pytest.mark.parametrize(
    ("written", "nano"),
    [
        (Number("33.3"), 33_300_000_000),
        (Number("33.300000000000"), 33_300_000_000),
        (Decimal("33.3"), 33_300_000_000),
        ("33.3", 33_300_000_000),
        (msgspec.Raw(b"33.3"), 33_300_000_000),
        (Number("3.33e1"), 33_300_000_000),
    ],
)
def test_percentages_are_exact_however_they_come(written: object, nano: int) -> None:
    split = {"team:A": written, "team:B": Number("66.7")}
    rule = read_one(rule_type="fixed_split", split_percentages=split)
    assert rule.split[0].percent_nano == nano


@pytest.mark.parametrize("written", [33.3, True, "a lot", Number("1e-400"), "1e999999"])
def test_what_is_no_exact_number_is_no_percentage(written: object) -> None:
    found = faults_of(rule_type="fixed_split", split_percentages={"A": written})
    assert {fault.path for fault in found} == {("split_percentages", "A")}


def test_a_number_of_thousands_of_digits_is_no_fault_of_the_program() -> None:
    split = {"team:A": 10**9999, "team:B": Decimal("1e9999")}
    found = faults_of(rule_type="fixed_split", split_percentages=split)
    assert {fault.path[-1] for fault in found} == set(split)
    assert kind_of(team_id=10**9999) == "too_long"


def test_one_rule_a_list_and_a_list_under_rules_are_read_in_their_order() -> None:
    b, a = ({"rule_id": name, "rule_type": "by_usage"} for name in "ba")
    assert read({"rules": [b, a]}) == read([b, a]) == (*read(b), *read({"rule": a}))
    assert read({"rules": [], "next_cursor": None}) == read([]) == ()


@pytest.mark.parametrize("document", [None, "x", {}, {"rules": None}, {"rules": {"rule_id": "r"}}])
def test_what_holds_no_rules_is_refused(document: object) -> None:
    assert faults(document)


def test_what_a_shown_rule_has_besides_its_fields_is_not_looked_at() -> None:
    shown = {"version": 3, "created_at": "…", "updated_at": 1, "warnings": [{}], "resolved": {}}
    assert read_one(**shown, in_words="…", deleted=False) == read_one()
    assert kind_of(actor="me") == "unknown_field"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_the_rules_of_the_cases_are_read_or_refused_for_the_reason_of_the_case(path: Path) -> None:
    case = json.loads(path.read_text(), parse_float=Decimal, parse_int=Decimal)
    labels = case["settings"].get("grain", {}).get("labels", [])
    reasons = {told["rules"]: told["reason"] for told in case["expect"].get("refused", [])}
    for name, rules in case.get("rules", {}).items():
        if name not in reasons:
            read_all = read_rules(rules, labels=labels, directory=EMPTY)
            assert [rule.rule_id for rule in read_all] == [rule["rule_id"] for rule in rules]
            continue
        with pytest.raises(RulesRefused) as refused:
            read_rules(rules, labels=labels, directory=EMPTY)
        assert {fault.kind for fault in refused.value.faults} == {reasons[name]}

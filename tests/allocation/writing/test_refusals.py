from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import EMPTY
from chargeback_worker.allocation.writing.faults import RulesRefused
from chargeback_worker.allocation.writing.place import Number
from chargeback_worker.allocation.writing.rules import read_rules
from tests.support.reading import faults, faults_of, kind_of, metadata, read
from tests.support.written_documents import written_rules

_DAMAGES: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"nmae": "x"}, ("nmae",)),
    ({"enabled": "yes"}, ("enabled",)),
    ({"priority": "high"}, ("priority",)),
    ({"priority": 0.5}, ("priority",)),
    ({"team_id": True}, ("team_id",)),
    ({"team_id": ""}, ("team_id",)),
    ({"name": ["x"]}, ("name",)),
    ({"name": "a\nb"}, ("name",)),
    ({"description": "x" * 10_001}, ("description",)),
    ({"effective_from": "2026-02-30"}, ("effective_from",)),
    ({"effective_from": "2026-03-01", "effective_to": "2026-03-01"}, ("effective_to",)),
    ({"user_ids": {"u1": 1}}, ("user_ids",)),
    ({"split_percentages": {"team:A": "much"}}, ("split_percentages", "team:A")),
    ({"split_percentages": [50, 50]}, ("split_percentages",)),
]


@given(
    st.lists(written_rules(), min_size=1, max_size=3),
    st.lists(st.sampled_from(_DAMAGES), min_size=1, max_size=3),
    st.data(),
)
def test_every_damage_to_any_rule_is_told_at_its_place(
    rules: list[dict[str, Any]], damages: list[tuple[dict[str, Any], tuple[str, ...]]], data: Any
) -> None:
    for number, rule in enumerate(rules):
        rule["rule_id"] = f"rule {number}"
    damaged: dict[tuple[str | int, ...], str] = {}
    touched: set[tuple[int, str]] = set()
    for change, path in damages:
        number = data.draw(st.integers(0, len(rules) - 1))
        fields = {(number, field) for field in (*change, path[0])}
        if fields & touched or (
            any(field.startswith("effective") for _, field in fields)
            and any((number, field) in touched for field in ("effective_from", "effective_to"))
        ):
            continue
        touched |= fields
        rules[number].update(change)
        damaged[("rules", number, *path)] = f"rule {number}"
    told = {fault.path: fault.of for fault in faults({"rules": rules})}
    assert damaged.items() <= told.items()


@pytest.mark.parametrize(
    ("written", "kind", "field", "by_state"),
    [
        ({"rule_type": "equal_split"}, "no_receiver", "user_ids", True),
        ({"rule_type": "fixed_split"}, "no_receiver", "split_percentages", True),
        (
            {"rule_type": "equal_split", "user_ids": ["u1", "u1"]},
            "receiver_twice",
            "user_ids[1]",
            True,
        ),
        (
            {"rule_type": "fixed_split", "split_percentages": {"u1": 50, "user:u1": 50}},
            "receiver_twice",
            "split_percentages.user:u1",
            True,
        ),
        (
            {"rule_type": "equal_split", "user_ids": ["u"]} | metadata(receivers=["user:u"]),
            "receiver_twice",
            "allocation_metadata.receivers[0]",
            True,
        ),
        (
            {"rule_type": "fixed_split", "split_percentages": {"A": Decimal("99.9")}},
            "percentages",
            "split_percentages",
            False,
        ),
        (
            {"rule_type": "fixed_split", "split_percentages": {"team:A": 100, "x.y": 0}},
            "percentages",
            "split_percentages.x.y",
            False,
        ),
        ({"rule_type": "by_magic"}, "unknown_type", "rule_type", False),
        ({"rule_type": "default"}, "unknown_type", "rule_type", False),
        (
            metadata(match={"labels": {"projekt": ["x"]}}),
            "unknown_label",
            "allocation_metadata.match.labels.projekt",
            True,
        ),
        (
            metadata(driver="quantity"),
            "quantity_driver",
            "allocation_metadata.driver_match",
            False,
        ),
        (
            metadata(driver="quantity", driver_match={"resource_types": ["a", "b"]}),
            "quantity_driver",
            "allocation_metadata.driver_match",
            False,
        ),
        ({"allocation_metdata": {}}, "unknown_field", "allocation_metdata", False),
        ({"rule_id": "default"}, "reserved_id", "rule_id", False),
        ({"rule_id": None}, "missing", "rule_id", False),
        ({"rule_type": None}, "missing", "rule_type", False),
        (metadata(match={"teams": []}), "empty_list", "allocation_metadata.match.teams", False),
        (metadata(receivers=[]), "empty_list", "allocation_metadata.receivers", False),
        (metadata(receivers=["team:"]), "missing", "allocation_metadata.receivers[0]", False),
        (metadata(match={"users": [""]}), "missing", "allocation_metadata.match.users[0]", False),
        (metadata(match={"teams": None}), "wrong_type", "allocation_metadata.match.teams", False),
        (metadata(driver="tokens"), "not_one_of", "allocation_metadata.driver", False),
        (metadata(entity_type="group"), "not_one_of", "allocation_metadata.entity_type", False),
        ({"effective_from": "tomorrow"}, "bad_date", "effective_from", False),
        ({"effective_to": "1999-12-31"}, "bad_date", "effective_to", False),
        ({"effective_from": "2026-10-01T12:00:00Z"}, "bad_date", "effective_from", False),
        ({"rule_id": "x" * 513}, "too_long", "rule_id", False),
        ({"user_ids": ["a\x1b[2J"]}, "bad_text", "user_ids[0]", False),
        ({"priority": 10**10}, "out_of_range", "priority", False),
        (
            {"rule_type": "fixed_split", "split_percentages": {"A": Number("99.9999999999")}},
            "out_of_range",
            "split_percentages.A",
            False,
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_kind_and_field(
    written: dict[str, Any], kind: str, field: str, by_state: bool
) -> None:
    (fault,) = faults_of(**written)
    assert (fault.kind, fault.field, fault.by_state) == (kind, field, by_state)


def test_all_faults_of_all_rules_are_told_at_once() -> None:
    found = faults(
        [
            {"rule_id": "a", "rule_type": "by_magic", "enabled": 1},
            {"rule_id": "b", "rule_type": "equal_split", "colour": "red"},
            {"rule_id": "a", "rule_type": "by_usage"},
            "c",
        ]
    )
    assert [(fault.subject, fault.field, fault.kind) for fault in found] == [
        ("rule 'a'", "rule_type", "unknown_type"),
        ("rule 'a'", "enabled", "wrong_type"),
        ("rule 'b'", "colour", "unknown_field"),
        ("rule 'b'", "user_ids", "no_receiver"),
        ("rule 'a'", "rule_id", "rule_twice"),
        ("rule 4", "", "wrong_type"),
    ]


def test_a_refusal_names_rule_field_and_value_and_says_that_nothing_was_stored() -> None:
    with pytest.raises(RulesRefused) as refused:
        read({"rule_id": "rent", "rule_type": "fixed_split", "split_percentages": {"A": 0}})
    assert str(refused.value) == (
        "2 faults in the rules:\n"
        "  rule 'rent', split_percentages.A = 0: 0 is not above 0\n"
        "  rule 'rent', split_percentages: they sum to 0, not to exactly 100"
    )
    assert "Nothing was stored" in refused.value.hint


def test_a_fault_that_only_follows_from_another_is_not_told() -> None:
    assert kind_of(rule_type="equal_split", user_ids="u1") == "wrong_type"
    assert kind_of(rule_type="equal_split", allocation_metadata=["A"]) == "wrong_type"
    assert kind_of(rule_type="fixed_split", split_percentages={"A": "half"}) == "wrong_type"
    found = faults_of(**metadata(driver="quantity", driver_match={"resource_type": ["a"]}))
    assert [fault.kind for fault in found] == ["unknown_field"]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"rule_typ": "x"}, "did you mean rule_type?"),
        ({"match": {}}, "belongs under allocation_metadata"),
        ({"teams": ["A"]}, "belongs under allocation_metadata.match"),
        (metadata(priority=3), "belongs beside allocation_metadata, not in it"),
        (metadata(match={"team": ["A"]}), "did you mean teams?"),
        (metadata(match={"labels": {"projects": ["A"]}}), "did you mean project?"),
        (metadata(driver_match={"resource_type": ["A"]}), "did you mean resource_types?"),
        ({"rule_type": "by_teams"}, "did you mean by_team?"),
    ],
)
def test_an_unknown_name_gets_the_near_one(written: dict[str, Any], told: str) -> None:
    (fault,) = faults_of(**written)
    assert told in fault.sentence


def test_a_label_that_none_is_configured_for_says_so() -> None:
    with pytest.raises(RulesRefused, match=r"grain\.labels\); none is configured"):
        read_rules(
            {"rule_id": "r", "rule_type": "by_usage"}
            | metadata(match={"labels": {"project": ["x"]}}),
            labels=(),
            directory=EMPTY,
        )

"""Rules over HTTP: all faults at once with their places, versions as ETags."""

from typing import Any

import pytest

from tests.support.http_api import Api, quoted

RENT = {"rule_id": "rent", "rule_type": "equal_split", "team_id": "A", "name": "Rent"}


def test_a_rule_is_made_changed_and_deleted(api: Api) -> None:
    made = api.post("allocation-rules", RENT)
    assert (made.status, made.headers["etag"]) == (201, '"1"')
    assert api.post("allocation-rules", RENT).problem == (409, "rule-exists")
    shown = api.get("allocation-rules/rent")
    assert shown.headers["etag"] == '"1"'
    assert shown.json["rule"] == made.json["rule"]
    changed = api.put("allocation-rules/rent", {"enabled": False, "rule_id": "rent"})
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    same = api.put("allocation-rules/rent", {"enabled": False})
    assert same.headers["etag"] == '"2"'
    assert api.ok("GET", "allocation-rules", enabled_only="true")["rules"] == []
    assert api.delete("allocation-rules/rent").status == 200
    assert api.delete("allocation-rules/rent").problem == (404, "rule-unknown")
    assert api.put("allocation-rules/rent", {}).problem == (404, "rule-unknown")


def test_a_rule_as_it_is_shown_can_be_written_again(api: Api) -> None:
    shown = api.ok("POST", "allocation-rules", {**RENT, "priority": 5})["rule"]
    again = {**shown, "priority": 5, "version": 9}
    assert api.put("allocation-rules/rent", again).headers["etag"] == '"1"'


def test_who_changes_what_has_changed_since_is_told(api: Api) -> None:
    api.ok("POST", "allocation-rules", RENT)
    api.ok("PUT", "allocation-rules/rent", {"enabled": False})
    stale, fresh = api.having(If_Match='"1"'), api.having(If_Match='"2"')
    assert stale.put("allocation-rules/rent", {"name": "x"}).problem == (412, "not-as-expected")
    assert stale.delete("allocation-rules/rent").problem == (412, "not-as-expected")
    assert fresh.put("allocation-rules/rent", {"name": "x"}).headers["etag"] == '"3"'
    assert api.having(If_Match="*").delete("allocation-rules/rent").status == 200


@pytest.mark.parametrize(
    ("changed", "status", "places"),
    [
        ({"rule_type": "by_magic"}, 400, {"#/rule_type": "unknown_type"}),
        ({"rule_tipe": "by_team"}, 400, {"#/rule_tipe": "unknown_field"}),
        ({"rule_id": None}, 400, {"#/rule_id": "missing"}),
        ({"enabled": "yes", "name": 5, "priority": "x"}, 400,
         {"#/enabled": "wrong_type", "#/priority": "wrong_type"}),
        ({"rule_type": "fixed_split", "split_percentages": {"team:A": 60, "team:B": 30}}, 400,
         {"#/split_percentages": "percentages"}),
        ({"rule_id": "default"}, 400, {"#/rule_id": "reserved_id"}),
        ({"allocation_metadata": {"match": {"labels": {"project": ["x"]}}}}, 422,
         {"#/allocation_metadata/match/labels/project": "unknown_label"}),
        ({"team_id": None}, 422, {"#": "no_receiver"}),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_told_with_all_its_faults(
    sqlite_api: Api, changed: dict[str, Any], status: int, places: dict[str, str]
) -> None:
    rule = {name: value for name, value in {**RENT, **changed}.items() if value is not None}
    reply = sqlite_api.post("allocation-rules", rule)
    assert reply.status == status, reply
    assert reply.problem[1] in ("rules-refused", "body-refused")
    told = {fault["pointer"]: fault["code"] for fault in reply.json["errors"]}
    assert set(places.values()) <= set(told.values()), told
    assert all(pointer in told for pointer in places if pointer != "#"), told
    assert sqlite_api.ok("GET", "allocation-rules")["rules"] == []


def test_an_id_in_the_body_agrees_with_the_path(sqlite_api: Api) -> None:
    sqlite_api.ok("POST", "allocation-rules", RENT)
    reply = sqlite_api.put("allocation-rules/rent", {"rule_id": "other"})
    assert reply.problem == (400, "body-refused")
    assert reply.json["errors"][0]["pointer"] == "#/rule_id"


def test_an_id_may_hold_any_text(sqlite_api: Api) -> None:
    for name in ("a/b", "é ü", "100%", "?#&", "explain"):
        sqlite_api.ok("POST", "allocation-rules", {**RENT, "rule_id": name})
        shown = sqlite_api.ok("GET", f"allocation-rules/{quoted(name)}")
        assert shown["rule"]["rule_id"] == name


def test_whatever_is_asked_for_is_an_id(sqlite_api: Api) -> None:
    for name in ("\n", "a\nb", "\x7f\x92\n\x88"):
        shown = sqlite_api.ok("GET", f"reports/user/{quoted(name)}", period="2026-09")
        assert shown["report"]["user_id"] == name
        assert sqlite_api.get(f"allocation-rules/{quoted(name)}").problem == (404, "rule-unknown")


def test_rules_are_paged_in_the_order_in_which_they_claim(sqlite_api: Api) -> None:
    for number in (3, 1, 2):
        rule = {**RENT, "rule_id": f"r{number}", "priority": number}
        sqlite_api.ok("POST", "allocation-rules", rule)
    first = sqlite_api.ok("GET", "allocation-rules", limit=2)
    rest = sqlite_api.ok("GET", "allocation-rules", limit=2, cursor=first["next_cursor"])
    assert [rule["rule_id"] for rule in first["rules"] + rest["rules"]] == ["r1", "r2", "r3"]
    assert rest["next_cursor"] is None
    assert len(sqlite_api.ok("GET", "allocation-rules", team_id="B")["rules"]) == 0

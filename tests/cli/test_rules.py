"""`chargeback rules` and `directory`: files in, versions out, faults with their places."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command

RENT = """\
rules:
  - rule_id: rent
    name: Rent of the lab
    rule_type: fixed_split
    split_percentages: {team:A: 66.7, B-lab: 33.3}   # B-lab is a user
    allocation_metadata: {match: {resource_types: [rent]}}
"""
DIRECTORY = """\
teams:
  - team_id: 007
    cost_centre: CC-1
    tax_rate: 0.19
    members: [{user_id: ada, name: Ada L., from: 2026-01-01}]
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str, name: str = "rules.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


def _rules(chargeback: Command) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chargeback.ok("rules", "list", "-o", "json").json["rules"]
    return found


def test_a_file_is_applied_shown_and_the_same_again_changes_nothing(
    chargeback: Command, write: Any
) -> None:
    (first,) = chargeback.ok("rules", "apply", write(RENT), "-o", "json").json["rules"]
    assert (first["rule_id"], first["version"], first["outcome"]) == ("rent", "1", "written")
    (again,) = chargeback.ok("rules", "apply", write(RENT), "-o", "json").json["rules"]
    assert (again["version"], again["outcome"]) == ("1", "as before")
    (listed,) = _rules(chargeback)
    assert listed["split_percentages"] == {"team:A": "66.7", "B-lab": "33.3"}
    assert listed["resolved"] == {"team:A": "team:A", "B-lab": "user:B-lab"}
    assert (listed["priority"], listed["warnings"]) == ("100", [])
    shown = chargeback.ok("rules", "show", "rent").out
    assert "Rent of the lab" in shown
    assert "rent@1 takes usage" in shown


def test_what_is_shown_can_be_applied(chargeback: Command, write: Any) -> None:
    chargeback.ok("rules", "apply", write(RENT))
    shown = chargeback.ok("rules", "list", "-o", "json").out
    ended = chargeback.ok("rules", "apply", "-", "--prune", "--yes", stdin=shown.encode())
    assert "deleted" not in ended.out
    assert len(_rules(chargeback)) == 1


def test_every_fault_of_a_file_is_told_with_its_line_and_column_and_nothing_is_stored(
    chargeback: Command, write: Any
) -> None:
    bad = RENT.replace("66.7", "66.8").replace("resource_types", "resource_typ")
    name = write(bad + "  - {rule_id: default, rule_type: by_magic}\n")
    ended = chargeback("rules", "apply", name)
    assert ended.code == 2
    told = [line for line in ended.err.splitlines() if name in line][1:]
    places = [line.split(name)[1].split(": ")[0] for line in told]
    assert places == [":5:5", ":6:35", ":7:6", ":7:24"]
    assert "100.1" in told[0]
    assert "resource_types" in told[1]
    assert _rules(chargeback) == []


def test_a_mistake_of_yaml_names_line_and_column(chargeback: Command, write: Any) -> None:
    name = write("rules:\n  - {rule_id: rent\n")
    ended = chargeback("rules", "apply", name)
    assert ended.code == 2
    assert f"{name}:3:1" in ended.err


def test_a_missing_file_is_told(chargeback: Command) -> None:
    ended = chargeback("rules", "apply", "nowhere.yaml")
    assert ended.code == 2
    assert "nowhere.yaml cannot be read" in ended.err


def test_versions_stay_when_a_rule_is_deleted(chargeback: Command, write: Any) -> None:
    chargeback.ok("rules", "apply", write(RENT))
    ended = chargeback.ok("rules", "delete", "rent", "--yes", "--reason", "the lease ended")
    assert "deleted" in ended.out
    gone = chargeback("rules", "show", "rent")
    assert gone.code == 5
    assert "deleted" in gone.err
    kept = chargeback.ok("rules", "show", "rent", "--version", "1", "-o", "json").json["rule"]
    assert (kept["name"], kept["deleted"]) == ("Rent of the lab", False)
    last = chargeback.ok("rules", "show", "rent", "--version", "2", "-o", "json").json["rule"]
    assert last["deleted"]
    assert "no version 3" in chargeback("rules", "show", "rent", "--version", "3").err
    assert _rules(chargeback) == []
    rows = chargeback.ok("audit", "-o", "json").json["audit"]
    assert [row["action"] for row in rows] == ["rule.delete", "rule.write"]


def test_warnings_are_told_beside_the_result(chargeback: Command, write: Any) -> None:
    name = write(
        "[{rule_id: all, rule_type: by_usage}, {rule_id: b, rule_type: equal_split,"
        " priority: 2000, team_id: B}]"
    )
    ended = chargeback.ok("rules", "apply", name)
    assert "catch_all" in ended.out
    assert ended.err.count("Warning:") == 2
    assert "Warning:" in chargeback.ok("rules", "list").err


def test_lists_can_be_narrowed(chargeback: Command, write: Any) -> None:
    chargeback.ok(
        "rules",
        "apply",
        write(
            "[{rule_id: a, rule_type: by_team, team_id: A},"
            " {rule_id: b, rule_type: by_team, enabled: false}]"
        ),
    )
    narrowed = chargeback.ok("rules", "list", "--enabled-only", "-o", "json").json["rules"]
    assert [rule["rule_id"] for rule in narrowed] == ["a"]
    of_team = chargeback.ok("rules", "list", "--team", "A", "-o", "json").json["rules"]
    assert [rule["rule_id"] for rule in of_team] == ["a"]


def test_the_directory_is_replaced_as_a_whole(chargeback: Command, write: Any) -> None:
    empty = chargeback.ok("directory", "show", "-o", "json").json["directory"]
    assert (empty["version"], empty["teams"]) == ("0", [])
    name = write(DIRECTORY, "directory.yaml")
    found = chargeback.ok("directory", "apply", name, "-o", "json").json["directory"]
    (team,) = found["teams"]
    assert (found["version"], team["team_id"], team["tax_rate"]) == ("1", "007", "0.19")
    assert team["members"][0]["from"] == "2026-01-01"
    assert "nothing was changed" in chargeback.ok("directory", "apply", name).err
    assert "Ada L." in chargeback.ok("directory", "show").out
    assert "007,," in chargeback.ok("directory", "show", "-o", "csv").out
    shown = chargeback.ok("directory", "show", "-o", "json").out
    again = chargeback.ok("directory", "apply", "-", stdin=shown.encode())
    assert "nothing was changed" in again.err


def test_a_directory_with_faults_is_refused_whole(chargeback: Command, write: Any) -> None:
    bad = DIRECTORY + "  - {team_id: 007, cost_center: x}\n"
    ended = chargeback("directory", "apply", write(bad, "directory.yaml"))
    assert ended.code == 2
    assert "cost_centre" in ended.err
    assert "directory.yaml:6:" in ended.err
    shown = chargeback.ok("directory", "show", "-o", "json").out
    assert '"version":0' in shown


def test_what_was_applied_is_shown_as_each_rule_is_shown(chargeback: Command, write: Any) -> None:
    more = "  - {rule_id: all, rule_type: by_usage}\n  - {rule_id: other, rule_type: by_team}\n"
    applied = chargeback.ok("rules", "apply", write(RENT + more), "-o", "json").json["rules"]
    assert [rule.pop("outcome") for rule in applied] == ["written"] * 3
    for rule in applied:
        shown = chargeback.ok("rules", "show", rule["rule_id"], "-o", "json").json["rule"]
        assert shown == rule
    assert any(rule["warnings"] for rule in applied)

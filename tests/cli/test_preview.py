"""`chargeback preview`: what would be, beside what is."""

from pathlib import Path

import pytest

from tests.cli.test_allocate import EVENTS
from tests.support.command import Command

RULES = """\
rules:
  - rule_id: rent
    rule_type: fixed_split
    split_percentages: {"team:A": 25, "team:B": 75}
    allocation_metadata:
      match: {teams: [null], users: [null]}
"""


@pytest.fixture
def used(chargeback: Command) -> Command:
    chargeback.ok("ingest", "-", stdin=EVENTS)
    return chargeback


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return str(path)


def test_a_closed_month_under_other_rules(used: Command, file: str) -> None:
    used.ok("close", "2026-09")
    found = used.ok("preview", "--period", "2026-09", "--rules", file, "-o", "json").json
    assert list(found) == ["preview"]
    preview = found["preview"]
    assert list(preview) == [
        "period_start",
        "period_end",
        "rules",
        "beside",
        "total",
        "unallocated",
        "rows",
        "next_cursor",
    ]
    assert [one["with"] for one in preview["beside"]] == ["closed"]
    assert [(row["team_id"], row["user_id"], row["difference_usd"]) for row in preview["rows"]] == [
        ("A", None, "0.75"),
        ("A", "x", "0"),
        ("B", None, "2.25"),
        (None, None, "-3"),
    ]
    assert preview["total"] == {"would_usd": "4.25", "beside_usd": "4.25", "difference_usd": "0"}
    assert used.ok("rules", "list", "-o", "json").json["rules"] == []


def test_people_see_both_and_that_nothing_was_written(used: Command, file: str) -> None:
    ended = used.ok("preview", "--period", "2026-09", "--rules", file)
    assert "under the rules of the file" in ended.out
    assert "beside the rules of now, for 2026-09" in ended.out
    (line,) = [line for line in ended.out.splitlines() if line.split()[:1] == ["B"]]
    assert line.split() == ["B", "2.250000000", "0.000000000", "2.250000000"]
    assert " (nobody) " in ended.out
    assert "Borne by nobody: USD 0.000000000, is USD 3.000000000" in ended.out
    assert "Nothing was written." in ended.err


def test_before_the_first_run_there_is_one_column(used: Command) -> None:
    shown = used.ok("preview", "--period", "2026-09").out
    assert "Would be USD" in shown
    assert "Difference" not in shown
    used.ok("allocate", "--period", "2026-09")
    assert "beside the run of 20" in used.ok("preview", "--period", "2026-09").out


def test_rows_by_rule_on_request(used: Command, file: str) -> None:
    asked = ("preview", "--period", "2026-09", "--rules", file, "--by", "rule", "-o", "csv")
    assert used.ok(*asked).out.splitlines() == [
        "team_id,user_id,rule_id,would_usd,beside_usd,difference_usd",
        "A,,rent,0.75,0,0.75",
        "A,x,default,1.25,1.25,0",
        "B,,rent,2.25,0,2.25",
        ",,default,0,3,-3",
    ]


def test_usage_that_came_since_is_named(used: Command) -> None:
    used.ok("allocate", "--period", "2026-09")
    used.ok("ingest", "-", stdin=EVENTS.replace(b'": "u', b'": "later-u'))
    told = used.ok("preview", "--period", "2026-09").err
    assert "Usage of USD 4.250000000 came after what stands beside" in told


def test_a_mistake_in_the_file_is_told_with_its_place(used: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(RULES.replace("fixed_split", "fixed_spilt"))
    ended = used("preview", "--period", "2026-09", "--rules", str(path))
    assert ended.code == 2
    assert f"{path}:3:" in ended.err
    missing = used("preview", "--period", "2026-09", "--rules", str(tmp_path / "none.yaml"))
    assert missing.code == 2

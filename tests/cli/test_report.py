"""`chargeback report`: used, allocated and billed of one owner."""

from pathlib import Path

import pytest

from tests.cli.test_allocate import EVENTS
from tests.support.command import Command

DIRECTORY = """\
teams:
  - team_id: A
    name: Alpha
    cost_centre: CC-1
    members: [{user_id: x}]
"""


@pytest.fixture
def closed(chargeback: Command, tmp_path: Path) -> Command:
    path = tmp_path / "directory.yaml"
    path.write_text(DIRECTORY)
    chargeback.ok("directory", "apply", str(path))
    chargeback.ok("ingest", "-", stdin=EVENTS)
    chargeback.ok("close", "2026-09")
    return chargeback


def test_each_prints_what_its_endpoint_returns(closed: Command) -> None:
    for kind, name, field in (
        ("team", "A", "team_id"),
        ("user", "x", "user_id"),
        ("cost-centre", "CC-1", "cost_centre"),
    ):
        found = closed.ok("report", kind, name, "--period", "2026-09", "-o", "json").json
        assert list(found) == ["report"]
        report = found["report"]
        assert (report[field], report["period"]) == (name, "2026-09")
        assert report["total_cost_usd"] == report["billed_usd"] == "1.25"
        (row,) = report["allocations"]
        assert row["usage_records"] == ["u1"]
        assert report["usage_summary"]["total_cost_usd"] == "1.25"


def test_people_see_used_allocated_and_billed_side_by_side(closed: Command) -> None:
    shown = closed.ok("report", "team", "A", "--period", "2026-09").out
    assert "Team A, 2026-09" in shown
    (line,) = [line for line in shown.splitlines() if line.split()[:1] == ["query"]]
    assert line.split() == ["query", "1.250000000", "1.250000000", "1.25"]
    assert "Allocations (stored)" in shown
    assert "INV-202609-0001" in shown
    assert (
        "Shares of invoices to teams" in closed.ok("report", "user", "x", "--period", "2026-09").out
    )
    centre = closed.ok("report", "cost-centre", "CC-1", "--period", "2026-09").out
    assert "Alpha" in centre


def test_a_spreadsheet_gets_the_sums_by_resource_type(closed: Command) -> None:
    told = closed.ok("report", "team", "A", "--period", "2026-09", "-o", "csv").out
    assert told.splitlines() == [
        "resource_type,used_usd,allocated_usd,billed_usd",
        "query,1.25,1.25,1.25",
    ]


def test_who_is_not_known(closed: Command) -> None:
    empty = closed.ok("report", "team", "nobody", "--period", "2026-09", "-o", "json").json
    assert empty["report"]["total_cost_usd"] == "0"
    unknown = closed("report", "cost-centre", "CC1", "--period", "2026-09")
    assert unknown.code == 5
    assert "Did you mean 'CC-1'?" in unknown.err


@pytest.mark.parametrize(
    "arguments", [("report", "team"), ("report", "user"), ("usage", "summary")]
)
def test_an_argument_that_is_no_utf_8_is_the_caller_s_mistake(
    chargeback: Command, arguments: tuple[str, ...]
) -> None:
    named = ("\udcff",) if arguments[0] == "report" else ("--team", "\udcff")
    ended = chargeback(*arguments, *named, "--period", "2026-10")
    assert ended.code == 2
    assert "'\\udcff' is no text" in ended.err

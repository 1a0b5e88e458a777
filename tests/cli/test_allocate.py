"""`chargeback allocate`: who bears which cost, as people, scripts and spreadsheets see it."""

import csv
import io

import pytest

from tests.support.command import Command

EVENTS = b"""\
{"usage_id": "u1", "timestamp": "2026-09-14T10:00:00Z", "team_id": "A", "user_id": "x",\
 "resource_type": "query", "quantity": 3, "cost_usd": 1.25}
{"usage_id": "u2", "timestamp": "2026-09-15T10:00:00Z", "resource_type": "compute",\
 "quantity": 1, "cost_usd": 3}
"""


@pytest.fixture
def used(chargeback: Command) -> Command:
    chargeback.ok("ingest", "-", stdin=EVENTS)
    return chargeback


def test_of_an_open_month_the_run_is_kept(used: Command) -> None:
    first = used.ok("allocate", "--period", "2026-09", "-o", "json").json
    assert list(first) == [
        "period_start",
        "period_end",
        "allocations",
        "total_cost_usd",
        "unallocated",
        "stored",
        "pruned",
        "next_cursor",
    ]
    assert (first["stored"], first["unallocated"], first["total_cost_usd"]) == (True, "3", "4.25")
    owned, nobody = first["allocations"]
    assert list(owned) == [
        "allocation_id",
        "rule_id",
        "rule_version",
        "period_start",
        "period_end",
        "team_id",
        "user_id",
        "total_cost_usd",
        "usage_records",
        "usage_record_count",
        "allocation_details",
        "created_at",
    ]
    assert (owned["rule_id"], owned["rule_version"], owned["usage_records"]) == (
        "default",
        "1",
        ["u1"],
    )
    assert (nobody["team_id"], nobody["user_id"], nobody["total_cost_usd"]) == (None, None, "3")


def test_a_closed_month_shows_what_was_booked_and_stores_no_run(used: Command) -> None:
    used.ok("close", "2026-09")
    found = used.ok("allocate", "--period", "2026-09", "-o", "json").json
    assert (found["stored"], found["total_cost_usd"]) == (True, "4.25")


def test_other_days_are_computed_only(used: Command) -> None:
    days = ("--from", "2026-09-15", "--to", "2026-09-16")
    found = used.ok("allocate", *days, "-o", "json").json
    assert (found["stored"], found["total_cost_usd"]) == (False, "3")
    assert "nothing was stored" in used.ok("allocate", *days).err
    assert used("allocate").code == 2


def test_people_see_rules_pairs_and_exact_amounts(used: Command) -> None:
    shown = used.ok("allocate", "--period", "2026-09").out
    (line,) = [line for line in shown.splitlines() if "1.250000000" in line and "A" in line]
    assert line.split()[:5] == ["default@1", "usage", "A", "x", "1.250000000"]
    assert "USD 4.250000000 in all; of the whole range USD 3.000000000 are borne by nobody" in shown


def test_a_spreadsheet_gets_a_row_for_each(used: Command) -> None:
    told = used.ok("allocate", "--period", "2026-09", "-o", "csv").out
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [(row["rule_id"], row["team_id"], row["total_cost_usd"]) for row in rows] == [
        ("default", "A", "1.25"),
        ("default", "", "3"),
    ]


def test_it_is_filtered_and_paged(used: Command) -> None:
    asked = ("allocate", "--period", "2026-09", "-o", "json")
    (row,) = used.ok(*asked, "--team", "A").json["allocations"]
    assert row["user_id"] == "x"
    first = used.ok(*asked, "--limit", "1").json
    rest = used.ok(*asked, "--limit", "1", "--cursor", first["next_cursor"]).json
    assert [page["allocations"][0]["team_id"] for page in (first, rest)] == ["A", None]
    assert rest["next_cursor"] is None

    unknown = used(*asked, "--rule", "rent")
    assert (unknown.code, "There is no rule 'rent'" in unknown.err) == (5, True)
    lost = used(*asked, "--cursor", "x")
    assert (lost.code, "No page goes on at 'x'" in lost.err) == (2, True)

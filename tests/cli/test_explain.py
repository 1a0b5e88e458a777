"""`chargeback explain`: a tree for people, the same document as JSON, its totals as CSV."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.cli.tree import Node, tree_lines
from tests.support import feed
from tests.support.command import Command

RULES = """
rules:
  - rule_id: shared
    rule_type: by_usage
    allocation_metadata: {match: {resource_types: [compute, query]}}
  - rule_id: rent
    rule_type: equal_split
    team_id: A
    user_ids: [x]
    allocation_metadata: {match: {resource_types: [rent]}}
"""


def usage(usage_id: str, cost: str, **more: Any) -> bytes:
    return feed.usage(usage_id, cost, day="2025-10-03", **more)


USAGE = [
    usage("a-1", "90", team="A", user_id=None, agent_id="g"),
    usage("b-1", "10", team="B", user_id=None),
    usage("shared-1", "100", team=None, user_id=None, resource_type="compute"),
    usage("shared-2", "200", team=None, user_id=None, resource_type="compute").replace(
        b"T12", b"T13"
    ),
    usage("power", "0.25", team=None, user_id=None, resource_type="power"),
]
LATE = usage("late", "90", team="B", user_id=None)


@pytest.fixture
def closed(sqlite_chargeback: Command, tmp_path: Path) -> Command:
    """October and November of the worked example, with late usage of October in November."""
    chargeback = sqlite_chargeback.having("--set", "billing.first_period=2025-10")
    (tmp_path / "rules.yaml").write_text(RULES)
    chargeback.ok("rules", "apply", str(tmp_path / "rules.yaml"))
    _ingest(chargeback, tmp_path, *USAGE)
    _close(chargeback, "2025-10")
    _ingest(chargeback, tmp_path, LATE)
    return chargeback


def _ingest(chargeback: Command, folder: Path, *values: bytes) -> None:
    file = folder / f"{len(list(folder.iterdir()))}.jsonl"
    file.write_bytes(b"\n".join(values) + b"\n")
    chargeback.ok("ingest", str(file))


def _close(chargeback: Command, period: str) -> None:
    chargeback.ok("close", period, "--force", "--reason", "the test says so")


def _lines(out: str) -> list[str]:
    return out.splitlines()


def test_an_invoice_is_a_tree_of_its_lines_with_their_rules(closed: Command) -> None:
    ended = closed.ok("explain", "INV-202510-0001")
    assert _lines(ended.out) == [
        "360.00  INV-202510-0001 (regular, pending) to team:A for 2025-10",
        "├─ 360.00  2 lines",
        "│  ├─ 270.00  line 1: share of compute by rule shared@1, team A",
        "│  │  ├─ 270.000000000  exact",
        "│  │  ├─   0.000000000  to whole cents",
        "│  │  └─ rule: shared@1 takes usage of type compute or query: it leaves"
        " usage with its owner and divides shared cost among all teams, and users without a team,"
        " that used anything by the cost of everything they used in the period.",
        "│  └─  90.00  line 2: query, team A",
        "│     ├─ 90.000000000  exact",
        "│     ├─  0.000000000  to whole cents",
        "│     └─ rule: shared@1 takes usage of type compute or query: it leaves"
        " usage with its owner and divides shared cost among all teams, and users without a team,"
        " that used anything by the cost of everything they used in the period.",
        "└─   0.00  tax",
    ]


def test_a_line_goes_down_to_the_usage_ids(closed: Command) -> None:
    out = closed.ok("explain", "INV-202510-0001", "--line", "1").out
    assert "270.000000000  9/10 (90 %) of 300.000000000, by cost used, 90 of 100" in out
    assert "300.000000000  the whole of it" in out
    assert "300.000000000  2025-10-03 compute, nobody's, quantity 2, 2 records" in out
    assert "100.000000000  shared-1, 2025-10-03T12:00:00Z" in out
    assert "200.000000000  shared-2, 2025-10-03T13:00:00Z" in out


def test_an_adjustment_shows_what_was_booked_before_and_what_moved(closed: Command) -> None:
    _close(closed, "2025-11")
    out = _lines(closed.ok("explain", "INV-202511-0001", "--line", "1").out)
    assert out[0].startswith("INV-202511-0001 (credit, pending) to team:A for 2025-11, line 1: ")
    assert out[1:4] == [
        "├─ -127.890000000  on the invoice, in whole cents",
        "│  ├─ -127.894736842  exact",
        "│  └─    0.004736842  rounding, so that all lines sum to the invoice",
    ]
    assert out[5:] == [
        "└─ -127.894736842  usage of 2025-10, billed in 2025-10 and 2025-11, settled in close 1 of"
        " 2025-11 by the rules of close 1 of 2025-10",
        "   ├─  142.105263158  allocated",
        "   │  └─ 142.105263158  9/19 (47.3684211 %) of 300.000000000, by cost used, 90 of 190;"
        " without the late usage by cost used, 90 of 100",
        "   │     └─ 300.000000000  the whole of it",
        "   │        └─ 300.000000000  2025-10-03 compute, nobody's, quantity 2, 2 records",
        "   │           ├─ 100.000000000  shared-1, 2025-10-03T12:00:00Z",
        "   │           └─ 200.000000000  shared-2, 2025-10-03T13:00:00Z",
        "   ├─ -270.000000000  booked before by close 1 of 2025-10, on INV-202510-0001",
        "   └─ without the late usage it would be 270.000000000",
        "      └─ 270.000000000  9/10 (90 %) of 300.000000000, by cost used, 90 of 100",
    ]


def test_what_an_open_month_would_leave_to_nobody_can_be_asked(closed: Command) -> None:
    out = closed.ok("explain", "unallocated", "--period", "2025-11").out
    assert _lines(out) == [
        "0.000000000  what nobody bears of 2025-11 (open), as a close would book it now"
    ]


def test_json_is_the_whole_document_and_csv_the_usage_totals(closed: Command) -> None:
    document = closed.ok("explain", "INV-202510-0001", "--line", "1", "-o", "json").json
    assert list(document) == ["explanation", "next_cursor"]
    assert list(document["explanation"]) == ["invoice", "line", "rule", "settlement"]
    (pool,) = document["explanation"]["settlement"]["pools"]
    assert pool["share"] == {"numerator": "9", "denominator": "10", "decimal": "0.9"}
    rows = _csv(closed.ok("explain", "INV-202510-0001", "--line", "1", "-o", "csv").out)
    assert [(row["pool_cost_usd"], row["share"], row["cost_usd"]) for row in rows] == [
        ("270", "9/10", "300")
    ]
    lines = _csv(closed.ok("explain", "INV-202510-0001", "-o", "csv").out)
    assert [(row["line"], row["rule"], row["exact_usd"]) for row in lines] == [
        ("1", "shared@1", "270"),
        ("2", "shared@1", "90"),
    ]


def _csv(out: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(out)))


def test_what_nobody_bears_names_the_rule_that_nearly_claimed_it(closed: Command) -> None:
    out = closed.ok("explain", "unallocated", "--period", "2025-10").out
    assert _lines(out) == [
        "0.250000000  what nobody bears of 2025-10 (closed), 0.25 in whole cents",
        "└─ 0.250000000  line 1: power of 2025-10 by rule default@1. No rule claimed it.",
        "   └─ 0.250000000  1 record: shared@1 would have claimed it, but takes only usage of type"
        " compute or query, and this is of type power.",
    ]
    line = closed.ok("explain", "unallocated", "--period", "2025-10", "--line", "1").out
    assert "1 record. shared@1 would have claimed it" in line
    assert "0.250000000  power, 2025-10-03T12:00:00Z" in line
    rows = _csv(closed.ok("explain", "unallocated", "--period", "2025-10", "-o", "csv").out)
    assert [row["why.sentence"] for row in rows] == ["No rule claimed it."]


def test_pages_name_how_they_go_on(closed: Command) -> None:
    asked = ("explain", "INV-202510-0001", "--line", "1", "--limit", "1")
    out = closed.ok(*asked).out
    (cursor,) = (line.rsplit(" ", 1)[1] for line in _lines(out) if "--cursor" in line)
    assert "1 record not shown: --cursor" in out
    more = closed.ok(*asked, "--cursor", cursor)
    assert "shared-2" in more.out
    lines = closed.ok("explain", "INV-202510-0001", "--limit", "1")
    assert "1 line not shown" in lines.out
    assert "--cursor 1" in lines.err
    rest = closed.ok("explain", "INV-202510-0001", "--limit", "1", "--cursor", "1")
    assert "line 2: query" in rest.out


def test_what_people_wrote_cannot_move_the_cursor(
    sqlite_chargeback: Command, tmp_path: Path
) -> None:
    chargeback = sqlite_chargeback.having("--set", "billing.first_period=2025-10")
    _ingest(chargeback, tmp_path, usage("u\x1b[2J", "1", team="T\x1b[31m", agent_id="\u202eg"))
    _close(chargeback, "2025-10")
    ended = chargeback.ok("explain", "INV-202510-0001", "--line", "1")
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
    assert "u\\x1b[2J" in ended.out


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        (["INV-202510-0009"], 5, "There is no invoice 'INV-202510-0009'"),
        (["INV-202510-0001", "--line", "9"], 5, "has lines 1 to 2, so there is no line 9"),
        (["INV-202510-0001", "--line", "1", "--cursor", "x"], 2, "No page goes on at 'x'"),
        (["INV-202510-0001", "--period", "2025-10"], 2, "--period goes with 'unallocated' alone"),
        (["unallocated"], 2, "unallocated --period 2026-10"),
        (["unallocated", "--period", "october"], 2, "is no period"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(
    closed: Command, asked: list[str], code: int, says: str
) -> None:
    ended = closed("explain", *asked)
    assert (ended.code, says in ended.err) == (code, True), ended


def test_a_tree_is_drawn_with_amounts_in_a_column() -> None:
    tree = Node(
        "root",
        below=[Node("one", "1.5", [Node("deep"), Node("er", "2")]), Node("two", "-10.25")],
    )
    assert list(tree_lines(tree)) == [
        "root",
        "├─    1.5  one",
        "│  ├─ deep",
        "│  └─ 2  er",
        "└─ -10.25  two",
    ]
    assert list(tree_lines(tree, drawn=False))[1] == "|-    1.5  one"


def test_a_tree_that_is_too_wide_is_folded_within_its_branches() -> None:
    words = Node("some words that are more than a line has", "1.5", [Node("below")])
    assert list(tree_lines(Node("root", below=[words, Node("last words too")]), width=30)) == [
        "root",
        "├─ 1.5  some words that are",
        "│  │    more than a line has",
        "│  └─ below",
        "└─ last words too",
    ]

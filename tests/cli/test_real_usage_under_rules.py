"""The month of real usage under rules of all five types: closed, verified and explained."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.support.command import Command

DATA = Path(__file__).parents[1] / "data"
ANSWERS = json.loads((DATA / "agents-code-2023-11.answers.json").read_text())
PERIOD = ("--period", "2023-11")
NANO = 10**9
DESK = ("user-03", "user-07", "user-09")
AUDITORS = ("user-00", "user-01")

Owner = tuple[str | None, str | None]


def _records() -> Iterator[tuple[Owner, str, int]]:
    """Owner, agent and nano-dollars of each line, read apart from the project's own reader."""
    with gzip.open(DATA / "agents-code-2023-11.jsonl.gz") as lines:
        for line in lines:
            event = json.loads(line, parse_float=Decimal)
            of = event.get("metadata") or {}
            cost = Decimal(event["cost_usd"]).scaleb(9).quantize(Decimal(1), ROUND_HALF_EVEN)
            yield (of.get("team_id"), of.get("user_id")), event["agent_id"], int(cost)


def _bearers(team: str, user: str | None, agent: str) -> dict[Owner, Fraction]:
    """Who bears owned usage, and which part of it: the rules in their file, worked by hand."""
    if agent == "platform-agent-2":
        parts = {"search": 625, "research": 250, "platform": 125}
        return {(receiver, None): Fraction(part, 1000) for receiver, part in parts.items()}
    if agent == "finance-agent-2" and user not in AUDITORS:
        return {("finance", auditor): Fraction(1, 2) for auditor in AUDITORS}
    if agent == "growth-agent-0":
        return {("growth", None): Fraction(1, 2), ("research", None): Fraction(1, 2)}
    if team == "support":
        return {("support", member): Fraction(1, 3) for member in DESK}
    return {(team, user): Fraction(1)}


def _expected() -> dict[Owner, Fraction]:
    """What each pair bears, unrounded."""
    bears: dict[Owner, Fraction] = defaultdict(Fraction)
    owned: dict[str, int] = defaultdict(int)
    nobodys = 0
    for (team, user), agent, cost in _records():
        if team is None:
            nobodys += cost
            continue
        owned[team] += cost
        for pair, part in _bearers(team, user, agent).items():
            bears[pair] += cost * part
    for team, cost in owned.items():
        bears[team, None] += Fraction(nobodys * cost, sum(owned.values()))
    return bears


def _read(chargeback: Command, *words: str) -> Any:
    return chargeback.ok(*words, "-o", "json").json


def test_five_types_of_rules_on_a_real_month(chargeback: Command, usage_file: str) -> None:
    chargeback.ok("directory", "apply", str(DATA / "agents-code-2023-11.directory.yaml"))
    chargeback.ok("rules", "apply", str(DATA / "agents-code-2023-11.rules.yaml"))
    chargeback.ok("ingest", usage_file)
    types = {rule["rule_type"] for rule in _read(chargeback, "rules", "list")["rules"]}
    assert types == {"by_usage", "by_team", "by_user", "fixed_split", "equal_split"}

    preview = _read(chargeback, "preview", *PERIOD, "--limit", "1000")["preview"]
    would = {(row["team_id"], row["user_id"]): row["would_usd"] for row in preview["rows"]}
    expected = _expected()
    assert would.keys() == expected.keys()
    for pair, cost in would.items():
        # At most one nano-dollar for each pool that is split: two at the most here.
        assert abs(Decimal(cost) * NANO - Decimal(round(expected[pair]))) <= 2, pair

    closed = _read(chargeback, "close", "2023-11")["close"]
    assert Decimal(closed["booked_usd"]) == Decimal(ANSWERS["total_cost_usd"])
    assert Decimal(closed["unallocated_usd"]) == 0
    chargeback.ok("verify")
    beside = _read(chargeback, "preview", *PERIOD, "--limit", "1000")["preview"]["rows"]
    assert {row["difference_usd"] for row in beside} == {"0"}

    explained = set()
    for invoice in _read(chargeback, "invoices", "list", *PERIOD)["invoices"]:
        number = invoice["invoice_number"]
        for line in invoice["line_items"]:
            if line["rule"] not in explained:
                explained.add(line["rule"])
                _explain(chargeback, number, line)
    assert len(explained) == 6


def _explain(chargeback: Command, number: str, line: dict[str, Any]) -> None:
    """Each step's numbers add up to the step above, down to the usage records."""
    words = ("explain", number, "--line", line["line"], "--limit", "1000")
    settlement = _read(chargeback, *words)["explanation"]["settlement"]
    pools = settlement["pools"]
    assert settlement["difference"] is None
    assert sum(Decimal(pool["cost_usd"]) for pool in pools) == Decimal(line["exact_usd"])
    for pool in pools:
        behind = pool["behind"]["usage_totals"]
        whole = Decimal(pool["whole"]["cost_usd"])
        assert sum(Decimal(total["cost_usd"]) for total in behind) == whole
        share = Fraction(int(pool["share"]["numerator"]), int(pool["share"]["denominator"]))
        assert abs(Fraction(whole) * share - Fraction(pool["cost_usd"])) * NANO < 1
        for total in behind:
            page = total["usage"]
            used, rest = page["usage_records"], page["not_shown"]
            assert len(used) + int(rest["record_count"]) == int(total["record_count"])
            shown = sum(Decimal(one["cost_usd"]) for one in used)
            assert shown + Decimal(rest["cost_usd"]) == Decimal(total["cost_usd"])

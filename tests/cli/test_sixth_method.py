"""A method that a user adds, in one file and one line: refused, previewed, closed and explained."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support import sixth_method
from tests.support.command import Command

RULE = "{rule_id: agents, rule_type: by_agent, allocation_metadata: {match: {agents: [%s]}}}"
PERIOD = ("--period", "2026-01", "-o", "json")


@pytest.fixture(autouse=True)
def _by_agent() -> Iterator[None]:
    with sixth_method.installed():
        yield


def _event(usage_id: str, user: str | None, agent: str, cost: str) -> str:
    team = "A" if user else None
    event = {"usage_id": usage_id, "timestamp": "2026-01-05T12:00:00Z", "team_id": team}
    event |= {"user_id": user, "agent_id": agent, "resource_type": "query", "cost_usd": cost}
    return json.dumps(event)


def test_a_sixth_method_is_used_end_to_end(chargeback: Command, tmp_path: Path) -> None:
    events = [
        _event("a", "ann", "planner", "10"),
        _event("b", "ann", "planner", "20"),
        _event("c", "bob", "planner", "2"),
        _event("d", None, "planner", "60"),
        _event("e", "bob", "writer", "7"),
    ]
    chargeback.ok("ingest", "-", stdin="\n".join(events).encode())

    refused = chargeback("rules", "apply", "-", stdin=(RULE % "null").encode())
    assert refused.code == 2
    assert "by_agent needs agents to divide by" in refused.err
    chargeback.ok("rules", "apply", "-", stdin=(RULE % "planner").encode())
    assert "by_agent" in chargeback("rules", "apply", "-", stdin=b"{rule_type: by_agnt}").err
    assert "divides what each agent cost" in chargeback.ok("rules", "show", "agents").out

    preview = chargeback.ok("preview", *PERIOD).json["preview"]
    would = {row["user_id"]: Decimal(row["would_usd"]) for row in preview["rows"]}
    # Planner cost 92 and has three owned records, two of them Ann's; writer stays with Bob.
    assert would["ann"] + would["bob"] == 99
    assert would["ann"] == Decimal("61.333333333")

    chargeback.ok("close", "2026-01")
    chargeback.ok("verify")
    (invoice,) = chargeback.ok("invoices", "list", *PERIOD).json["invoices"]
    (line,) = (
        line
        for line in invoice["line_items"]
        if (line["rule"], line["metadata"]["user_id"]) == ("agents@1", "ann")
    )
    words = ("explain", invoice["invoice_number"], "--line", line["line"], "-o", "json")
    (pool,) = chargeback.ok(*words).json["explanation"]["settlement"]["pools"]
    assert (pool["share"]["numerator"], pool["share"]["denominator"]) == ("2", "3")
    assert Decimal(pool["whole"]["cost_usd"]) == 92
    assert pool["behind"]["count"] == "3"

"""The summary's own usage examples, as requests, give what it promises."""

from tests.support.http_api import Api

JANUARY = {"period_start": "2024-01-01T00:00:00Z", "period_end": "2024-01-31T23:59:59Z"}
USAGE = {
    "team_id": "team-123",
    "user_id": "user-456",
    "agent_id": "agent-789",
    "resource_type": "query",
    "quantity": 100.0,
    "cost_usd": 5.50,
}
RULE = {
    "rule_id": "team-equal-split",
    "name": "Team Equal Split",
    "description": "Split costs equally among team members",
    "rule_type": "by_team",
    "enabled": True,
    "team_id": "team-123",
}


def test_usage_is_recorded(api: Api) -> None:
    reply = api.post("usage", USAGE)
    assert reply.status == 201
    record = reply.json["usage_record"]
    assert record.pop("usage_id")
    assert record.pop("timestamp").endswith("Z")
    assert record.pop("billing_period")
    assert record == {
        "team_id": "team-123",
        "user_id": "user-456",
        "agent_id": "agent-789",
        "resource_type": "query",
        "quantity": "100",
        "cost_usd": "5.5",
        "metadata": {},
        "source": "",
        "resource_id": None,
        "late": False,
    }


def test_a_rule_is_created_and_costs_are_allocated_and_billed(api: Api) -> None:
    for user in ("user-456", "user-457"):
        event = {**USAGE, "user_id": user, "timestamp": "2024-01-10T12:00:00Z", "usage_id": user}
        assert api.post("usage", event).status == 201

    made = api.post("allocation-rules", RULE)
    assert made.status == 201
    assert made.json["rule_id"] == made.json["rule"]["rule_id"] == "team-equal-split"
    assert made.json["message"]

    allocated = api.ok("POST", "allocate", {**JANUARY, "team_id": "team-123"})
    assert allocated["stored"] is True
    assert allocated["unallocated"] == "0"
    assert [
        (row["user_id"], row["rule_id"], row["rule_version"], row["total_cost_usd"])
        for row in allocated["allocations"]
    ] == [
        ("user-456", "team-equal-split", "1", "5.5"),
        ("user-457", "team-equal-split", "1", "5.5"),
    ]

    invoice = api.post("invoices", {"team_id": "team-123", **JANUARY})
    assert invoice.status == 201
    draft = invoice.json["invoice"]
    assert draft["status"] == "draft"
    assert draft["invoice_number"].startswith("DRAFT-")
    assert (draft["subtotal_usd"], draft["tax_usd"], draft["total_usd"]) == ("11", "0", "11")
    assert [line["total_price"] for line in draft["line_items"]] == ["5.5", "5.5"]
    assert draft["due_date"] is None

    assert api.ok("POST", "periods/2024-01/close")["close"]["invoices"] == "1"
    (issued,) = api.ok("GET", "invoices", team_id="team-123")["invoices"]
    assert (issued["invoice_id"], issued["status"]) == (draft["invoice_id"], "pending")
    assert issued["invoice_number"] == "INV-202401-0001"
    assert issued["due_date"]

    number = issued["invoice_number"]
    paid = api.ok("PUT", f"invoices/{number}/status", {"status": "paid"})
    assert paid["invoice"]["status"] == "paid"
    assert api.ok("GET", f"invoices/{draft['invoice_id']}")["invoice"] == paid["invoice"]


def test_all_fourteen_endpoints_answer(api: Api) -> None:
    api.ok("POST", "usage", {**USAGE, "timestamp": "2024-01-10T12:00:00Z"})
    summary = api.ok("GET", "usage/summary", period="2024-01")["summary"]
    assert (summary["total_cost_usd"], summary["record_count"]) == ("5.5", "1")
    assert summary["by_resource_type"] == {"query": {"cost": "5.5", "quantity": "100"}}
    assert summary["by_agent"] == {"agent-789": {"cost": "5.5", "quantity": "100"}}
    api.ok("POST", "allocation-rules", RULE)
    assert [rule["rule_id"] for rule in api.ok("GET", "allocation-rules")["rules"]] == [
        "team-equal-split"
    ]
    changed = api.ok("PUT", "allocation-rules/team-equal-split", {"enabled": False})
    assert (changed["rule"]["enabled"], changed["rule"]["name"]) == (False, "Team Equal Split")
    assert api.ok("GET", "allocation-rules/team-equal-split")["rule"]["version"] == "2"
    assert api.ok("DELETE", "allocation-rules/team-equal-split")["message"]
    assert api.get("allocation-rules/team-equal-split").problem == (404, "rule-unknown")
    for whose in ("team/team-123", "user/user-456"):
        report = api.ok("GET", f"reports/{whose}", **JANUARY)["report"]
        assert (report["period"], report["total_cost_usd"]) == ("2024-01", "5.5")

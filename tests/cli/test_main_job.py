"""A month of real usage through the commands, on both stores, to the nano-dollar."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command

ANSWERS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "agents-code-2023-11.answers.json").read_text()
)
MONTH = ("--period", "2023-11", "-o", "json")


def _sums(found: dict[str, Any]) -> tuple[Decimal, Decimal]:
    return Decimal(found["cost"]), Decimal(found["quantity"])


def _answers(by: str) -> dict[str, tuple[Decimal, Decimal]]:
    return {
        name: (Decimal(sums["cost_usd"]), Decimal(sums["tokens"]))
        for name, sums in ANSWERS[by].items()
    }


def _summary(chargeback: Command, *options: str) -> dict[str, Any]:
    summary: dict[str, Any] = chargeback.ok("usage", "summary", *MONTH, *options).json["summary"]
    return summary


def _filtered(chargeback: Command, by: str, option: str) -> dict[str, tuple[Decimal, Decimal]]:
    found = {}
    for name in ANSWERS[by]:
        summary = _summary(chargeback, option, "" if name == "(none)" else name)
        assert int(summary["record_count"]) == ANSWERS[by][name]["records"]
        found[name] = (Decimal(summary["total_cost_usd"]), Decimal(summary["total_quantity"]))
    return found


def test_a_month_of_real_usage_comes_out_to_the_nano_dollar(
    chargeback: Command, usage_file: str
) -> None:
    (first,) = chargeback.ok("ingest", usage_file, "-o", "json").json["files"]
    assert first["accepted"] == first["read"] == str(ANSWERS["records"])

    whole = _summary(chargeback)
    assert Decimal(whole["total_cost_usd"]) == Decimal(ANSWERS["total_cost_usd"])
    assert Decimal(whole["total_quantity"]) == ANSWERS["total_tokens"]
    assert int(whole["record_count"]) == ANSWERS["records"]
    assert {name: _sums(sums) for name, sums in whole["by_agent"].items()} == _answers("by_agent")
    assert _filtered(chargeback, "by_team", "--team") == _answers("by_team")
    assert _filtered(chargeback, "by_user", "--user") == _answers("by_user")

    again = chargeback.ok("ingest", usage_file, "-o", "json").json["files"][0]
    assert again["read"] == "0"
    assert again["note"] == "already ingested to its end; nothing changed"
    assert again["total"]["accepted"] == str(ANSWERS["records"])
    assert _summary(chargeback) == whole

    closed = chargeback.ok("close", "2023-11", "-o", "json").json["close"]
    assert Decimal(closed["booked_usd"]) == Decimal(ANSWERS["total_cost_usd"])
    assert closed["closed_before"] is False
    invoices = chargeback.ok("invoices", "list", "-o", "json").json["invoices"]
    assert {row["team_id"] for row in invoices} == ANSWERS["by_team"].keys() - {"(none)"}
    invoiced = sum(Decimal(row["subtotal_usd"]) for row in invoices)
    assert invoiced == Decimal(closed["subtotal_usd"])
    assert invoiced + Decimal(closed["unallocated_usd"]) == Decimal("556.55")
    assert chargeback.ok("verify", "-o", "json").json["verify"]["clean"] is True

    second = chargeback.ok("close", "2023-11", "-o", "json").json["close"]
    assert second == closed | {"closed_before": True}
    assert chargeback.ok("invoices", "list", "-o", "json").json["invoices"] == invoices
    (period,) = chargeback.ok("periods", "-o", "json").json["periods"]
    assert (period["period"], period["state"]) == ("2023-11", "closed")
    (act,) = chargeback.ok("audit", "-o", "json").json["audit"]
    assert (act["action"], act["subject"]) == ("close", "period:2023-11")


def test_a_label_keeps_the_models_apart(chargeback: Command, usage_file: str) -> None:
    by_model = chargeback.having("--set", "grain.labels=model")
    by_model.ok("ingest", usage_file)
    found = _summary(by_model)["by_label"]["model"]
    assert {name: _sums(sums) for name, sums in found.items()} == _answers("by_model")


def test_an_invoice_is_shown_by_its_number_and_by_its_id(
    sqlite_chargeback: Command, usage_file: str
) -> None:
    sqlite_chargeback.ok("ingest", usage_file)
    sqlite_chargeback.ok("close", "2023-11")
    listed = sqlite_chargeback.ok(
        "invoices", "list", "--team", "finance", "--status", "pending", "-o", "json"
    )
    (invoice,) = listed.json["invoices"]
    for name in (invoice["invoice_number"], invoice["invoice_id"]):
        shown = sqlite_chargeback.ok("invoices", "show", name, "-o", "json").json
        assert shown == {"invoice": invoice}
    table = sqlite_chargeback.ok("invoices", "show", invoice["invoice_number"]).out
    assert "Invoice INV-202311-0001 (regular, pending) to team:finance for 2023-11" in table
    assert "Total    USD 294.07" in table
    lines = sqlite_chargeback.ok("invoices", "show", invoice["invoice_number"], "-o", "csv").out
    assert len(lines.splitlines()) == 1 + len(invoice["line_items"])


@pytest.mark.parametrize(
    "options",
    [
        ("--period", "2023-11-16/2023-11-17"),
        ("--from", "2023-11-16", "--to", "2023-11-16T23:59:59Z"),
    ],
)
def test_any_days_are_summed_up(
    sqlite_chargeback: Command, usage_file: str, options: tuple[str, ...]
) -> None:
    sqlite_chargeback.ok("ingest", usage_file)
    found = sqlite_chargeback.ok("usage", "summary", *options, "-o", "json").json["summary"]
    assert (found["period_start"], found["period_end"]) == ("2023-11-16", "2023-11-17")
    assert 0 < int(found["record_count"]) <= ANSWERS["records"]
    table = sqlite_chargeback.ok("usage", "summary", *options).out
    assert "team" in table
    assert "finance-agent-0" in table

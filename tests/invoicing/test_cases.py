"""The worked cases that need no stored rules or directory, through the pure rooms alone."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.allocation.pair import UNALLOCATED, BillTo
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.build import Books
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine
from chargeback_worker.invoicing.settle import Owed
from chargeback_worker.money import COST_LIMIT_NANO, fixed, nano_from_text
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal
from tests.support.pure_ledger import Ledger, usage

CASES = Path(__file__).parents[1] / "cases"
WITHOUT_RULES = ["01", "10", "14", "17", "29", "38", "39", "42"]
BY_PLAIN_RULES = ["05", "28", "50"]


@pytest.mark.parametrize("number", [*WITHOUT_RULES, *BY_PLAIN_RULES])
def test_a_worked_case_comes_out_exactly(number: str) -> None:
    text = next(CASES.glob(f"{number}-*.json")).read_text()
    expect = json.loads(text)["expect"]
    # Costs are meant digit by digit, so their texts are kept.
    case = json.loads(text, parse_float=str, parse_int=str)
    bill_to = case["settings"].get("billing", {}).get("bill_to", "team")
    snapshot = Snapshot(rules=_rules(case), bill_to=BillTo(bill_to))

    ledger, closes = Ledger(), []
    for step in case["steps"]:
        if "ingest" in step:
            ledger.ingest(_total(event) for event in case["events"][step["ingest"]])
        elif "close" in step:
            period = Period.parse(step["close"])
            books = ledger.close(period, snapshot)
            closes.append(_close(period, books, ledger.owed))

    assert closes == expect["closes"]
    assert [_invoice(invoice) for invoice in ledger.invoices] == expect["invoices"]


def _rules(case: dict[str, Any]) -> tuple[Rule, ...]:
    return tuple(
        Rule(rule["rule_id"], 1, rule["rule_type"], priority=1000)
        for rule in case["rules"].get("start", ())
    )


def _total(event: dict[str, Any]) -> UsageTotal:
    return usage(
        nano_from_text(event["cost_usd"], limit=COST_LIMIT_NANO),
        day=date.fromisoformat(event["timestamp"][:10]),
        team=event.get("team_id"),
        user=event.get("user_id"),
        resource_type=event["resource_type"],
    )


def _close(period: Period, books: Books, owed: list[Owed]) -> dict[str, Any]:
    rows = [_row(row, period) for row in sorted(owed, key=lambda row: row.origin != period)]
    return {
        "period": str(period),
        "revision": 1,
        "booked": fixed(books.booked),
        "unallocated_cents": fixed(books.unallocated, 2),
        "allocations": [row for row in rows if "team" in row],
        "unallocated": [row for row in rows if "team" not in row],
    }


def _row(row: Owed | InvoiceLine, period: Period) -> dict[str, Any]:
    key = row.key
    pair = {} if key.pair == UNALLOCATED else {"team": key.pair.team, "user": key.pair.user}
    adjustment = {"origin": str(row.origin), "cause": row.cause} if row.origin != period else {}
    cost = row.cost if isinstance(row, Owed) else row.exact
    return {
        "rule": key.cited,
        **pair,
        "resource_type": key.resource_type,
        "cost": fixed(cost),
        **adjustment,
    }


def _invoice(invoice: Invoice) -> dict[str, Any]:
    lines = []
    for line in invoice.lines:
        row = _row(line, invoice.period) | {"total_price": fixed(line.total_price, 2)}
        if line.origin != invoice.period:
            row["original_invoice"] = line.original_invoice
        lines.append(row)
    return {
        "number": invoice.invoice_number,
        "period": str(invoice.period),
        "revision": invoice.revision,
        "kind": invoice.kind,
        "receiver": invoice.receiver.key,
        "subtotal": fixed(invoice.subtotal, 2),
        "tax": fixed(invoice.tax, 2),
        "total": fixed(invoice.total, 2),
        "references": list(invoice.references),
        "lines": lines,
    }

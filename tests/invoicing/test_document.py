import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import Amount, encode, invoice_document
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from tests.support.pure_ledger import Ledger, usage


def an_invoice() -> Invoice:
    ledger = Ledger()
    ledger.ingest([usage(5_500_000_001, team="T", user="ü", quantity=2 * NANO)])
    (invoice,) = ledger.close(Period(2025, 10), Snapshot(due_days=30)).invoices
    return invoice


@given(st.integers(-(10**30), 10**30))
def test_an_amount_is_a_number_with_its_exact_plain_digits(nano: int) -> None:
    text = encode({"amount": Amount(nano)}).decode()
    number = json.loads(text, parse_float=Decimal, parse_int=Decimal)["amount"]
    whole, _, decimals = f"{number:.9f}".partition(".")
    assert int(whole + decimals) == nano
    assert "e" not in text.removeprefix('{"amount":').lower()


def test_the_smallest_amount_has_no_exponent() -> None:
    assert encode([Amount(1), Amount(5_500_000_000), Amount(0)]) == b"[0.000000001,5.5,0]"


def test_times_are_written_in_utc() -> None:
    at = datetime(2025, 10, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert (
        encode([date(2025, 10, 1), at.astimezone(UTC)]) == b'["2025-10-01","2025-10-01T00:00:00Z"]'
    )


def test_what_has_no_form_in_json_is_refused() -> None:
    with pytest.raises(NotImplementedError):
        encode([object()])


def test_an_invoice_has_this_form() -> None:
    invoice = an_invoice()
    line = invoice.lines[0]
    document = json.loads(encode(invoice_document(invoice)), parse_float=str)
    assert document == {
        "invoice_id": invoice.invoice_id,
        "invoice_number": "INV-202510-0001",
        "kind": "regular",
        "status": "pending",
        "receiver": "team:T",
        "team_id": "T",
        "user_id": None,
        "period": "2025-10",
        "period_start": "2025-10-01",
        "period_end": "2025-11-01",
        "revision": 1,
        "currency": "USD",
        "line_items": [
            {
                "line": 1,
                "kind": "usage",
                "description": "query, user ü in team T",
                "resource_type": "query",
                "quantity": 2,
                "unit_price": "2.75",
                "total_price": "5.5",
                "exact_usd": "5.500000001",
                "allocation_id": line.allocation_id,
                "rule": "default@1",
                "metadata": {"team_id": "T", "user_id": "ü", "tax_rate": 0},
            }
        ],
        "subtotal_usd": "5.5",
        "tax_usd": 0,
        "total_usd": "5.5",
        "issued_at": "2026-01-02T03:04:05Z",
        "due_date": "2026-02-01",
        "paid_date": None,
        "published_at": None,
        "references": [],
        "replaces": None,
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "metadata": {},
    }


def test_an_adjustment_tells_where_it_comes_from() -> None:
    ledger = Ledger()
    october, november = Period(2025, 10), Period(2025, 11)
    ledger.close(october, Snapshot())
    ledger.ingest([usage(NANO, team="T")])
    (invoice,) = ledger.close(november, Snapshot()).invoices
    document = json.loads(encode(invoice_document(invoice)))
    assert document["line_items"][0]["metadata"] == {
        "team_id": "T",
        "user_id": None,
        "tax_rate": 0,
        "origin_period": "2025-10",
        "cause": "late_usage",
        "original_invoice": None,
    }


def test_the_same_invoice_gives_the_same_bytes() -> None:
    one, again = an_invoice(), an_invoice()
    assert encode(invoice_document(one)) == encode(invoice_document(again))
    other = replace(one, references=("INV-202509-0001",))
    assert encode(invoice_document(other)) != encode(invoice_document(one))

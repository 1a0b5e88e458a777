"""Invoices as they are shown: a page, or one by number or id."""

import json

import pytest

from chargeback_worker.invoicing.document import encode
from chargeback_worker.reports.invoices import (
    UnknownStatus,
    list_invoices,
    show_invoice,
)
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.store import Store
from chargeback_worker.store.invoices import InvoiceUnknown
from tests.support.feed import Feed, usage
from tests.support.ledger import NOVEMBER, OCTOBER, closed, issued


@pytest.fixture
def books(store: Store) -> Store:
    """October closed with three invoices."""
    Feed(store).send(
        usage("a", "1.5", team="A"), usage("b", "2", team="B"), usage("c", "3", team=None)
    )
    closed(store)
    return store


def test_a_list_is_paged_newest_first(books: Store) -> None:
    first = list_invoices(books, limit=2)
    rest = list_invoices(books, limit=2, cursor=first["next_cursor"])

    numbers = [row["invoice_number"] for page in (first, rest) for row in page["invoices"]]
    assert numbers == ["INV-202610-0003", "INV-202610-0002", "INV-202610-0001"]
    assert rest["next_cursor"] is None
    assert list_invoices(books, cursor=issued(books)[0].invoice_id)["invoices"] == []
    for unknown in ("INV-202610-0001", "nowhere"):
        with pytest.raises(UnknownPlace, match=f"No page of invoices goes on at '{unknown}'"):
            list_invoices(books, cursor=unknown)


def test_a_list_is_filtered_by_receiver_status_and_period(books: Store) -> None:
    def receivers(**filters: object) -> list[str]:
        found = list_invoices(books, **filters)  # type: ignore[arg-type]
        return [row["receiver"] for row in found["invoices"]]

    assert receivers(team="A") == ["team:A"]
    assert receivers(user="u") == ["user:u"]
    assert receivers(status="pending", period=OCTOBER) == ["user:u", "team:B", "team:A"]
    assert receivers(status="sent") == []
    assert receivers(period=NOVEMBER) == []
    with pytest.raises(UnknownStatus, match="'lost'"):
        list_invoices(books, status="lost")


def test_an_invoice_is_shown_by_number_and_by_id_with_its_exact_digits(books: Store) -> None:
    found = show_invoice(books, "INV-202610-0001")

    assert found == show_invoice(books, issued(books)[0].invoice_id)
    assert b'"subtotal_usd":1.5,"tax_usd":0,"total_usd":1.5,' in encode(found)
    assert json.loads(encode(found))["invoice"]["line_items"][0]["rule"] == "default@1"
    with pytest.raises(InvoiceUnknown, match="'INV-1'"):
        show_invoice(books, "INV-1")

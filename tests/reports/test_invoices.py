"""Invoices as they are shown: a page, or one by number or id."""

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chargeback_worker.invoicing.document import Document, encode
from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.reports.invoices import (
    UnknownStatus,
    list_invoices,
    show_invoice,
)
from chargeback_worker.reports.pages import UnknownPlace, written
from chargeback_worker.store import Store, drafts
from chargeback_worker.store.invoice_order import place_of
from chargeback_worker.store.invoices import InvoiceUnknown
from chargeback_worker.usage.fields import TEXT_MAX
from tests.support.billing import MANUAL, asked, closed_by, given
from tests.support.feed import Feed, usage
from tests.support.ledger import NOVEMBER, OCTOBER, closed, issued

_TEAMS = [f"T{number}" for number in range(10)]


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


def _pages(store: Store, **filters: Any) -> Iterator[list[Document]]:
    """The rows of one page after the other, each read when it is asked for."""
    cursor = None
    while True:
        found = list_invoices(store, limit=3, cursor=cursor, **filters)
        yield found["invoices"]
        cursor = found["next_cursor"]
        if cursor is None:
            return


@pytest.fixture
def drafted(store: Store) -> Store:
    """October, not closed yet, with usage of ten teams and a draft for each."""
    Feed(store).send(*(usage(team, "2", team=team) for team in _TEAMS))
    for team in _TEAMS:
        asked(store, team)
    return store


@pytest.mark.parametrize("status", ["draft", None])
def test_drafts_that_are_approved_while_they_are_paged_are_each_on_one_page(
    drafted: Store, status: str | None
) -> None:
    closed_by(drafted, MANUAL)
    seen = []
    for page in _pages(drafted, status=status):
        for row in page:
            seen.append(row["receiver"])
            given(drafted, row["invoice_number"], Status.PENDING)

    assert seen == [f"team:{team}" for team in reversed(_TEAMS)]
    assert {row.status for row in issued(drafted)} == {Status.PENDING}


def test_drafts_of_a_month_that_is_closed_while_they_are_paged_are_each_on_one_page(
    drafted: Store,
) -> None:
    pages = _pages(drafted)
    seen = next(pages)
    closed_by(drafted)
    seen += [row for page in pages for row in page]

    assert [row["receiver"] for row in seen] == [f"team:{team}" for team in reversed(_TEAMS)]
    assert {row["status"] for row in seen[3:]} == {"pending"}


def test_a_draft_that_is_made_anew_while_drafts_are_paged_stays_where_it_was(
    drafted: Store,
) -> None:
    seen = []
    for page in _pages(drafted):
        seen += [row["receiver"] for row in page]
        asked(drafted, page[-1]["team_id"])
        asked(drafted, page[0]["team_id"])

    assert seen == [f"team:{team}" for team in reversed(_TEAMS)]


def test_a_page_goes_on_from_a_draft_that_is_no_longer_there(drafted: Store) -> None:
    pages = _pages(drafted)
    seen = next(pages)
    with drafted.begin() as transaction:
        drafts.drop(transaction, OCTOBER, 1)
    for team in _TEAMS[:5]:
        asked(drafted, team)
    seen += [row for page in pages for row in page]

    assert [row["team_id"] for row in seen] == [*_TEAMS[:6:-1], *_TEAMS[4::-1]]


def test_a_page_goes_on_where_an_invoice_would_be_that_nobody_has(books: Store) -> None:
    there = place_of(issued(books)[0])

    def after(**other: Any) -> list[str]:
        found = list_invoices(books, cursor=written(replace(there, **other)))
        return [row["receiver"] for row in found["invoices"]]

    smiles = "\N{GRINNING FACE}" * TEXT_MAX
    assert after(team="AA") == after(user="u") == ["team:A"]
    assert after(team=smiles, user=smiles) == ["team:B", "team:A"]
    assert after(team=None, user="'; --") == ["team:B", "team:A"]
    assert after(invoice_id="0") == after(team="") == after(created_us=0) == []
    assert after(created_us=2**63 - 1) == ["user:u", "team:B", "team:A"]


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


_PLACE = '{"created_us":%s,"team":%s,"user":null,"invoice_id":"a"}'


@pytest.mark.parametrize(
    "unknown",
    [
        "INV-202610-0001",
        "nowhere",
        "",
        "ä",
        "0",
        _cursor("null"),
        _cursor("[1, null, null]"),
        _cursor(_PLACE % ("-1", "null")),
        _cursor(_PLACE % ("1.5", "null")),
        _cursor(_PLACE % (2**63, "null")),
        _cursor(_PLACE % (1, '"\\u0000"')),
        _cursor(_PLACE % (1, '"\\ud800"')),
        _cursor(_PLACE % (1, "7")),
    ],
)
def test_what_no_page_of_invoices_has_given_is_refused(books: Store, unknown: str) -> None:
    with pytest.raises(UnknownPlace, match=f"No page of invoices goes on at '{unknown}'"):
        list_invoices(books, cursor=unknown)


def test_an_id_is_no_cursor_whether_or_not_an_invoice_has_it(books: Store) -> None:
    for name in (issued(books)[0].invoice_id, str(uuid.UUID(int=7))):
        with pytest.raises(UnknownPlace):
            list_invoices(books, cursor=name)


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

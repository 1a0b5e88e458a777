"""Invoices as they are stored: read back whole, numbered without a gap, paged without a miss."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine, Kind, LineKind, Status
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.store import Store, invoices
from chargeback_worker.store.invoice_order import place_of
from chargeback_worker.store.tables import invoice_line
from tests.support.feed import set_state
from tests.support.ledger import NOVEMBER, OCTOBER, SEPTEMBER

ISSUED_AT = datetime(2026, 11, 3, 4, 5, 6, 7, tzinfo=UTC)
_LINES = (
    InvoiceLine(
        1,
        LineKind.USAGE,
        "query, user ü in team A",
        PartKey("default", 1, Pair("A", "ü"), "query"),
        5 * NANO,
        -1,
        10_000_000,
        10**27 + 1,
        "allocation",
        OCTOBER,
    ),
    InvoiceLine(
        2,
        LineKind.ADJUSTMENT,
        "share",
        PartKey("r", 3, Pair("A"), "compute"),
        None,
        None,
        -20_000_000,
        -19_999_999,
        "another",
        SEPTEMBER,
        Cause.DRIVER_CHANGED,
        "INV-202609-0001",
    ),
)


def _invoice(name: str, *, number: int = 1, period: Period = OCTOBER, team: str = "A") -> Invoice:
    return Invoice(
        invoice_id=name,
        invoice_number=f"INV-{period.number}-{number:04d}",
        kind=Kind.CREDIT,
        receiver=Pair(team),
        period=period,
        revision=1,
        status=Status.PENDING,
        lines=_LINES,
        subtotal=-10_000_000,
        tax=-(10**27),
        total=-(10**27) - 10_000_000,
        due_date=date(2026, 12, 3),
        created_at=ISSUED_AT,
        updated_at=ISSUED_AT,
        issued_at=ISSUED_AT,
        references=("INV-202609-0001", "INV-202609-0002"),
        metadata={"cost_centre": "7"},
    )


def _store(store: Store, *rows: Invoice) -> None:
    for period in {row.period for row in rows}:
        set_state(store, period, "closing")
    with store.begin() as transaction:
        invoices.insert(transaction, rows)
    for period in {row.period for row in rows}:
        set_state(store, period, "closed")


def _paged(store: Store) -> list[Invoice]:
    """All of them, read on pages of two."""
    found: list[Invoice] = []
    with store.read() as transaction:
        while page := invoices.listed(
            transaction, limit=2, after=place_of(found[-1]) if found else None
        ):
            found += page
    return found


def test_an_invoice_reads_back_as_it_was_by_number_and_by_id(store: Store) -> None:
    kept = _invoice("one")
    other = replace(
        _invoice("two", number=2, team="B"),
        due_date=None,
        paid_date=date(2026, 11, 9),
        published_at=ISSUED_AT,
        replaces="one",
        metadata={},
    )
    _store(store, kept, other)

    with store.read() as transaction:
        assert invoices.find(transaction, "INV-202610-0001") == kept
        assert invoices.find(transaction, "two") == other
        assert invoices.find(transaction, "three") is None
        assert invoices.of_period(transaction, OCTOBER) == [kept, other]


def test_pages_together_are_the_whole_list_newest_first(store: Store) -> None:
    rows = [
        _invoice(f"T{place}", number=number, team=f"T{place}")
        for place, number in enumerate((1, 2, 9999, 10000), start=1)
    ]
    newer = replace(_invoice("n", period=NOVEMBER), created_at=ISSUED_AT.replace(hour=9))
    _store(store, newer, *rows)

    assert [row.invoice_id for row in _paged(store)] == ["n", "T4", "T3", "T2", "T1"]


def test_what_one_close_wrote_is_listed_from_its_last_receiver_to_its_first(store: Store) -> None:
    """Numbers are given in the order of receivers, which is by code point on every store."""
    receivers = sorted(
        [
            *(Pair(team) for team in ("a", "B", "é", "zz", "ml", "ml-ops", "ml ops", "\U0001f600")),
            Pair("ml", "x"),
            Pair("ml", "Y"),
            *(Pair(user=user) for user in ("a", "B", "ü")),
        ]
    )
    rows = [
        replace(_invoice(f"{number % 5}{number}", number=number), receiver=receiver)
        for number, receiver in enumerate(receivers, start=9_995)
    ]
    first = replace(
        rows[3], invoice_id="1", invoice_number="INV-1", status=Status.CANCELLED, ordinal=1
    )
    last = replace(first, invoice_id="9", invoice_number="INV-2", ordinal=2)
    _store(store, *rows, first, last)

    rows[3:4] = sorted([rows[3], first, last], key=lambda row: row.invoice_id)
    assert _paged(store) == rows[::-1]


def test_a_list_holds_what_was_selected(store: Store) -> None:
    _store(store, _invoice("a"), _invoice("b", number=2, team="B"), _invoice("c", period=NOVEMBER))

    def ids(*conditions: sa.ColumnElement[bool]) -> list[str]:
        with store.read() as transaction:
            return [row.invoice_id for row in invoices.listed(transaction, *conditions, limit=9)]

    assert ids(*invoices.selected(period=OCTOBER)) == ["b", "a"]
    assert ids(*invoices.selected(team="A", status=Status.PENDING)) == ["c", "a"]
    assert ids(*invoices.selected(user="A")) == []


def test_numbers_go_on_where_they_were_left(store: Store) -> None:
    with store.begin() as transaction:
        assert invoices.last_number(transaction, OCTOBER) == 0
        invoices.give_out_numbers(transaction, OCTOBER, 3)
        assert invoices.last_number(transaction, OCTOBER) == 3
        assert invoices.peek_last_number(transaction, OCTOBER) == 3
        assert invoices.peek_last_number(transaction, NOVEMBER) == 0


def test_a_receiver_has_one_live_invoice_of_a_close(store: Store) -> None:
    set_state(store, OCTOBER, "closing")
    twin = replace(_invoice("twin", number=2), ordinal=1)

    with pytest.raises(sa.exc.IntegrityError), store.begin() as transaction:
        invoices.insert(transaction, [_invoice("one"), twin])


def test_the_lines_of_an_issued_invoice_cannot_be_changed(store: Store) -> None:
    _store(store, _invoice("one"))

    for change in (sa.update(invoice_line).values(line=7), sa.delete(invoice_line)):
        with pytest.raises(sa.exc.IntegrityError), store.begin() as transaction:
            transaction.execute(change)

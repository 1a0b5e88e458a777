"""Invoices against the bookings that they were built from, their cents, and their numbers."""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from chargeback_worker.invoicing.build import Closing, build
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    Status,
    invoice_id,
    invoice_number,
)
from chargeback_worker.money import NANO_PER_CENT, divide_half_even, plain
from chargeback_worker.period import billing_day, from_us
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.reports.verify.periods import snapshots_at
from chargeback_worker.store import bookings, closes, invoices, recount_books
from chargeback_worker.store.closes import Close

_HINT = "Issued invoices never change; compare with the messages of the invoices topic."
_NUMBERS = "Numbers are taken only by a close, one after the other; restore from a backup."


def arithmetic(found: Comparison) -> None:
    """Each invoice has the id that its facts give, a legal status, and adds up."""
    transaction = found.transaction
    legal = set(Status)
    for name, status in recount_books.statuses(transaction):
        if status not in legal:
            found.differ(f"{name}: status", "one of " + ", ".join(Status), status, _HINT)
    for lost in recount_books.lines_without_invoice(transaction):
        found.differ(f"lines of {lost}", "an invoice", "none", _HINT)
    for period in recount_books.invoice_periods(transaction):
        if found.period not in (None, period):
            continue
        with found.reading(f"the invoices of {period}"):
            for invoice in invoices.of_period(transaction, period):
                found.rows += 1
                _check_sums(found, invoice)


def numbers(found: Comparison) -> None:
    """The numbers of each month are 1, 2, 3 … to the last one given out, none twice."""
    transaction = found.transaction
    given_out = recount_books.numbers(transaction)
    last = recount_books.last_numbers(transaction)
    for period in sorted(given_out.keys() | last.keys()):
        if found.period not in (None, period):
            continue
        there = given_out.get(period, [])
        found.rows += len(there)
        due = [invoice_number(period, n) for n in range(1, last.get(period, 0) + 1)]
        for missing in sorted(set(due) - set(there)):
            found.differ(missing, "an invoice", "none has this number", _NUMBERS)
        for extra in sorted(set(there) - set(due)):
            found.differ(extra, f"a number up to {last.get(period, 0)}", "another one", _NUMBERS)


def rebuilt(found: Comparison) -> None:
    """Built again from its bookings, each close gives the same invoices, line by line."""
    done = closes.listed(found.transaction)
    for close in done:
        if found.period not in (None, close.period):
            continue
        with found.reading(f"the invoices of close {close.revision} of {close.period}"):
            _check_close(found, close)


def _check_sums(found: Comparison, invoice: Invoice) -> None:
    name = invoice.invoice_number
    expected = invoice_id(invoice.receiver, invoice.period, invoice.revision, invoice.ordinal)
    found.equal(f"{name}: id", expected, invoice.invoice_id, _HINT)
    lines = sum(line.total_price for line in invoice.lines)
    found.amounts(f"{name}: subtotal", lines, invoice.subtotal, _HINT)
    found.amounts(f"{name}: total", invoice.subtotal + invoice.tax, invoice.total, _HINT)
    places = [line.line for line in invoice.lines]
    found.equal(f"{name}: lines", [*range(1, len(places) + 1)], places, _HINT)


def _check_close(found: Comparison, close: Close) -> None:
    transaction = found.transaction
    booked = bookings.of_close(transaction, close.period, close.revision)
    found.rows += len(booked)
    origins = sorted({row.owed.origin for row in booked})
    snapshots = snapshots_at(found, close, origins)
    of_close = [
        invoice
        for invoice in invoices.of_period(transaction, close.period)
        if invoice.revision == close.revision
    ]
    _check_cents(found, close, of_close)
    if not {close.period, *origins} <= snapshots.keys():
        # The lost snapshot is named by its own check.
        return
    first = [invoice for invoice in of_close if invoice.ordinal == 0]
    issued_at = from_us(close.closed_us)
    others = set(origins) - {close.period}
    closing = Closing(
        period=close.period,
        revision=close.revision,
        snapshots=snapshots,
        originals=invoices.first_numbers(transaction, others),
        first_number=_first_number(close, first),
        issued_at=issued_at,
        issued_on=billing_day(issued_at, ZoneInfo(snapshots[close.period].timezone)),
    )
    books = build((row.owed for row in booked), closing)
    name = f"close {close.revision} of {close.period}"
    found.amounts(f"{name}: booked", books.booked, close.booked, _HINT)
    found.amounts(f"{name}: invoiced", books.subtotal, close.invoiced, _HINT)
    found.amounts(f"{name}: unallocated", books.unallocated, close.unallocated, _HINT)
    _compare(found, books.invoices, {invoice.receiver.key: invoice for invoice in first})


def _check_cents(found: Comparison, close: Close, of_close: Sequence[Invoice]) -> None:
    """Σ live invoices + uninvoiced + unallocated = what was booked, in cents."""
    last: dict[str, Invoice] = {}
    for invoice in sorted(of_close, key=lambda invoice: invoice.ordinal):
        last[invoice.receiver.key] = invoice
    billed = sum(invoice.subtotal for invoice in last.values())
    cents = divide_half_even(close.booked, NANO_PER_CENT) * NANO_PER_CENT
    name = f"close {close.revision} of {close.period}: invoices and unallocated"
    found.amounts(name, cents, billed + close.unallocated, _HINT)
    found.equal(
        f"close {close.revision} of {close.period}: invoices", close.invoices, len(last), _HINT
    )


def _first_number(close: Close, issued: Sequence[Invoice]) -> int:
    """Where the block of numbers of a close begins; whether there are gaps is another check."""
    found = [
        int(tail)
        for invoice in issued
        if (tail := invoice.invoice_number.rpartition("-")[2]).isdecimal()
    ]
    return min(found, default=1)


def _compare(found: Comparison, computed: Sequence[Invoice], stored: Mapping[str, Invoice]) -> None:
    left = dict(stored)
    for invoice in computed:
        there = left.pop(invoice.receiver.key, None)
        if there is None:
            name = f"invoice of {invoice.receiver.key} for {invoice.period}"
            found.differ(name, f"{plain(invoice.total)} USD", "no invoice", _HINT)
            continue
        name = there.invoice_number
        for what in ("invoice_number", "kind", "currency", "due_date", "created_at"):
            found.equal(f"{name}: {what}", getattr(invoice, what), getattr(there, what), _HINT)
        for what in ("subtotal", "tax", "total"):
            found.amounts(f"{name}: {what}", getattr(invoice, what), getattr(there, what), _HINT)
        _compare_lines(found, name, invoice.lines, there.lines)
    for receiver, invoice in left.items():
        found.differ(invoice.invoice_number, f"nothing booked for {receiver}", "an invoice", _HINT)


def _compare_lines(
    found: Comparison,
    name: str,
    computed: Sequence[InvoiceLine],
    stored: Sequence[InvoiceLine],
) -> None:
    found.equal(f"{name}: number of lines", len(computed), len(stored), _HINT)
    for line, there in zip(computed, stored, strict=False):
        for what in ("total_price", "exact"):
            expected, seen = getattr(line, what), getattr(there, what)
            found.amounts(f"{name}, line {line.line}: {what}", expected, seen, _HINT)
        # Not the description: its words may be others in another release.
        for what in ("kind", "key", "quantity", "unit_price", "allocation_id", "origin", "cause"):
            expected, seen = getattr(line, what), getattr(there, what)
            found.equal(f"{name}, line {line.line}: {what}", expected, seen, _HINT)
        found.equal(
            f"{name}, line {line.line}: original_invoice",
            line.original_invoice,
            there.original_invoice,
            _HINT,
        )

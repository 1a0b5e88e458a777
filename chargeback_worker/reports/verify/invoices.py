"""Invoices against the bookings that they were built from, their cents, and their numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Approval
from chargeback_worker.invoicing.build import Closing, Drafted, build
from chargeback_worker.invoicing.invoice import (
    ISSUED,
    Invoice,
    InvoiceLine,
    Status,
    invoice_id,
    invoice_number,
)
from chargeback_worker.invoicing.tax import tax_on
from chargeback_worker.money import NANO_PER_CENT, divide_half_even, plain
from chargeback_worker.period import Period, billing_day, from_us
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.reports.verify.periods import left_out, revisions_at, snapshot, snapshots_of
from chargeback_worker.store import bookings, closes, invoices, recount_books
from chargeback_worker.store.closes import Close
from chargeback_worker.store.originals import originals

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
    """The numbers of each month are 1, 2, 3 … to the last one given out, none twice.

    Those that a resume left out, as only the topic knew them, are no invoice's.
    """
    transaction = found.transaction
    void = left_out(found).numbers
    given_out = recount_books.numbers(transaction)
    last = recount_books.last_numbers(transaction)
    for period in sorted(given_out.keys() | last.keys()):
        if found.period not in (None, period):
            continue
        there = given_out.get(period, [])
        found.rows += len(there)
        not_due = {n for first, end in void.get(period, []) for n in range(first + 1, end + 1)}
        up_to = range(1, last.get(period, 0) + 1)
        due = [invoice_number(period, n) for n in up_to if n not in not_due]
        for missing in sorted(set(due) - set(there)):
            found.differ(missing, "an invoice", "none has this number", _NUMBERS)
        for extra in sorted(set(there) - set(due)):
            expected = f"a number up to {last.get(period, 0)} that is not void"
            found.differ(extra, expected, "another one", _NUMBERS)


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
    if all(line.tax_rate is not None for line in invoice.lines):
        found.amounts(f"{name}: tax", tax_on(invoice.lines), invoice.tax, _HINT)
    places = [line.line for line in invoice.lines]
    found.equal(f"{name}: lines", [*range(1, len(places) + 1)], places, _HINT)
    has_number = invoice.issued_at is not None
    may_have = {True: ISSUED, False: {Status.DRAFT, Status.CANCELLED}}[has_number]
    if invoice.status not in may_have:
        wanted = "issued" if not has_number else "no draft"
        found.differ(f"{name}: status", wanted, invoice.status, _HINT)
    paid = invoice.paid_date is not None
    found.equal(f"{name}: paid date", invoice.status is Status.PAID, paid, _HINT)
    due = has_number and invoice.total >= 0
    found.equal(f"{name}: due date", due, invoice.due_date is not None, _HINT)


def replaced(found: Comparison) -> None:
    """Each replacement bills what a cancelled invoice billed, line by line."""
    transaction = found.transaction
    for period in recount_books.invoice_periods(transaction):
        if found.period not in (None, period):
            continue
        with found.reading(f"the replacements of {period}"):
            before: dict[tuple[str, int], Invoice] = {}
            of_month = invoices.of_period(transaction, period)
            for invoice in sorted(of_month, key=lambda invoice: invoice.ordinal):
                if invoice.final:
                    place = (invoice.receiver.key, invoice.revision)
                    if place in before:
                        _check_replacement(found, before[place], invoice)
                    before[place] = invoice


def _check_replacement(found: Comparison, before: Invoice, invoice: Invoice) -> None:
    found.rows += 1
    name = invoice.invoice_number
    found.equal(f"{name}: ordinal", before.ordinal + 1, invoice.ordinal, _HINT)
    number = before.invoice_number if before.issued_at else None
    found.equal(f"{name}: replaces", number, invoice.replaces, _HINT)
    found.equal(f"{before.invoice_number}: status", Status.CANCELLED, before.status, _HINT)
    billed = [(line.key, line.origin, line.total_price, line.exact) for line in before.lines]
    bills = [(line.key, line.origin, line.total_price, line.exact) for line in invoice.lines]
    found.equal(f"{name}: what it bills", billed, bills, _HINT)


def _check_close(found: Comparison, close: Close) -> None:
    transaction = found.transaction
    booked = bookings.of_close(transaction, close.period, close.revision)
    found.rows += len(booked)
    origins = sorted({row.owed.origin for row in booked})
    revisions = revisions_at(found, close, origins)
    snapshots = snapshots_of(found, revisions)
    of_month = [row for row in invoices.of_period(transaction, close.period) if row.final]
    of_close = [invoice for invoice in of_month if invoice.revision == close.revision]
    _check_cents(found, close, of_close)
    if not {close.period, *origins} <= snapshots.keys():
        # The lost snapshot is named by its own check.
        return
    auto = snapshots[close.period].approval is Approval.AUTO
    first = _first_of_each(of_close)
    at = from_us(close.closed_us)
    closing = Closing(
        period=close.period,
        revision=close.revision,
        snapshots=snapshots,
        originals=originals(
            transaction,
            {of: revisions[of] for of in origins if of != close.period},
            (row.owed for row in booked),
        ),
        at=at,
        on=billing_day(at, ZoneInfo(snapshots[close.period].timezone)),
        first_number=_first_number(first.values()) if auto else None,
        earlier=invoices.earlier(transaction, close.period, close.revision),
        drafted={row.receiver: Drafted(row.ordinal, row.created_at) for row in first.values()},
    )
    books = build((row.owed for row in booked), closing)
    name = f"close {close.revision} of {close.period}"
    found.amounts(f"{name}: booked", books.booked, close.booked, _HINT)
    found.amounts(f"{name}: invoiced", books.subtotal, close.invoiced, _HINT)
    found.amounts(f"{name}: unallocated", books.unallocated, close.unallocated, _HINT)
    manual = frozenset(
        period for period, revision in revisions.items() if _by_hand(found, period, revision)
    )
    known = Known(_replacements(of_month), not auto, manual)
    _compare(found, books.invoices, first, known)


def _by_hand(found: Comparison, period: Period, revision: int) -> bool:
    """Whether a close of a month, up to that one, left its invoices to be approved."""
    decided = (snapshot(found, period, number) for number in range(1, revision + 1))
    return any(each is not None and each.approval is Approval.MANUAL for each in decided)


def _replacements(of_month: Sequence[Invoice]) -> frozenset[str]:
    """The numbers of those that took the place of others, drafts among them, that had none."""
    first: dict[tuple[Pair, int], int] = {}
    for row in of_month:
        place = (row.receiver, row.revision)
        first[place] = min(row.ordinal, first.get(place, row.ordinal))
    return frozenset(
        row.invoice_number for row in of_month if row.ordinal > first[row.receiver, row.revision]
    )


class Known(NamedTuple):
    """What may have come after a close: numbers of replacements, all of its own where they were
    approved by hand, and the first one in months of which that was ever so."""

    replacements: frozenset[str]
    by_hand: bool
    manual: frozenset[Period]


def _first_of_each(of_close: Iterable[Invoice]) -> dict[str, Invoice]:
    """What the close itself wrote, by receiver; later ones replace it."""
    first: dict[str, Invoice] = {}
    for invoice in sorted(of_close, key=lambda invoice: invoice.ordinal):
        first.setdefault(invoice.receiver.key, invoice)
    return first


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


def _first_number(issued: Iterable[Invoice]) -> int:
    """Where the block of numbers of a close begins; whether there are gaps is another check."""
    found = [
        int(tail)
        for invoice in issued
        if (tail := invoice.invoice_number.rpartition("-")[2]).isdecimal()
    ]
    return min(found, default=1)


def _compare(
    found: Comparison,
    computed: Sequence[Invoice],
    stored: Mapping[str, Invoice],
    known: Known,
) -> None:
    left = dict(stored)
    for invoice in computed:
        there = left.pop(invoice.receiver.key, None)
        if there is None:
            name = f"invoice of {invoice.receiver.key} for {invoice.period}"
            found.differ(name, f"{plain(invoice.total)} USD", "no invoice", _HINT)
            continue
        name = there.invoice_number
        facts = ["kind", "currency"]
        if not known.by_hand:
            facts += ["invoice_number", "due_date", "issued_at"]
        for what in facts:
            found.equal(f"{name}: {what}", getattr(invoice, what), getattr(there, what), _HINT)
        for what in ("subtotal", "tax", "total"):
            found.amounts(f"{name}: {what}", getattr(invoice, what), getattr(there, what), _HINT)
        not_there = set(invoice.references) - set(there.references) - known.replacements
        expected = sorted({*there.references, *not_there} & set(invoice.references))
        found.equal(f"{name}: references", expected, sorted(there.references), _HINT)
        _compare_lines(found, invoice.lines, there, known)
    for receiver, invoice in left.items():
        found.differ(invoice.invoice_number, f"nothing booked for {receiver}", "an invoice", _HINT)


# Not the description: its words may be others in another release.
_FACTS_OF_LINE = (
    "kind",
    "key",
    "quantity",
    "unit_price",
    "allocation_id",
    "origin",
    "cause",
    "original_invoice",
    "tax_rate",
)


def _compare_lines(
    found: Comparison, computed: Sequence[InvoiceLine], invoice: Invoice, known: Known
) -> None:
    name, stored = invoice.invoice_number, invoice.lines
    found.equal(f"{name}: number of lines", len(computed), len(stored), _HINT)
    for line, there in zip(computed, stored, strict=False):
        for what in ("total_price", "exact"):
            expected, seen = getattr(line, what), getattr(there, what)
            found.amounts(f"{name}, line {line.line}: {what}", expected, seen, _HINT)
        for what in _FACTS_OF_LINE:
            expected, seen = getattr(line, what), getattr(there, what)
            if seen is None and _may_lack(what, line, known):
                continue
            found.equal(f"{name}, line {line.line}: {what}", expected, seen, _HINT)


def _may_lack(what: str, line: InvoiceLine, known: Known) -> bool:
    """The first releases wrote no rates; what is approved by hand gets its number later."""
    return what == "tax_rate" or (what == "original_invoice" and line.origin in known.manual)

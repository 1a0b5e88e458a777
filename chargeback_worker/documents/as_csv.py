"""CSV by RFC 4180, in UTF-8: a row for each line, then the sums, told apart by the column `row`.

Numbers are plain and have all their digits; texts are as they are stored, but none is a formula.
Every row says whose invoice it is, so that several files can be put below each other.
"""

import csv
import io
from collections.abc import Iterator
from datetime import date
from fractions import Fraction

from chargeback_worker.documents.facts import Facts
from chargeback_worker.documents.spreadsheet import as_text
from chargeback_worker.documents.view import View
from chargeback_worker.invoicing.invoice import InvoiceLine
from chargeback_worker.invoicing.tax import tax_by_rate
from chargeback_worker.money import NANO, divide_half_even, fixed, plain

_INVOICE = (
    "invoice_number",
    "invoice_id",
    "invoice_kind",
    "status",
    "issuer",
    "receiver",
    "receiver_name",
    "cost_centre",
    "period",
    "issued",
    "due",
    "paid",
    "replaces",
    "references",
    "currency",
)
_LINE = (
    "line",
    "kind",
    "description",
    "team_id",
    "user_id",
    "resource_type",
    "rule",
    "share",
    "quantity",
    "unit_price",
    "exact",
    "amount",
    "tax_rate",
    "origin_period",
    "cause",
    "original_invoice",
    "allocation_id",
)
_NUMBERS = frozenset({"line", "share", "quantity", "unit_price", "exact", "amount", "tax_rate"})
"""Cells that may begin with a minus."""
COLUMNS = ("row", *_INVOICE, *_LINE)

Cell = str | int | None
Row = dict[str, Cell]


def render(view: View) -> bytes:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, restval="")
    writer.writeheader()
    about = _about(view)
    for row in _rows(view):
        writer.writerow({name: _cell(name, of) for name, of in {**about, **row}.items()})
    return buffer.getvalue().encode("utf-8", "replace")


def _cell(column: str, value: Cell) -> Cell:
    return as_text(value) if isinstance(value, str) and column not in _NUMBERS else value


def _about(view: View) -> dict[str, str]:
    facts, invoice, people = view.facts, view.facts.invoice, view.facts.people
    team, user = invoice.receiver.team, invoice.receiver.user
    name = people.users.get(user or "") or people.teams.get(team or "") or ""
    return {
        "invoice_number": invoice.invoice_number,
        "invoice_id": invoice.invoice_id,
        "invoice_kind": invoice.kind,
        "status": invoice.status,
        "issuer": facts.look.issuer,
        "receiver": invoice.receiver.key,
        "receiver_name": name,
        "cost_centre": people.cost_centre or "",
        "period": str(invoice.period),
        "issued": _day(facts.issued_on),
        "due": _day(invoice.due_date),
        "paid": _day(invoice.paid_date),
        "replaces": invoice.replaces or "",
        "references": " ".join(invoice.references),
        "currency": invoice.currency,
    }


def _day(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _rows(view: View) -> Iterator[Row]:
    """Lines in the order of the other documents, and all that is summed below them."""
    facts, invoice = view.facts, view.facts.invoice
    by_number = {str(line.line): line for line in invoice.lines}
    for group in view.groups:
        lines = [by_number[row.number] for row in group.rows]
        for line in lines:
            yield {"row": "line", **_line(facts, line)}
        exact = sum(line.exact for line in lines)
        yield _sum("group", group.nano, exact, description=group.label)
    exact = sum(line.exact for line in invoice.lines)
    yield _sum("subtotal", invoice.subtotal, exact)
    for taxed in tax_by_rate(invoice.lines):
        yield _sum("tax", taxed.tax, tax_rate=plain(taxed.rate))
    yield _sum("tax_total", invoice.tax)
    yield _sum("total", invoice.total)
    if facts.closed is not None:
        closed = facts.closed
        yield _sum("period_booked", closed.invoiced + closed.unallocated, closed.booked)
        yield _sum("period_this_invoice", invoice.subtotal)
        yield _sum("period_other_invoices", closed.invoiced - invoice.subtotal)
        yield _sum("period_unallocated", closed.unallocated)


def _nano(share: Fraction) -> int:
    return divide_half_even(share.numerator * NANO, share.denominator)


def _sum(row: str, amount: int, exact: int | None = None, **more: Cell) -> Row:
    return {
        "row": row,
        "exact": None if exact is None else fixed(exact),
        "amount": fixed(amount, 2),
        **more,
    }


def _line(facts: Facts, line: InvoiceLine) -> Row:
    key, share = line.key, facts.shares.get((line.allocation_id, line.key.resource_type))
    return {
        "line": line.line,
        "kind": line.kind,
        "description": line.description,
        "team_id": key.pair.team or "",
        "user_id": key.pair.user or "",
        "resource_type": key.resource_type,
        "rule": key.cited,
        # A fraction such as 1/3 would be read as a day.
        "share": None if share is None else plain(_nano(share)),
        "quantity": None if line.quantity is None else plain(line.quantity),
        "unit_price": None if line.unit_price is None else plain(line.unit_price),
        "exact": fixed(line.exact),
        "amount": fixed(line.total_price, 2),
        "tax_rate": None if line.tax_rate is None else plain(line.tax_rate),
        "origin_period": str(line.origin),
        "cause": line.cause,
        "original_invoice": line.original_invoice,
        "allocation_id": line.allocation_id,
    }

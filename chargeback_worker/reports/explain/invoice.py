"""An invoice explained: all its lines, or one of them down to the usage ids."""

from collections.abc import Sequence
from typing import Any

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.errors import NotFound
from chargeback_worker.invoicing.document import Amount, Document, invoice_document
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine
from chargeback_worker.period import Period
from chargeback_worker.reports.explain.pages import Asked, read_line
from chargeback_worker.reports.explain.settled import Decided, decided
from chargeback_worker.reports.explain.steps import Line, rule_document, settlement
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.store import Store, Transaction, invoices
from chargeback_worker.store.history import ClosePlace

_FACTS = (
    "invoice_id",
    "invoice_number",
    "kind",
    "status",
    "receiver",
    "period",
    "revision",
    "currency",
)


class LineUnknown(NotFound):
    """`lines` is how many there are of it."""

    def __init__(self, of: str, line: int, lines: int, see: str) -> None:
        has = "no lines" if not lines else "1 line" if lines == 1 else f"lines 1 to {lines}"
        super().__init__(f"{of} has {has}, so there is no line {line}.", f"See them: {see}")


def explain_invoice(
    store: Store,
    name: str,
    terms: Snapshot,
    *,
    line: int | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Document:
    """An invoice by its number or id: its lines with their rules in words, or one line in full.

    `terms` are the settings of now, for a month that is not closed yet; `limit` the rows of a step;
    `cursor` continues. Raises InvoiceUnknown, LineUnknown or UnknownPlace.
    """
    with store.read() as transaction:
        found = invoices.get(transaction, name)
        if line is None:
            return _lines(transaction, found, terms, limit=limit, cursor=cursor)
        if not 1 <= line <= len(found.lines):
            see = f"chargeback explain {found.invoice_number}"
            raise LineUnknown(found.invoice_number, line, len(found.lines), see)
        asked = Asked.read(limit, cursor)
        return _one_line(transaction, found, found.lines[line - 1], terms, asked)


def _lines(
    transaction: Transaction, found: Invoice, terms: Snapshot, *, limit: int, cursor: str | None
) -> Document:
    after, limit = read_line(cursor), min(limit, PAGE_MAX)
    page = found.lines[after : after + limit]
    by_origin: dict[Period, Decided] = {}
    documents = _line_documents(found)
    rows = []
    for line in page:
        if line.origin not in by_origin:
            by_origin[line.origin] = _decided(transaction, found, line, terms)
        rule = rule_document(by_origin[line.origin], line.key)
        document = documents[line.line - 1]
        rows.append(document | {"rounding_usd": _rounding(line), "in_words": rule["in_words"]})
    more = after + limit < len(found.lines)
    return {
        "explanation": {
            "invoice": _facts(found),
            "lines": rows,
            "not_shown": _sums_of([*found.lines[:after], *found.lines[after + limit :]]),
            "sums": _sums_of(found.lines)
            | {
                "subtotal_usd": Amount(found.subtotal),
                "tax_usd": Amount(found.tax),
                "total_usd": Amount(found.total),
            },
        },
        "next_cursor": str(page[-1].line) if more else None,
    }


def _one_line(
    transaction: Transaction, found: Invoice, line: InvoiceLine, terms: Snapshot, asked: Asked
) -> Document:
    by = _decided(transaction, found, line, terms)
    steps, next_cursor = settlement(transaction, by, Line(line.key, line.exact), asked)
    return {
        "explanation": {
            "invoice": _facts(found),
            "line": _line_documents(found)[line.line - 1] | {"rounding_usd": _rounding(line)},
            "rule": rule_document(by, line.key),
            "settlement": steps,
        },
        "next_cursor": next_cursor,
    }


def _decided(
    transaction: Transaction, found: Invoice, line: InvoiceLine, terms: Snapshot
) -> Decided:
    place = ClosePlace(found.period, found.revision)
    return decided(transaction, place, line.origin, terms)


def _facts(found: Invoice) -> Document:
    document = invoice_document(found)
    return {name: document[name] for name in _FACTS}


def _line_documents(found: Invoice) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = invoice_document(found)["line_items"]
    return documents


def _sums_of(lines: Sequence[InvoiceLine]) -> Document:
    """exact_usd + rounding_usd = total_price."""
    exact = sum(line.exact for line in lines)
    price = sum(line.total_price for line in lines)
    return {
        "lines": len(lines),
        "exact_usd": Amount(exact),
        "rounding_usd": Amount(price - exact),
        "total_price": Amount(price),
    }


def _rounding(line: InvoiceLine) -> Amount:
    return Amount(line.total_price - line.exact)

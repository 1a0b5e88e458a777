"""Invoices as they stand: a page of them, or one by its number or id."""

from chargeback_worker.errors import Invalid
from chargeback_worker.invoicing.document import Document, invoice_document
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.period import Period
from chargeback_worker.reports.pages import PAGE_MAX, read, written
from chargeback_worker.store import Store, invoices
from chargeback_worker.store.invoice_order import InvoicePlace, place_of


class UnknownStatus(Invalid):
    def __init__(self, status: str) -> None:
        super().__init__(f"{status!r} is no status of an invoice.", f"One of: {', '.join(Status)}.")


def read_status(text: str) -> Status:
    """Raises UnknownStatus."""
    try:
        return Status(text)
    except ValueError:
        raise UnknownStatus(text) from None


def list_invoices(
    store: Store,
    *,
    period: Period | None = None,
    status: str | None = None,
    team: str | None = None,
    user: str | None = None,
    limit: int = 200,
    cursor: str | None = None,
) -> Document:
    """Newest first; `team` and `user` are the receiver's; `cursor` continues.

    Raises UnknownStatus or UnknownPlace.
    """
    page, next_cursor = find_invoices(
        store, period=period, status=status, team=team, user=user, limit=limit, cursor=cursor
    )
    return {"invoices": [invoice_document(row) for row in page], "next_cursor": next_cursor}


def find_invoices(
    store: Store,
    *,
    period: Period | None = None,
    status: str | None = None,
    team: str | None = None,
    user: str | None = None,
    limit: int = 200,
    cursor: str | None = None,
) -> tuple[list[Invoice], str | None]:
    """The same as values, with what continues the list."""
    wanted_status = None if status is None else read_status(status)
    limit = min(limit, PAGE_MAX)
    wanted = invoices.selected(period=period, status=wanted_status, team=team, user=user)
    after = None if cursor is None else read(cursor, InvoicePlace, of="invoices")
    with store.read() as transaction:
        rows = invoices.listed(transaction, *wanted, limit=limit + 1, after=after)
    page = rows[:limit]
    return page, written(place_of(page[-1])) if len(rows) > limit else None


def show_invoice(store: Store, name: str) -> Document:
    """One by its number or id. Raises InvoiceUnknown."""
    return {"invoice": invoice_document(get_invoice(store, name))}


def get_invoice(store: Store, name: str) -> Invoice:
    """The same as a value."""
    with store.read() as transaction:
        return invoices.get(transaction, name)

"""Whose messages wait to be published, since when, and why the broker refuses some."""

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import format_us
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.store import Store, parked
from chargeback_worker.store.parked import WaitingKey


def list_waiting(
    store: Store, *, only_parked: bool = False, limit: int = 200, cursor: str | None = None
) -> Document:
    """By receiver, each with its first message; `cursor` continues."""
    limit = min(limit, PAGE_MAX)
    with store.read() as transaction:
        rows = parked.listed(transaction, parked=only_parked, limit=limit + 1, after=cursor)
    page = rows[:limit]
    return {
        "outbox": [_document(row) for row in page],
        "next_cursor": page[-1].key if len(rows) > limit else None,
    }


def refusal_of(store: Store, invoice_id: str) -> str | None:
    """Why a message of an invoice waits, where the broker refuses it or one that is before it."""
    with store.read() as transaction:
        return parked.refusal(transaction, invoice_id)


def _document(row: WaitingKey) -> Document:
    return {
        "receiver": row.key,
        "state": "waiting" if row.reason is None else "parked",
        "messages": row.messages,
        "reason": row.reason,
        "type": row.type.value,
        "invoice_number": row.invoice_number,
        "period": str(row.period),
        "revision": row.revision,
        "ce_id": row.ce_id,
        "seq": row.seq,
        "size_bytes": row.size_bytes,
        "created_at": format_us(row.created_us),
    }

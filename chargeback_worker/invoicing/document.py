"""The form that others read: documents, and the one encoder of all JSON that leaves the project.

Amounts and quantities are JSON numbers with their exact decimal digits, always plain. A document
is written with its keys in a fixed order, and encoded in that order: the same facts, the same
bytes.
"""

from typing import Any

import msgspec

from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine
from chargeback_worker.money import plain

Document = dict[str, Any]


class Amount:
    """Nano-dollars, or a quantity in 10**-9, on its way into JSON.

    No dataclass, tuple or int, which msgspec would encode in its own way.
    """

    __slots__ = ("nano",)

    def __init__(self, nano: int) -> None:
        self.nano = nano

    def __repr__(self) -> str:
        return f"Amount({plain(self.nano)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Amount) and self.nano == other.nano

    def __hash__(self) -> int:
        return hash(self.nano)


def encode(document: object) -> bytes:
    """JSON bytes. Times must be aware; they are written in RFC 3339, UTC with `Z`."""
    return _ENCODER.encode(document)


def invoice_document(invoice: Invoice) -> Document:
    """An invoice as every door shows it and as the invoices topic carries it."""
    days = invoice.period.days()
    return {
        "invoice_id": invoice.invoice_id,
        "invoice_number": invoice.invoice_number,
        "kind": invoice.kind,
        "status": invoice.status,
        "receiver": invoice.receiver.key,
        "team_id": invoice.receiver.team,
        "user_id": invoice.receiver.user,
        "period": str(invoice.period),
        "period_start": days.start,
        "period_end": days.end,
        "revision": invoice.revision,
        "currency": invoice.currency,
        "line_items": [_line_document(line) for line in invoice.lines],
        "subtotal_usd": Amount(invoice.subtotal),
        "tax_usd": Amount(invoice.tax),
        "total_usd": Amount(invoice.total),
        "issued_at": invoice.issued_at,
        "due_date": invoice.due_date,
        "paid_date": invoice.paid_date,
        "published_at": invoice.published_at,
        "references": invoice.references,
        "replaces": invoice.replaces,
        "created_at": invoice.created_at,
        "updated_at": invoice.updated_at,
        "metadata": invoice.metadata,
    }


def _line_document(line: InvoiceLine) -> Document:
    metadata: Document = {"team_id": line.key.pair.team, "user_id": line.key.pair.user}
    if line.tax_rate is not None:
        metadata["tax_rate"] = Amount(line.tax_rate)
    if line.cause is not None:
        metadata["origin_period"] = str(line.origin)
        metadata["cause"] = line.cause
        metadata["original_invoice"] = line.original_invoice
    return {
        "line": line.line,
        "kind": line.kind,
        "description": line.description,
        "resource_type": line.key.resource_type,
        "quantity": _optional(line.quantity),
        "unit_price": _optional(line.unit_price),
        "total_price": Amount(line.total_price),
        "exact_usd": Amount(line.exact),
        "allocation_id": line.allocation_id,
        "rule": line.key.cited,
        "metadata": metadata,
    }


def _optional(nano: int | None) -> Amount | None:
    return None if nano is None else Amount(nano)


def _enc_hook(value: object) -> object:
    if isinstance(value, Amount):
        return msgspec.Raw(plain(value.nano).encode())
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_enc_hook)

"""Messages of the invoices topic: CloudEvents 1.0 in binary mode, frozen when they are written.

`seq` counts from 1 per key, so a reader sees a gap; `ce_id` is stable, so a reader knows a repeat.
Of two messages that tell of the same invoice or close, the one with the higher `seq` holds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chargeback_worker.invoicing.document import Amount, Document, encode, invoice_document
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.period import Period, format_us, to_us

SOURCE = "/chargeback"
CONTENT_TYPE = "application/json"
_SEQ = re.compile("[0-9]{1,18}")


class MessageType(StrEnum):
    INVOICE_ISSUED = "chargeback.invoice.issued.v1"
    INVOICE_STATUS_CHANGED = "chargeback.invoice.status_changed.v1"
    PERIOD_CLOSED = "chargeback.period.closed.v1"


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message with its final bytes; headers are texts, encoded as UTF-8 when sent."""

    ce_id: str
    key: str
    seq: int
    type: MessageType
    headers: tuple[tuple[str, str], ...]
    payload: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """What the headers of a message on the topic say of it; `invoice_id` is None of a close."""

    ce_id: str
    seq: int
    invoice_id: str | None


@dataclass(frozen=True, slots=True)
class PeriodClosed:
    """What is said of a close once all its invoices are out; amounts are nano-dollars."""

    period: Period
    revision: int
    invoices: int
    subtotal: int
    uninvoiced: int
    unallocated: int
    awaiting_approval: int
    closed_at: datetime

    def to_document(self) -> Document:
        return {
            "period": str(self.period),
            "revision": self.revision,
            "invoices": self.invoices,
            "subtotal_usd": Amount(self.subtotal),
            "uninvoiced_usd": Amount(self.uninvoiced),
            "unallocated_usd": Amount(self.unallocated),
            "awaiting_approval": self.awaiting_approval,
            "closed_at": self.closed_at,
        }


def issued(invoice: Invoice, seq: int, now: datetime) -> OutboxMessage:
    """Its arrival is what makes an invoice `sent`, so it says so already."""
    sent = invoice_document(invoice) | {"status": Status.SENT, "published_at": None}
    return _of_invoice(MessageType.INVOICE_ISSUED, invoice, seq, now, sent)


def status_changed(invoice: Invoice, seq: int, now: datetime) -> OutboxMessage:
    changed = invoice_document(invoice)
    return _of_invoice(MessageType.INVOICE_STATUS_CHANGED, invoice, seq, now, changed)


def period_closed(closed: PeriodClosed, seq: int) -> OutboxMessage:
    """The key is the period, so its closes count `seq`, as its revisions do."""
    return _message(
        MessageType.PERIOD_CLOSED,
        ce_id=closed_id(closed.period, closed.revision, seq),
        key=str(closed.period),
        seq=seq,
        now=closed.closed_at,
        document=closed.to_document(),
    )


def closed_id(period: Period, revision: int, seq: int) -> str:
    """The `ce_id` of what is said of a close.

    Revision and `seq` differ only where closes were told of that these books do not know, as they
    came from a backup: then the id names both, so that it is not that of the close told of before.
    """
    ce_id = f"{period}:{revision}"
    return ce_id if seq == revision else f"{ce_id}:{seq}"


def told(headers: Iterable[tuple[str, bytes | None]]) -> Told | None:
    """What a message says of itself; None of one that was not written by a chargeback worker."""
    texts = {name: (value or b"").decode(errors="replace") for name, value in headers}
    ce_id, seq = texts.get("ce_id", ""), texts.get("seq", "")
    if texts.get("ce_source") != SOURCE or not _SEQ.fullmatch(seq):
        return None
    of_invoice = texts.get("ce_type") != MessageType.PERIOD_CLOSED
    return Told(ce_id, int(seq), ce_id.rpartition(":")[0] if of_invoice else None)


def _of_invoice(
    type_: MessageType, invoice: Invoice, seq: int, now: datetime, document: Document
) -> OutboxMessage:
    return _message(
        type_,
        ce_id=f"{invoice.invoice_id}:{seq}",
        key=invoice.receiver.key,
        seq=seq,
        now=now,
        document=document,
    )


def _message(
    type_: MessageType, *, ce_id: str, key: str, seq: int, now: datetime, document: Document
) -> OutboxMessage:
    headers = (
        ("ce_specversion", "1.0"),
        ("ce_id", ce_id),
        ("ce_type", type_.value),
        ("ce_source", SOURCE),
        ("ce_time", format_us(to_us(now))),
        ("content-type", CONTENT_TYPE),
        ("seq", str(seq)),
    )
    return OutboxMessage(ce_id, key, seq, type_, headers, encode(document))

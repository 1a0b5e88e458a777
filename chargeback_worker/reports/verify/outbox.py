"""Messages against the invoices and closes that they tell of."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from chargeback_worker.allocation.snapshot import Approval
from chargeback_worker.invoicing.document import Document, encode, invoice_document
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.invoicing.message import MessageType, closed_id
from chargeback_worker.money import plain
from chargeback_worker.period import Period
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.reports.verify.periods import left_out, snapshot
from chargeback_worker.store import closes, invoices, recount_books
from chargeback_worker.store.closes import Close

_HINT = "Messages are written once, with what they tell of; restore the outbox from a backup."
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def told(found: Comparison) -> None:
    """Each issued invoice and each close has its message, and the message says the same."""
    transaction = found.transaction
    for period in _periods(found):
        with found.reading(f"the invoices of {period}"):
            issued = {
                invoice.invoice_id: invoice
                for invoice in invoices.of_period(transaction, period)
                if invoice.issued_at is not None
            }
            done = {
                close.revision: close
                for close in closes.listed(transaction)
                if close.period == period
            }
            _check_period(found, period, issued, done)


def order(found: Comparison) -> None:
    """The messages of each key are numbered 1, 2, 3 …, and were published in that order.

    What a resume left out, as only the topic knew it, is not missed.
    """
    given_out = recount_books.last_seqs(found.transaction)
    gaps = {key: dict(raised) for key, raised in left_out(found).seqs.items()}
    reached: dict[str, int] = {}
    waiting: set[str] = set()
    for key, seq, published in recount_books.places_in_keys(found.transaction):
        found.rows += 1
        before = _past(gaps.get(key, {}), reached.get(key, 0))
        found.equal(f"messages to {key}: seq", before + 1, seq, _HINT)
        reached[key] = seq
        if not published:
            waiting.add(key)
        elif key in waiting:
            name = f"message {seq} to {key}"
            found.differ(name, "not published before those ahead", "published", _HINT)
    for key in sorted(given_out.keys() | reached.keys()):
        last = _past(gaps.get(key, {}), reached.get(key, 0))
        found.equal(f"messages to {key}", given_out.get(key, 0), last, _HINT)


def _past(gaps: Mapping[int, int], seq: int) -> int:
    """The last `seq` before the next one that is due."""
    while seq < (end := gaps.get(seq, seq)):
        seq = end
    return seq


def _periods(found: Comparison) -> list[Period]:
    with_invoices = recount_books.invoice_periods(found.transaction)
    closed = [close.period for close in closes.listed(found.transaction)]
    known = {*with_invoices, *closed}
    return sorted(known if found.period is None else known & {found.period})


def _check_period(
    found: Comparison,
    period: Period,
    issued: Mapping[str, Invoice],
    done: Mapping[int, Close],
) -> None:
    untold, unannounced = dict(issued), dict(done)
    last_change: dict[str, Any] = {}
    waiting: set[int] = set()
    announced: dict[int, Any] = {}
    for row in recount_books.messages(found.transaction, period):
        found.rows += 1
        invoice = issued.get(row.invoice_id)
        if row.type == MessageType.INVOICE_ISSUED:
            untold.pop(row.invoice_id, None)
            _check_issued(found, row, invoice)
            # What is issued after the announcement is not waited for.
            if row.published_us is None and row.revision not in announced:
                waiting.add(row.revision)
        elif row.type == MessageType.INVOICE_STATUS_CHANGED:
            last_change[row.invoice_id] = row
            _check_changed(found, row, invoice)
        elif row.type == MessageType.PERIOD_CLOSED:
            announced[row.revision] = row
            _check_closed(found, row, unannounced.pop(row.revision, None))
    for invoice in untold.values():
        found.differ(f"{invoice.invoice_number}: message", "an issued message", "none", _HINT)
    for invoice in issued.values():
        _check_last_told(found, invoice, last_change.get(invoice.invoice_id))
    for revision in unannounced:
        found.differ(f"close {revision} of {period}: message", "a closed message", "none", _HINT)
    for revision in waiting & {number for number, row in announced.items() if row.published_us}:
        name = f"close {revision} of {period}: message"
        found.differ(name, "not published before all its invoices", "published", _HINT)


def _check_issued(found: Comparison, row: Any, invoice: Invoice | None) -> None:
    name = f"message {row.ce_id}"
    if invoice is None:
        found.differ(name, "an issued invoice it tells of", "none", _HINT)
        return
    name = f"message of {invoice.invoice_number}"
    found.equal(f"{name}: id", f"{invoice.invoice_id}:{row.seq}", row.ce_id, _HINT)
    found.equal(f"{name}: key", invoice.receiver.key, row.key, _HINT)
    # As it was when it was issued; what happened to it since is told by later messages.
    then = replace(
        invoice,
        status=Status.SENT,
        published_at=None,
        paid_date=None,
        updated_at=invoice.issued_at or invoice.created_at,
    )
    _compare(found, name, invoice_document(then), bytes(row.payload))
    arrived = row.published_us is not None
    found.equal(f"{name}: published", arrived, invoice.published_at is not None, _HINT)
    if arrived and invoice.status is Status.PENDING:
        found.differ(f"{invoice.invoice_number}: status", "sent, as it was published", "pending")


def _check_changed(found: Comparison, row: Any, invoice: Invoice | None) -> None:
    name = f"message {row.ce_id}"
    if invoice is None:
        found.differ(name, "an issued invoice it tells of", "none", _HINT)
        return
    found.equal(f"{name}: id", f"{invoice.invoice_id}:{row.seq}", row.ce_id, _HINT)
    found.equal(f"{name}: key", invoice.receiver.key, row.key, _HINT)
    said = _read(found, name, bytes(row.payload))
    if said is None:
        return
    computed = _decode(encode(invoice_document(invoice)))
    for field in sorted(_REQUIRED):
        found.equal(f"{name}: {field}", computed[field], said.get(field), _HINT)


def _check_last_told(found: Comparison, invoice: Invoice, row: Any) -> None:
    """Whoever reads on knows the status: of the issued message, or of the last change."""
    name = f"messages of {invoice.invoice_number}: status"
    told: object = Status.SENT.value
    if row is not None:
        said = _read(found, name, bytes(row.payload)) or {}
        told = said.get("status")
    now = Status.SENT if invoice.status is Status.PENDING else invoice.status
    found.equal(name, now.value, told, _HINT)


def _check_closed(found: Comparison, row: Any, close: Close | None) -> None:
    if close is None:
        found.differ(f"message {row.ce_id}", "a close it tells of", "none", _HINT)
        return
    name = f"message of close {close.revision} of {close.period}"
    expected = closed_id(close.period, close.revision, row.seq)
    found.equal(f"{name}: id", expected, row.ce_id, _HINT)
    said = _read(found, name, bytes(row.payload))
    if said is None:
        return
    found.equal(f"{name}: invoices", close.invoices, said.get("invoices"), _HINT)
    decided = snapshot(found, close.period, close.revision)
    manual = decided is not None and decided.approval is Approval.MANUAL
    awaiting = close.invoices if manual else 0
    found.equal(f"{name}: awaiting_approval", awaiting, said.get("awaiting_approval"), _HINT)
    for what, amount in (("subtotal_usd", close.invoiced), ("unallocated_usd", close.unallocated)):
        found.equal(f"{name}: {what}", Decimal(plain(amount)), said.get(what), _HINT)


def _compare(found: Comparison, name: str, expected: Document, payload: bytes) -> None:
    """Byte by byte, and where these differ, field by field."""
    computed = encode(expected)
    if computed == payload:
        return
    said = _read(found, name, payload)
    if said is None:
        return
    right = _decode(computed)
    # A field that another release has added or left out is no mismatch; one that says otherwise is.
    differing = [field for field in right.keys() & said.keys() if right[field] != said[field]]
    for field in sorted(differing):
        found.differ(f"{name}: {field}", right[field], said[field], _HINT)
    if right.keys() == said.keys() and not differing:
        found.differ(name, "the bytes that were written", "others of the same meaning", _HINT)
    for field in sorted(_REQUIRED - said.keys()):
        found.differ(f"{name}: {field}", right.get(field), "nothing", _HINT)


_REQUIRED = {"invoice_id", "invoice_number", "receiver", "line_items", "subtotal_usd", "total_usd"}


def _read(found: Comparison, name: str, payload: bytes) -> dict[str, Any] | None:
    try:
        said = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = None
    if not isinstance(said, dict):
        found.differ(name, "a JSON object", "bytes that cannot be read", _HINT)
        return None
    return said

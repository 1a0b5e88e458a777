"""Issuing one draft of a closed month, and telling of what its life changes later."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from chargeback_worker.invoicing import life, message
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.invoicing.message import OutboxMessage
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.closing.held import refuse_held
from chargeback_worker.store import Transaction, invoices, outbox


def issue(
    transaction: Transaction, draft: Invoice, *, at: datetime, on: date, days_to_pay: int
) -> Invoice:
    """Give a stored draft its number, its due date and its message; `on` is the day of `at`.

    Raises BooksHeld.
    """
    refuse_held(transaction)
    number = invoices.last_number(transaction, draft.period) + 1
    invoices.give_out_numbers(transaction, draft.period, 1)
    issued = life.issued(draft, number, at=at, on=on, days_to_pay=days_to_pay)
    invoices.update(transaction, issued)
    seq = outbox.next_seqs(transaction, [issued.receiver.key])[issued.receiver.key]
    told = message.issued(issued, seq, at)
    outbox.insert(
        transaction, issued.period, issued.revision, [(told, issued.invoice_id)], to_us(at)
    )
    return issued


def tell(transaction: Transaction, changed: Sequence[Invoice], at: datetime) -> None:
    """Messages that those invoices, stored so already, have another status now.

    Raises BooksHeld.
    """
    left = list(changed)
    if left:
        refuse_held(transaction)
    while left:
        # One of each receiver at a time: they share a sequence.
        first = {invoice.receiver.key: invoice for invoice in reversed(left)}
        seqs = outbox.next_seqs(transaction, first)
        told = defaultdict[tuple[Period, int], list[tuple[OutboxMessage, str]]](list)
        for key, invoice in sorted(first.items()):
            row = (message.status_changed(invoice, seqs[key], at), invoice.invoice_id)
            told[invoice.period, invoice.revision].append(row)
        for (period, revision), rows in told.items():
            outbox.insert(transaction, period, revision, rows, to_us(at))
        taken = {invoice.invoice_id for invoice in first.values()}
        left = [invoice for invoice in left if invoice.invoice_id not in taken]

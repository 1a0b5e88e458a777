"""Invoices that were sent and not paid by their due date become overdue."""

from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.invoicing.life import changed
from chargeback_worker.period import billing_day, from_us
from chargeback_worker.pipeline.closing.issuing import tell
from chargeback_worker.store import Store, installation, invoices

AT_ONCE = 1_000


def mark_overdue(store: Store, now_us: int) -> int:
    """Up to a thousand of them, each with its message; how many there were.

    The store must have had its first start.
    """
    at = from_us(now_us)
    with store.begin() as transaction:
        grain = installation.read_grain(transaction)
        assert grain is not None, "the grain is stored at the first start"
        on = billing_day(at, grain.zone())
        due = invoices.due_before(transaction, on, AT_ONCE)
        overdue = [changed(invoice, Status.OVERDUE, at=at, on=on) for invoice in due]
        invoices.update(transaction, *overdue)
        tell(transaction, overdue, at)
    return len(overdue)

"""The life of an invoice: issued, paid, overdue, cancelled, replaced; and what is refused."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

from chargeback_worker.errors import Conflict
from chargeback_worker.invoicing.invoice import (
    TRANSITIONS,
    Invoice,
    Status,
    draft_number,
    invoice_id,
    invoice_number,
    kind_of,
)
from chargeback_worker.invoicing.tax import tax_on
from chargeback_worker.money import fixed


class ChangeRefused(Conflict):
    """A status that does not follow the present one."""

    def __init__(self, invoice: Invoice, status: Status) -> None:
        allowed = [each for each in Status if each in TRANSITIONS[invoice.status]]
        after = f"may become {_one_of(allowed)}" if allowed else "stays what it is"
        super().__init__(
            f"{invoice.invoice_number} is {invoice.status} and {after}, not {status}.",
            f"See it: chargeback invoices show {invoice.invoice_number}",
        )


class NotOverdue(Conflict):
    """Too early for it, or nothing of it is to be paid."""

    def __init__(self, invoice: Invoice) -> None:
        if invoice.due_date is None or invoice.total <= 0:
            why = f"with {fixed(invoice.total, 2)} {invoice.currency} in total there is nothing due"
        else:
            why = f"it is due on {invoice.due_date}"
        super().__init__(
            f"{invoice.invoice_number} is not overdue: {why}.",
            f"See it: chargeback invoices show {invoice.invoice_number}",
        )


def issued(draft: Invoice, number: int, *, at: datetime, on: date, days_to_pay: int) -> Invoice:
    """The draft with its number and due date, `pending`; `on` is the billing day of `at`."""
    return replace(
        draft,
        invoice_number=invoice_number(draft.period, number),
        status=Status.PENDING,
        due_date=None if draft.total < 0 else on + timedelta(days=days_to_pay),
        updated_at=at,
        issued_at=at,
    )


def replacing(cancelled: Invoice, *, at: datetime, tax_rate: int | None) -> Invoice:
    """A draft of what a cancelled invoice billed; what it bills is booked for ever.

    `tax_rate`, in 10**-9, takes the place of the one its own lines had; adjustments keep theirs.
    """
    ordinal = cancelled.ordinal + 1
    id_ = invoice_id(cancelled.receiver, cancelled.period, cancelled.revision, ordinal)
    lines = tuple(
        line
        if tax_rate is None or line.origin != cancelled.period
        else replace(line, tax_rate=tax_rate)
        for line in cancelled.lines
    )
    tax = tax_on(lines)
    return replace(
        cancelled,
        invoice_id=id_,
        invoice_number=draft_number(cancelled.period, id_),
        kind=kind_of(cancelled.subtotal + tax, cancelled.revision),
        status=Status.DRAFT,
        lines=lines,
        tax=tax,
        total=cancelled.subtotal + tax,
        due_date=None,
        created_at=at,
        updated_at=at,
        issued_at=None,
        ordinal=ordinal,
        paid_date=None,
        published_at=None,
        replaces=cancelled.invoice_number if cancelled.issued_at else None,
    )


def check_change(invoice: Invoice, status: Status, *, on: date) -> None:
    """Raises ChangeRefused or NotOverdue; `on` is the billing day."""
    if status not in TRANSITIONS[invoice.status]:
        raise ChangeRefused(invoice, status)
    if status is Status.OVERDUE and not is_overdue(invoice, on):
        raise NotOverdue(invoice)


def is_overdue(invoice: Invoice, on: date) -> bool:
    """Whether its due date has passed with something to be paid."""
    return invoice.due_date is not None and invoice.total > 0 and invoice.due_date < on


def changed(invoice: Invoice, status: Status, *, at: datetime, on: date) -> Invoice:
    """With that status, which `check_change` allows; `on` is the billing day of `at`."""
    paid = on if status is Status.PAID else invoice.paid_date
    return replace(invoice, status=status, paid_date=paid, updated_at=at)


def _one_of(statuses: Iterable[Status]) -> str:
    return " or ".join(statuses)

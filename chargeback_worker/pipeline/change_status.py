"""Another status for one invoice, by a person: approved, sent, paid, overdue, cancelled."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.errors import Conflict
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.invoicing.life import changed, check_change
from chargeback_worker.period import billing_day, from_us
from chargeback_worker.pipeline.closing.issuing import issue, tell
from chargeback_worker.pipeline.closing.projection import hold, project, rebuild
from chargeback_worker.store import (
    Store,
    Transaction,
    audit,
    invoices,
    periods,
    requests,
    snapshots,
)
from chargeback_worker.store.audit import Act


class NotClosedYet(Conflict):
    """What an open month owes is not known before it is closed."""

    def __init__(self, invoice: Invoice) -> None:
        super().__init__(
            f"{invoice.invoice_number} is a draft of {invoice.period}, which is not closed.",
            f"First: chargeback close {invoice.period}",
        )


@dataclass(frozen=True, slots=True)
class StatusResult:
    """`before` is the present status again where nothing was changed."""

    invoice: Invoice
    before: Status

    @property
    def changed(self) -> bool:
        return self.before is not self.invoice.status


def change_status(
    store: Store, name: str, status: Status, terms: Snapshot, act: Act
) -> StatusResult:
    """Give an invoice, by its number or id, another status; the present one again changes nothing.

    A draft that becomes `pending` or `sent` is issued on the way. Raises InvoiceUnknown,
    ChangeRefused, NotOverdue, NotClosedYet, CloseInProgress, EarlierNotClosed, BooksHeld, and
    ReasonMissing where an issued one is to be cancelled without saying why.
    """
    with store.begin() as transaction:
        found = invoices.get(transaction, name)
        if not found.final:
            # Whoever makes drafts or closes does it all before or all after this.
            hold(transaction, found.period, ZoneInfo(terms.timezone))
        found = invoices.get(transaction, name, to_change=True)
        if found.status is status:
            return StatusResult(found, found.status)
        on = billing_day(from_us(act.now_us), ZoneInfo(terms.timezone))
        check_change(found, status, on=on)
        if found.status is Status.DRAFT:
            after = _of_draft(transaction, found, status, terms, act)
        else:
            after = _of_issued(transaction, found, status, terms, act)
        audit.append(
            transaction,
            act,
            "invoice.status",
            f"invoice:{found.invoice_number}",
            before={"status": found.status.value},
            after={"status": after.status.value, "invoice_number": after.invoice_number},
        )
    return StatusResult(after, found.status)


def _of_draft(
    transaction: Transaction, draft: Invoice, status: Status, terms: Snapshot, act: Act
) -> Invoice:
    at = from_us(act.now_us)
    on = billing_day(at, ZoneInfo(terms.timezone))
    if status is Status.CANCELLED:
        cancelled = changed(draft, status, at=at, on=on)
        invoices.update(transaction, cancelled)
        if not draft.final:
            _bill_together(transaction, draft, terms, act)
        return cancelled
    if not draft.final:
        raise NotClosedYet(draft)
    decided = snapshots.of_close(transaction, draft.period, draft.revision)
    assert decided is not None, draft.period
    days = decided.days_to_pay(draft.receiver)
    issued = issue(transaction, draft, at=at, on=on, days_to_pay=days)
    if status is Status.SENT:
        # Its message says so already.
        issued = changed(issued, status, at=at, on=on)
        invoices.update(transaction, issued)
    return issued


def _bill_together(transaction: Transaction, draft: Invoice, terms: Snapshot, act: Act) -> None:
    """The share of a cancelled draft goes back to where it would be billed otherwise."""
    period = draft.period
    # Nothing may have been used in it yet.
    row = periods.standing(transaction, period, ZoneInfo(terms.timezone))
    before = snapshots.of_now(transaction, period.days(), terms)
    requests.drop(transaction, period, draft.receiver)
    projection = project(transaction, row, terms, act.now_us)
    rebuild(transaction, projection, projection.billed_otherwise(before))


def _of_issued(
    transaction: Transaction, found: Invoice, status: Status, terms: Snapshot, act: Act
) -> Invoice:
    if status is Status.CANCELLED:
        act.require_reason("cancel an issued invoice")
    at = from_us(act.now_us)
    after = changed(found, status, at=at, on=billing_day(at, ZoneInfo(terms.timezone)))
    invoices.update(transaction, after)
    tell(transaction, [after], at)
    return after

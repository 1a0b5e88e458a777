"""Statuses that somebody gives: what they change, and those that are refused."""

from chargeback_worker.errors import ChargebackError
from chargeback_worker.invoicing.invoice import TRANSITIONS, Invoice, Status
from chargeback_worker.invoicing.life import ChangeRefused, NotOverdue
from chargeback_worker.pipeline.change_status import NotClosedYet, StatusResult, change_status
from chargeback_worker.pipeline.closing.may_close import CloseInProgress, EarlierNotClosed
from chargeback_worker.store.audit import ReasonMissing
from tests.support.invoice_life.asking import Asking
from tests.support.invoice_life.books import frozen
from tests.support.invoice_life.witness import Witness


class Changing:
    def __init__(self, witness: Witness, asking: Asking) -> None:
        self.witness = witness
        self.asking = asking
        self.books = witness.books
        self.store = witness.store

    def change(self, invoice: Invoice, status: Status, reason: str | None) -> None:
        act = self.witness.act(reason)

        def doing() -> StatusResult:
            return change_status(self.store, invoice.invoice_number, status, self.books.terms, act)

        refusal = self._refusal_of_change(invoice, status, reason)
        if refusal is not None:
            said = self.witness.refused(refusal, doing)
            self._check_refusal(refusal, said, invoice)
        elif status is invoice.status:
            self.witness.without_effect(doing)
        else:
            result = doing()
            assert (result.before, result.invoice.status) == (invoice.status, status)
            self.books.audited.append("invoice.status")
            self._changed(invoice, result.invoice)

    def _refusal_of_change(
        self, invoice: Invoice, status: Status, reason: str | None
    ) -> type[ChargebackError] | None:
        if not invoice.final and self.books.closing == invoice.period:
            return CloseInProgress
        if status is invoice.status:
            return None
        if status not in TRANSITIONS[invoice.status]:
            return ChangeRefused
        if status is Status.OVERDUE and self.books.billed[invoice.invoice_id] not in (
            self.witness.overdue()
        ):
            return NotOverdue
        if not invoice.final and self.books.bills_what_was_never_closed(invoice.period):
            return EarlierNotClosed if status is Status.CANCELLED else NotClosedYet
        if status is Status.CANCELLED:
            needs_none = invoice.status is Status.DRAFT or (reason or "").strip()
            return None if needs_none else ReasonMissing
        return None if invoice.final else NotClosedYet

    def _check_refusal(self, refusal: type[ChargebackError], said: str, invoice: Invoice) -> None:
        if refusal is ChangeRefused:
            allowed = TRANSITIONS[invoice.status]
            assert all(status in said for status in allowed)
            assert allowed or "stays what it is" in said
            self.witness.happened(f"refused: anything else for {invoice.status}")
        if refusal is NotClosedYet:
            assert str(invoice.period) in said

    def _changed(self, before: Invoice, after: Invoice) -> None:
        witness, month = self.witness, self.books.month(before.period)
        witness.happened(f"{before.status} became {after.status}")
        if not before.final:
            month.drafts.remove(before.invoice_id)
            month.cancelled_drafts.add(before.invoice_id)
            decided = self.books.now(before.period)
            month.asked.pop(before.receiver, None)
            self.asking.check_given_back(before.period, decided, before.receiver)
            return
        billed = self.books.billed[before.invoice_id]
        billed.status = after.status
        if before.status is Status.DRAFT and after.status is not Status.CANCELLED:
            billed.frozen = frozen(after)
            billed.told = [Status.SENT.value]
            month.numbers.append(after.invoice_number)
            witness.check_due(after)
            witness.happened("approved by hand")
        elif before.status is not Status.DRAFT:
            billed.told.append(after.status.value)
        if after.status is Status.PAID:
            billed.paid_on = witness.today()

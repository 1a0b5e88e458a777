"""Invoices that somebody asks for: drafts, what is billed already, and replacements."""

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import dry_run
from chargeback_worker.pipeline.closing.may_close import CloseInProgress, EarlierNotClosed
from chargeback_worker.pipeline.create_invoice import (
    BilledAlready,
    CreateResult,
    NothingBilled,
    create_invoice,
)
from chargeback_worker.store.periods import PeriodState
from tests.support.invoice_life.books import Billed, Decided
from tests.support.invoice_life.witness import Witness, with_rate


class Asking:
    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.books = witness.books
        self.store = witness.store

    def ask(self, period: Period, asked: Requested) -> None:
        state, act = self.books.month(period).state, self.witness.act()

        def doing() -> CreateResult:
            return create_invoice(self.store, period, asked, self.books.terms, act)

        if state is PeriodState.CLOSING:
            self.witness.refused(CloseInProgress, doing)
            return
        billed_with = self.books.billed_with(period, asked.receiver) if asked.receiver.user else ()
        billed = self.books.of_receiver(period, asked.receiver)
        if billed_with and (state is not PeriodState.CLOSED or not billed):
            said = self.witness.refused(BilledAlready, doing)
            assert any(number in said for number in billed_with)
        elif state is not PeriodState.CLOSED and self.books.bills_what_was_never_closed(period):
            self.witness.refused(EarlierNotClosed, doing)
        elif state is not PeriodState.CLOSED:
            self._draft(period, asked, doing())
        elif not billed:
            self.witness.refused(NothingBilled, doing)
        else:
            cancelled = [row for _, row in sorted(billed.items()) if row.status is Status.CANCELLED]
            if cancelled:
                self._replaced(cancelled[0], asked, doing())
            else:
                last = billed[max(billed)].frozen.invoice_id
                self.witness.without_effect(lambda: self._is(doing(), last))

    def _is(self, result: CreateResult, invoice_id: str) -> None:
        assert not result.new
        assert result.invoice.invoice_id == invoice_id

    def _draft(self, period: Period, asked: Requested, result: CreateResult) -> None:
        month, draft = self.books.month(period), result.invoice
        self.books.ask(period, asked)
        self.books.audited.append("invoice.draft")
        assert result.new == (draft.invoice_id not in month.drafts)
        assert (draft.status, draft.final, draft.receiver) == (
            Status.DRAFT,
            False,
            asked.receiver,
        )
        month.drafts.add(draft.invoice_id)
        self._check_projected(period, draft)
        self._check_taken_out(period, asked.receiver)
        self.witness.happened("draft of a reopened month" if month.booked else "draft")
        if not draft.lines:
            self.witness.happened("draft of zero")

    def _check_projected(self, period: Period, draft: Invoice) -> None:
        """It is what a close now would bill, and by what was asked for."""
        shown = dry_run(self.store, period, self.books.terms, self.witness.now_us).books.invoices
        assert [row.lines for row in shown if row.receiver == draft.receiver] in (
            [draft.lines],
            [] if not any(line.total_price for line in draft.lines) else None,
        )
        now = self.books.now(period)
        for line in draft.lines:
            assert now.receiver(line.key.pair) == draft.receiver
            if line.origin == period:
                assert line.tax_rate == now.rate(draft.receiver)

    def _check_taken_out(self, period: Period, share: Pair) -> None:
        """What is billed apart is on no other draft: those were made anew."""
        self.witness.look_again()
        now = self.books.now(period)
        for name in self.books.month(period).drafts:
            draft = self.witness.seen.invoices[name]
            if share.user is not None and draft.receiver != share:
                assert share not in {now.receiver(line.key.pair) for line in draft.lines}

    def check_given_back(self, period: Period, before: Decided, share: Pair) -> None:
        """What was billed apart is on the draft of who would be billed otherwise, if there is."""
        self.witness.look_again()
        shown = dry_run(self.store, period, self.books.terms, self.witness.now_us).books.invoices
        month, now = self.books.month(period), self.books.now(period)
        there = {self.witness.seen.invoices[name].receiver: name for name in month.drafts}
        for invoice in shown:
            pairs = {line.key.pair for line in invoice.lines}
            moved = {pair for pair in pairs if before.receiver(pair) == share} - {share}
            moved = {pair for pair in moved if now.receiver(pair) != share}
            if moved and invoice.receiver in there:
                draft = self.witness.seen.invoices[there[invoice.receiver]]
                assert draft.lines == invoice.lines
                self.witness.happened("a share was given back to a draft")

    def _replaced(self, cancelled: Billed, asked: Requested, result: CreateResult) -> None:
        before, invoice = cancelled.frozen, result.invoice
        self.books.audited.append("invoice.replace")
        assert result.new
        assert invoice.status is Status.PENDING
        assert invoice.lines == with_rate(before, asked.tax_rate_nano).lines
        assert invoice.replaces == (before.invoice_number if before.issued_at else None)
        assert (invoice.subtotal, invoice.references) == (before.subtotal, before.references)
        self.witness.billed(invoice, asked.due_days)
        self.witness.happened("replacement" if before.issued_at else "replacement of a draft")

"""Months closed and reopened, or refused to be."""

from chargeback_worker.errors import ChargebackError
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import close, start_closing
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.reopen import AwaitsApproval, NotClosed, reopen
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.periods import PeriodState
from tests.support.invoice_life.witness import Witness


class Months:
    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.books = witness.books
        self.store = witness.store

    def begin(self, period: Period) -> None:
        """By a closer that is killed then."""
        month, act = self.books.month(period), self.witness.act()
        if not month.state.takes_usage:
            return
        refusal = self.books.refusal_of_close(period, over=self._over(period))

        def doing() -> None:
            start_closing(self.store, period, self.books.terms, act, owner="killed", lease_s=0)

        if refusal is not None:
            self.witness.refused(refusal, doing)
            return
        doing()
        month.state = PeriodState.CLOSING
        self.witness.happened("a closer was killed")

    def _over(self, period: Period) -> bool:
        return self.witness.now_us >= self.witness.ends_us(period)

    def close(self, period: Period) -> None:
        act = self.witness.act()
        month, refusal = (
            self.books.month(period),
            self.books.refusal_of_close(period, over=self._over(period)),
        )

        def doing() -> bool:
            return close(self.store, period, self.books.terms, act, owner="closer").closed_before

        if refusal is not None:
            self.witness.refused(refusal, doing)
        elif month.state is PeriodState.CLOSED:
            self.witness.without_effect(doing)
        else:
            assert not doing()
            if month.state is PeriodState.CLOSING:
                self.witness.happened("another closer finished")
            self.books.close(period)
            self.witness.look_again()
            self.witness.billed_by_close(period)

    def reopen(self, period: Period, reason: str | None) -> None:
        month, act = self.books.month(period), self.witness.act(reason)
        refusal: type[ChargebackError] | None = None
        if not (reason or "").strip():
            refusal = ReasonMissing
        elif self.books.closing is not None:
            refusal = CloseInProgress
        elif month.state is not PeriodState.CLOSED:
            refusal = NotClosed
        elif self.books.awaiting(period):
            refusal = AwaitsApproval
        if refusal is not None:
            self.witness.refused(refusal, lambda: reopen(self.store, period, act))
            return
        reopen(self.store, period, act)
        month.state = PeriodState.REOPENED
        self.books.audited.append("reopen")
        states = [each.state for each in self.books.months.values()]
        several = states.count(PeriodState.REOPENED) > 1
        self.witness.happened("several reopened at once" if several else "reopened")

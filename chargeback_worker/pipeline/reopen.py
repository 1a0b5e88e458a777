"""Reopening a closed period: it takes usage again, and its next close books the differences."""

from chargeback_worker.errors import Conflict
from chargeback_worker.period import Period
from chargeback_worker.pipeline.closing.held import refuse_held
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.expected import require
from chargeback_worker.store import Store, audit, invoices, periods
from chargeback_worker.store.audit import Act
from chargeback_worker.store.periods import PeriodRow, PeriodState


class NotClosed(Conflict):
    def __init__(self, period: Period, state: PeriodState) -> None:
        super().__init__(
            f"{period} is {state}; only a closed period is reopened.",
            f"Close it: chargeback close {period}",
        )


class AwaitsApproval(Conflict):
    """What a draft of the last close bills may still be refused or issued."""

    def __init__(self, period: Period, drafts: int) -> None:
        waits = "1 draft" if drafts == 1 else f"{drafts} drafts"
        super().__init__(
            f"{period} has {waits} to be approved; it is reopened once they are issued or"
            " cancelled.",
            f"See them: chargeback invoices list --period {period} --status draft",
        )


def reopen(store: Store, period: Period, act: Act, *, expected: str | None = None) -> PeriodRow:
    """Reopen a closed period for its next revision, with a reason. Issued invoices stand.

    `expected` is the version of the period that the caller has seen. Raises ReasonMissing,
    NotAsExpected, NotClosed, AwaitsApproval, BooksHeld, and CloseInProgress while any period
    is being closed: that close may settle this one.
    """
    act.require_reason("reopen a period")
    with store.begin() as transaction:
        periods.hold_off_closing(transaction)
        refuse_held(transaction)
        known = {row.period: row for row in periods.listed(transaction)}
        for closing in known.values():
            if closing.state is PeriodState.CLOSING:
                raise CloseInProgress(closing)
        before = known.get(period)
        state = PeriodState.OPEN if before is None else before.state
        seen = periods.version_of(state, 1) if before is None else before.version
        require(f"The period {period}", seen, expected)
        if state is not PeriodState.CLOSED:
            raise NotClosed(period, state)
        if drafts := invoices.awaiting(transaction, period):
            raise AwaitsApproval(period, drafts[period])
        periods.reopen(transaction, period)
        row = periods.find(transaction, period)
        assert row is not None
        audit.append(
            transaction,
            act,
            "reopen",
            f"period:{period}",
            before={"state": state.value, "revision": row.revision - 1},
            after={"state": row.state.value, "revision": row.revision},
        )
    return row

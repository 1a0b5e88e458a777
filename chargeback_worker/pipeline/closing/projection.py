"""Drafts of a month that still takes usage: what a close now would bill, for whoever asked."""

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.build import draft_of
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.period import Period
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.closing.settlement import (
    SETTLING_IDLE_S,
    Settlement,
    compute,
)
from chargeback_worker.store import Transaction, drafts, periods, snapshots
from chargeback_worker.store.periods import PeriodRow, PeriodState


@dataclass(frozen=True, slots=True)
class Projection:
    """What a close of a month would write now."""

    snapshot: Snapshot
    settlement: Settlement

    def draft(self, receiver: Pair) -> Invoice:
        """Of zero for who would get no invoice."""
        for invoice in self.settlement.books.invoices:
            if invoice.receiver == receiver:
                return invoice
        return draft_of(receiver, (), self.settlement.closing)

    def billed_otherwise(self, before: Snapshot) -> set[Pair]:
        """Whose invoices differ from those by another snapshot."""
        return {
            receiver
            for owed in self.settlement.owed
            for receiver in (before.receiver(owed.pair), self.snapshot.receiver(owed.pair))
            if before.receiver(owed.pair) != self.snapshot.receiver(owed.pair)
        }


def hold(transaction: Transaction, period: Period, zone: ZoneInfo) -> PeriodRow:
    """The period, which nobody begins to close, and whose drafts nobody else makes, until the
    transaction ends. Raises CloseInProgress."""
    drafts.hold(transaction, period)
    row = periods.standing(transaction, period, zone)
    if row.state is PeriodState.CLOSING:
        raise CloseInProgress(row)
    return row


def project(transaction: Transaction, row: PeriodRow, terms: Snapshot, now_us: int) -> Projection:
    transaction.end_when_idle(SETTLING_IDLE_S)
    snapshot = snapshots.of_now(transaction, row.period.days(), terms)
    settlement = compute(transaction, row, snapshot, now_us=now_us, first_number=None, final=False)
    return Projection(snapshot, settlement)


def rebuild(transaction: Transaction, projection: Projection, receivers: Iterable[Pair]) -> None:
    """Make the drafts of those receivers anew that have one."""
    drafted = projection.settlement.closing.drafted
    for receiver in sorted(receivers):
        if receiver in drafted and drafted[receiver].created_at is not None:
            drafts.replace(transaction, projection.draft(receiver))

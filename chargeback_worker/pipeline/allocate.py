"""An allocation run: what the rules of now give for the usage of an open period, kept to be read.

It decides nothing that a close would not decide anew; the next run takes its place.
"""

from zoneinfo import ZoneInfo

from chargeback_worker.allocation import engine
from chargeback_worker.allocation.grouping import grouping
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import allocation_id
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.pipeline.closing.settlement import SETTLING_IDLE_S
from chargeback_worker.store import Store, allocations, drafts, origins, periods, snapshots
from chargeback_worker.store.allocations import Run, RunPart
from chargeback_worker.store.audit import Act


def allocate_days(store: Store, days: BillingRange, terms: Snapshot, act: Act) -> Run | None:
    """The run of a whole month, as `allocate` stores it; of other days nothing is stored."""
    months = days.periods()
    if len(months) != 1 or months[0].days() != days:
        return None
    return allocate(store, months[0], terms, act)


def allocate(store: Store, period: Period, terms: Snapshot, act: Act) -> Run | None:
    """Run all rules over a period's own usage and store the run in place of the last.

    None, and nothing is stored, where the period takes no usage any more: what its close books are
    its allocations. The ids are those that its next close gives.
    """
    with store.begin(idle_s=SETTLING_IDLE_S) as transaction:
        # No close may begin meanwhile: its bookings would stand beside a run.
        drafts.hold(transaction, period)
        row = periods.standing(transaction, period, ZoneInfo(terms.timezone))
        if not row.state.takes_usage:
            return None
        snapshot = snapshots.of_now(transaction, period.days(), terms)
        kept = grouping(snapshot, period.days())
        parts = engine.allocate(origins.of_days(transaction, period.days(), kept), snapshot)
        run = Run(
            period,
            act.now_us,
            act.actor,
            tuple(
                RunPart(allocation_id(period, period, row.revision, part.key), part)
                for part in parts
            ),
        )
        allocations.replace(transaction, run)
    return run

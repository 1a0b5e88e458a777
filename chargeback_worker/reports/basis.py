"""What allocations are computed of: usage totals of one month, and the snapshot that decides.

Where only a few teams or users are asked for, no more is read than bears on them; what others bear
of that is not to be told.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from chargeback_worker.allocation.engine import Part, RulePool, allocate, divide_all, pools
from chargeback_worker.allocation.grouping import Grouping, grouping
from chargeback_worker.allocation.match import Claim
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer
from chargeback_worker.allocation.reach import Reach, bearer, reach
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.store import Transaction, origins, periods, reached, snapshots
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.reached import Reached


@dataclass(frozen=True)
class Basis:
    """Totals of days of one month, summed by `kept`, and the snapshot that allocates them.

    `origin` is that of adjustments; of what was booked only what `billed_in` bills stands behind.
    """

    origin: Period | None
    days: BillingRange
    snapshot: Snapshot
    kept: Grouping
    read: Reached
    billed_in: Period | None = None

    @cached_property
    def pools(self) -> list[RulePool]:
        return pools(self.read.totals, self.snapshot, self.read.measured_by)

    def parts(self) -> list[Part]:
        return divide_all(self.pools, self.read.totals)


def by_month(
    transaction: Transaction, days: BillingRange, terms: Snapshot, bearers: Sequence[Pair] = ()
) -> Iterator[Basis]:
    """Of each month the usage of those days: of a closed one by its snapshot, of another by the
    rules of now. `bearers`, where there are any, are the teams and users that are asked for."""
    for month, piece in months(days):
        snapshot = _decided_by(transaction, month, piece, terms)
        kept = grouping(snapshot, piece)
        wanted = _reach(transaction, snapshot, piece, bearers)
        read = reached.read(transaction, piece, kept, snapshot, wanted)
        yield Basis(None, piece, snapshot, kept, read)


def of_booked(
    transaction: Transaction,
    billed_in: Period,
    origins_wanted: Iterable[Period | None],
    bearers: Sequence[Pair] = (),
) -> Iterator[Basis]:
    """What stands behind what a month has booked, for each origin; None is the month itself."""
    counted = [row.period for row in periods.booked(transaction)]
    for origin in origins_wanted:
        month = origin or billed_in
        snapshot = snapshots.latest(transaction, month)
        if snapshot is not None:
            days = month.days()
            kept = grouping(snapshot, days)
            wanted = _reach(transaction, snapshot, days, bearers)
            read = reached.read(transaction, days, kept, snapshot, wanted, counted)
            yield Basis(origin, days, snapshot, kept, read, billed_in)


def parts_of(transaction: Transaction, days: BillingRange, snapshot: Snapshot) -> list[Part]:
    """Who bears the usage of some days of one month, by one snapshot."""
    return allocate(origins.of_days(transaction, days, grouping(snapshot, days)), snapshot)


def months(days: BillingRange) -> Iterator[tuple[Period, BillingRange]]:
    """The days cut at the ends of months: each month and those of its days that are asked for."""
    for month in days.periods():
        whole = month.days()
        yield month, BillingRange(max(days.start, whole.start), min(days.end, whole.end))


def _reach(
    transaction: Transaction, snapshot: Snapshot, days: BillingRange, bearers: Sequence[Pair]
) -> Reach:
    if not bearers:
        return Reach((Claim(),))

    def found(one: Pair) -> Bearer:
        seen = () if one.user is None else reached.teams_of(transaction, one.user, days)
        return bearer(one, snapshot.directory, seen)

    return reach(snapshot, days, [found(one) for one in bearers])


def _decided_by(
    transaction: Transaction, month: Period, days: BillingRange, terms: Snapshot
) -> Snapshot:
    row = periods.find(transaction, month)
    if row is not None and row.state is PeriodState.CLOSED:
        closed_by = snapshots.latest(transaction, month)
        assert closed_by is not None, month
        return closed_by
    return snapshots.of_now(transaction, days, terms)

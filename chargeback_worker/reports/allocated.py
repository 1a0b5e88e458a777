"""Who bears the usage of some days, as values: what was booked, the last run, or computed.

One closed period answers with all that was booked in it, adjustments for earlier months among it,
summed over its revisions. Everything else goes by the day of the usage, late or not: one open
period with its last run, any other range computed month by month, a closed month by its own
snapshot and others by the rules of now. So the months of a quarter sum to the quarter.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from chargeback_worker.allocation import engine
from chargeback_worker.allocation.engine import Part, PartKey
from chargeback_worker.allocation.grouping import Grouping, grouping
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import cited
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import LineKind, allocation_id
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.store import (
    Transaction,
    allocations,
    bookings,
    closes,
    origins,
    periods,
    snapshots,
)
from chargeback_worker.store.allocations import Run
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.usage.total import UsageTotal


class AllocationKey(NamedTuple):
    """`origin` is set in adjustments: the earlier month that they are for."""

    origin: Period | None
    rule_id: str
    version: int
    pair: Pair

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Own before adjustments, these by origin; within them rule, version and pair."""
        month = 0 if self.origin is None else self.origin.number
        return (month, self.rule_id, self.version, self.pair.sort_key)

    @property
    def cited(self) -> str:
        return cited(self.rule_id, self.version)


@dataclass(slots=True)
class Borne:
    """What an allocation is of one resource type. `share` is unknown where several pools were
    split; of what several revisions booked it is the last one's."""

    cost: int = 0
    quantity: int = 0
    records: int = 0
    shared: bool = False
    share: Fraction | None = None
    cause: Cause | None = None


@dataclass(slots=True)
class Allocation:
    """What one rule version gives to one pair. `allocation_id` is None where no close ever books
    such a range, `created_us` where nothing is stored."""

    key: AllocationKey
    allocation_id: str | None
    created_us: int | None
    by_resource_type: dict[str, Borne] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        return sum(borne.cost for borne in self.by_resource_type.values())

    @property
    def records(self) -> int:
        return sum(borne.records for borne in self.by_resource_type.values())

    @property
    def kind(self) -> LineKind:
        if self.key.origin is not None:
            return LineKind.ADJUSTMENT
        shared = any(borne.shared for borne in self.by_resource_type.values())
        return LineKind.SHARED if shared else LineKind.USAGE


class Source(StrEnum):
    """Where the allocations of some days come from."""

    BOOKED = "booked"
    RUN = "run"
    COMPUTED = "computed"


class Allocated(NamedTuple):
    """All allocations of some days, in the order of their keys."""

    days: BillingRange
    rows: tuple[Allocation, ...]
    source: Source

    @property
    def stored(self) -> bool:
        return self.source is not Source.COMPUTED

    @property
    def unallocated(self) -> int:
        """What nobody bears."""
        return sum(row.cost for row in self.rows if row.key.pair == Pair())


class Basis(NamedTuple):
    """Totals of days of one month and the snapshot that allocates them.

    `origin` is that of adjustments; of what was booked only what `billed_in` bills stands behind.
    """

    origin: Period | None
    days: BillingRange
    snapshot: Snapshot
    kept: Grouping
    totals: list[UsageTotal]
    billed_in: Period | None = None


def allocated(transaction: Transaction, days: BillingRange, terms: Snapshot) -> Allocated:
    """The allocations of some days; `terms` are the settings of now."""
    month = Period.of(days.start)
    if month.days() != days:
        parts = computed(transaction, days, terms)
        return _of_parts(days, ((None, part) for part in parts), Source.COMPUTED)
    row = periods.standing(transaction, month, ZoneInfo(terms.timezone))
    if row.state is PeriodState.CLOSED:
        return _booked(transaction, month)
    run = allocations.find(transaction, month) if row.state.takes_usage else None
    if run is not None:
        return _of_run(run)
    parts = computed(transaction, days, terms)
    with_ids = ((allocation_id(month, month, row.revision, part.key), part) for part in parts)
    return _of_parts(days, with_ids, Source.COMPUTED)


def months(days: BillingRange) -> Iterator[tuple[Period, BillingRange]]:
    """The days cut at the ends of months: each month and those of its days that are asked for."""
    for month in days.periods():
        whole = month.days()
        yield month, BillingRange(max(days.start, whole.start), min(days.end, whole.end))


def computed(transaction: Transaction, days: BillingRange, terms: Snapshot) -> list[Part]:
    """Month by month, a closed one by its snapshot, another by the rules of now; summed by key."""
    parts: dict[PartKey, Part] = {}
    for basis in _by_month(transaction, days, terms):
        for part in engine.allocate(basis.totals, basis.snapshot):
            known = parts.get(part.key)
            parts[part.key] = part if known is None else _sum(known, part)
    return sorted(
        (part for part in parts.values() if part.cost), key=lambda part: part.key.sort_key
    )


def parts_of(transaction: Transaction, days: BillingRange, snapshot: Snapshot) -> list[Part]:
    """Who bears the usage of some days of one month, by one snapshot."""
    used = origins.of_days(transaction, days, grouping(snapshot, days))
    return engine.allocate(used, snapshot)


def bases(
    transaction: Transaction,
    found: Allocated,
    terms: Snapshot,
    origins_wanted: Iterable[Period | None],
) -> Iterator[Basis]:
    """What stands behind allocations: of what was booked for each month that is wanted."""
    if found.source is not Source.BOOKED:
        yield from _by_month(transaction, found.days, terms)
        return
    billed_in = Period.of(found.days.start)
    for origin in origins_wanted:
        month = origin or billed_in
        snapshot = snapshots.latest(transaction, month)
        if snapshot is not None:
            kept = grouping(snapshot, month.days())
            totals = origins.counted(
                transaction, month, [row.period for row in periods.booked(transaction)], kept
            )
            yield Basis(origin, month.days(), snapshot, kept, totals, billed_in)


def _by_month(transaction: Transaction, days: BillingRange, terms: Snapshot) -> Iterator[Basis]:
    for month, piece in months(days):
        snapshot = _decided_by(transaction, month, piece, terms)
        kept = grouping(snapshot, piece)
        yield Basis(None, piece, snapshot, kept, origins.of_days(transaction, piece, kept))


def _decided_by(
    transaction: Transaction, month: Period, days: BillingRange, terms: Snapshot
) -> Snapshot:
    row = periods.find(transaction, month)
    if row is not None and row.state is PeriodState.CLOSED:
        closed_by = snapshots.latest(transaction, month)
        assert closed_by is not None, month
        return closed_by
    return snapshots.of_now(transaction, days, terms)


def _sum(one: Part, other: Part) -> Part:
    return Part(
        one.key,
        one.cost + other.cost,
        one.quantity + other.quantity,
        one.records + other.records,
        one.shared or other.shared,
        one.share if one.share == other.share else None,
    )


def _of_run(run: Run) -> Allocated:
    return _of_parts(run.period.days(), run.parts, Source.RUN, run.created_us)


def _of_parts(
    days: BillingRange,
    parts: Iterable[tuple[str | None, Part]],
    source: Source,
    created_us: int | None = None,
) -> Allocated:
    rows: dict[AllocationKey, Allocation] = {}
    for name, part in parts:
        rule_id, version, pair, resource_type = part.key
        key = AllocationKey(None, rule_id, version, pair)
        row = rows.setdefault(key, Allocation(key, name, created_us))
        row.by_resource_type[resource_type] = Borne(
            part.cost, part.quantity, part.records, part.shared, part.share
        )
    return Allocated(days, _in_order(rows), source)


def _booked(transaction: Transaction, period: Period) -> Allocated:
    """An allocation that several revisions have booked has the id and the time of the first."""
    closed_us = {
        close.revision: close.closed_us
        for close in closes.listed(transaction)
        if close.period == period
    }
    rows: dict[AllocationKey, Allocation] = {}
    for booking in bookings.of_close(transaction, period):
        owed = booking.owed
        origin = None if owed.origin == period else owed.origin
        key = AllocationKey(origin, owed.key.rule_id, owed.key.version, owed.pair)
        row = rows.setdefault(
            key, Allocation(key, booking.allocation_id, closed_us.get(booking.revision))
        )
        borne = row.by_resource_type.setdefault(owed.key.resource_type, Borne())
        borne.cost += owed.cost
        borne.quantity += owed.quantity
        borne.records += owed.records
        borne.shared, borne.share, borne.cause = owed.shared, owed.share, owed.cause
    return Allocated(period.days(), _in_order(rows), Source.BOOKED)


def _in_order(rows: dict[AllocationKey, Allocation]) -> tuple[Allocation, ...]:
    """What costs exactly nothing, its revisions taken together, is left out."""
    for row in rows.values():
        row.by_resource_type = {
            name: borne for name, borne in row.by_resource_type.items() if borne.cost
        }
    present = (row for row in rows.values() if row.by_resource_type)
    return tuple(sorted(present, key=lambda row: row.key.sort_key))

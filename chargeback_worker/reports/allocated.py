"""Who bears the usage of some days, as values: what was booked, the last run, or computed.

One closed period answers with all that was booked in it, adjustments for earlier months among it,
summed over its revisions. Everything else goes by the day of the usage, late or not: one open
period with its last run, any other range computed month by month, a closed month by its own
snapshot and others by the rules of now. So the months of a quarter sum to the quarter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.engine import Part, PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer
from chargeback_worker.allocation.rule import cited
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import LineKind, allocation_id
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.reports.basis import Basis, by_month, of_booked
from chargeback_worker.store import Transaction, allocations, bookings, closes, periods
from chargeback_worker.store.allocations import Run
from chargeback_worker.store.periods import PeriodState


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
    """All allocations of some days, in the order of their keys; with `bearers` only theirs.

    `read` is what they were computed of, where that was read.
    """

    days: BillingRange
    rows: tuple[Allocation, ...]
    source: Source
    bearers: tuple[Pair, ...] = ()
    read: tuple[Basis, ...] = ()

    @property
    def stored(self) -> bool:
        return self.source is not Source.COMPUTED

    @property
    def unallocated(self) -> int:
        """What nobody bears; unknown where only some bearers were asked for."""
        assert not self.bearers, self.bearers
        return sum(row.cost for row in self.rows if row.key.pair == Pair())


def allocated(
    transaction: Transaction, days: BillingRange, terms: Snapshot, bearers: Sequence[Pair] = ()
) -> Allocated:
    """The allocations of some days; `terms` are the settings of now. With `bearers`, each a team
    or a user, only theirs, and no more is read than it takes."""
    month = Period.of(days.start)
    whole = month.days() == days
    if whole:
        row = periods.standing(transaction, month, ZoneInfo(terms.timezone))
        if row.state is PeriodState.CLOSED:
            return _booked(transaction, month, bearers)
        run = allocations.find(transaction, month, bearers) if row.state.takes_usage else None
        if run is not None:
            return _of_run(run, bearers)
        revision = row.revision
    read = tuple(by_month(transaction, days, terms, bearers))
    of_bearers = _computed(read, bearers)
    with_ids = (
        (allocation_id(month, month, revision, part.key) if whole else None, part)
        for part in of_bearers
    )
    return _of_parts(Allocated(days, (), Source.COMPUTED, tuple(bearers), read), with_ids)


def bases(
    transaction: Transaction,
    found: Allocated,
    terms: Snapshot,
    origins_wanted: Iterable[Period | None],
) -> Iterable[Basis]:
    """What stands behind allocations: of what was booked for each month that is wanted."""
    if found.source is Source.BOOKED:
        billed_in = Period.of(found.days.start)
        return of_booked(transaction, billed_in, origins_wanted, found.bearers)
    return found.read or by_month(transaction, found.days, terms, found.bearers)


def _computed(read: Iterable[Basis], bearers: Sequence[Pair]) -> list[Part]:
    """Summed by key over the months."""
    parts: dict[PartKey, Part] = {}
    for basis in read:
        for part in basis.parts():
            if _is_of(part.key.pair, bearers):
                known = parts.get(part.key)
                parts[part.key] = part if known is None else _sum(known, part)
    return sorted(
        (part for part in parts.values() if part.cost), key=lambda part: part.key.sort_key
    )


def _is_of(pair: Pair, bearers: Sequence[Pair]) -> bool:
    return not bearers or any(Bearer(one).bears(pair) for one in bearers)


def _sum(one: Part, other: Part) -> Part:
    return Part(
        one.key,
        one.cost + other.cost,
        one.quantity + other.quantity,
        one.records + other.records,
        one.shared or other.shared,
        one.share if one.share == other.share else None,
    )


def _of_run(run: Run, bearers: Sequence[Pair]) -> Allocated:
    found = Allocated(run.period.days(), (), Source.RUN, tuple(bearers))
    return _of_parts(found, run.parts, run.created_us)


def _of_parts(
    found: Allocated, parts: Iterable[tuple[str | None, Part]], created_us: int | None = None
) -> Allocated:
    rows: dict[AllocationKey, Allocation] = {}
    for name, part in parts:
        rule_id, version, pair, resource_type = part.key
        key = AllocationKey(None, rule_id, version, pair)
        row = rows.setdefault(key, Allocation(key, name, created_us))
        row.by_resource_type[resource_type] = Borne(
            part.cost, part.quantity, part.records, part.shared, part.share
        )
    return found._replace(rows=_in_order(rows))


def _booked(transaction: Transaction, period: Period, bearers: Sequence[Pair]) -> Allocated:
    """An allocation that several revisions have booked has the id and the time of the first."""
    closed_us = {
        close.revision: close.closed_us
        for close in closes.listed(transaction)
        if close.period == period
    }
    rows: dict[AllocationKey, Allocation] = {}
    for booking in bookings.of_close(transaction, period, bearers=bearers):
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
    return Allocated(period.days(), _in_order(rows), Source.BOOKED, tuple(bearers))


def _in_order(rows: dict[AllocationKey, Allocation]) -> tuple[Allocation, ...]:
    """What costs exactly nothing, its revisions taken together, is left out."""
    for row in rows.values():
        row.by_resource_type = {
            name: borne for name, borne in row.by_resource_type.items() if borne.cost
        }
    present = (row for row in rows.values() if row.by_resource_type)
    return tuple(sorted(present, key=lambda row: row.key.sort_key))

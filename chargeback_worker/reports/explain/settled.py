"""A month settled again as a close did it: what counted then, by the snapshot that held then."""

from collections.abc import Sequence
from dataclasses import dataclass

from chargeback_worker.allocation.engine import RulePool, pools
from chargeback_worker.allocation.grouping import Grouping, grouping
from chargeback_worker.allocation.near import told_apart
from chargeback_worker.allocation.rule import DEFAULT, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.errors import Conflict
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.store import Transaction, history, origins, periods, snapshots
from chargeback_worker.store.history import BookedOnce, ClosePlace
from chargeback_worker.usage.total import UsageTotal


class SnapshotGone(Conflict):
    """What a close decided by is kept for ever. This must not happen."""

    def __init__(self, place: ClosePlace) -> None:
        super().__init__(
            f"What close {place.revision} of {place.period} decided by is not there any more.",
            "See what else is amiss: chargeback verify",
        )


class OriginNotClosed(Conflict):
    """Late usage is settled by its own month's snapshot, which there is only once it is closed."""

    def __init__(self, origin: Period) -> None:
        super().__init__(
            f"Late usage of {origin} is not settled yet, as {origin} is not closed.",
            f"First: chargeback close {origin}",
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """What a close had before it when it settled a month, whether it is done or would be now.

    `before` are the closes that were done earlier; `counted` the billing periods whose usage it
    settled; `decided_by` the close whose snapshot it is, None for the rules of now.
    """

    place: ClosePlace
    origin: Period
    before: frozenset[ClosePlace]
    counted: tuple[Period, ...]
    decided_by: ClosePlace | None
    snapshot: Snapshot

    @property
    def days(self) -> BillingRange:
        return self.origin.days()

    @property
    def adjusts(self) -> bool:
        return self.origin != self.place.period

    def rule(self, rule_id: str, version: int) -> Rule | None:
        """A rule version of the snapshot."""
        for rule in (*self.snapshot.rules, DEFAULT):
            if (rule.rule_id, rule.version) == (rule_id, version):
                return rule
        return None

    def booked_before(self, booked: Sequence[BookedOnce]) -> list[BookedOnce]:
        return [once for once in booked if once.place in self.before]


@dataclass(frozen=True, slots=True)
class Settled:
    """The pools that a close made for a month; `without_late` without the usage that it bills
    itself, where that is late and there is any.
    """

    decided: Decided
    kept: Grouping
    made: tuple[RulePool, ...]
    without_late: tuple[RulePool, ...] | None


def decided(
    transaction: Transaction, place: ClosePlace, origin: Period, terms: Snapshot
) -> Decided:
    """What a close decided by for a month. One that is not done decides by the rules of now.

    Raises SnapshotGone or OriginNotClosed.
    """
    done = history.places(transaction)
    counted = {place.period}
    if place in done:
        before = done[: done.index(place)]
        counted |= {earlier.period for earlier in before}
    else:
        before = done
        counted.update(row.period for row in periods.booked(transaction))
    decided_by: ClosePlace | None = None
    if origin != place.period:
        decided_by = _last(before, origin)
    elif place in done:
        decided_by = place
    return Decided(
        place,
        origin,
        frozenset(before),
        tuple(sorted(counted)),
        decided_by,
        _snapshot(transaction, decided_by, origin, terms),
    )


def settled(transaction: Transaction, by: Decided, *, silent_too: bool = False) -> Settled:
    """The pools of that month. `silent_too` tells apart what only silent rules look at."""
    kept = grouping(told_apart(by.snapshot) if silent_too else by.snapshot, by.days)
    totals = origins.counted(transaction, by.origin, by.counted, kept)
    made = tuple(pools(totals, by.snapshot))
    return Settled(by, kept, made, _without_late(by, totals))


def _without_late(by: Decided, totals: Sequence[UsageTotal]) -> tuple[RulePool, ...] | None:
    if not by.adjusts:
        return None
    return tuple(pools((t for t in totals if t.period != by.place.period), by.snapshot))


def _last(before: Sequence[ClosePlace], origin: Period) -> ClosePlace:
    of_origin = [place for place in before if place.period == origin]
    if not of_origin:
        raise OriginNotClosed(origin)
    return of_origin[-1]


def _snapshot(
    transaction: Transaction, place: ClosePlace | None, origin: Period, terms: Snapshot
) -> Snapshot:
    if place is None:
        return snapshots.of_now(transaction, origin.days(), terms)
    found = snapshots.of_close(transaction, place.period, place.revision)
    if found is None:
        raise SnapshotGone(place)
    return found

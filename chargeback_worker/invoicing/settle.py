"""What a period owes now: its allocation less everything booked for it before.

The one formula of the first close, of late usage and of closing again after a reopening; preview
and verify use it too. What differs between them is only what was booked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import gcd
from typing import NamedTuple

from chargeback_worker.allocation.engine import Part, PartKey, RulePool, divide, pools
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal


class Cause(StrEnum):
    """Why a closed month owes something more."""

    LATE_USAGE = "late_usage"
    DRIVER_CHANGED = "driver_changed"


class Booked(NamedTuple):
    """The sum of all that was booked for a rule version, pair and resource type of a month."""

    cost: int
    quantity: int = 0
    records: int = 0
    shared: bool = False


NOTHING = Booked(0)


@dataclass(frozen=True, slots=True)
class Owed:
    """A difference that a close books, for the month `origin`; never of exactly nothing.

    `cause` is set where `origin` is an earlier month than the one that is closing: an adjustment.
    `share` is the pair's share, by this settlement, of the pool that was split; see `Part`.
    """

    origin: Period
    key: PartKey
    cost: int
    quantity: int
    records: int
    shared: bool
    cause: Cause | None = None
    share: Fraction | None = None

    @property
    def pair(self) -> Pair:
        return self.key.pair


def settle(
    totals: Iterable[UsageTotal],
    snapshot: Snapshot,
    booked: Mapping[PartKey, Booked],
    *,
    origin: Period,
    closing: Period,
) -> list[Owed]:
    """What `origin` owes in the close of `closing`, in the order of keys.

    `totals` are those of the origin period whose billing period is closed, reopened or closing
    now; `snapshot` is the origin's own; `booked` is everything booked for it before, in whatever
    billing period. Money rules: a row owes when its cost differs, and then brings its quantity and
    records up to date; where only these differ nothing is owed and they wait for the next time.
    """
    totals = list(totals)
    assert all(Period.of(day) == origin for day in {total.day for total in totals}), origin
    made = pools(totals, snapshot)
    fresh = {part.key: part for part in divide(made)}
    moved = None
    if origin != closing:
        punctual = (total for total in totals if total.period != closing)
        moved = _moved(made, pools(punctual, snapshot))
    owed = []
    for key in fresh.keys() | booked.keys():
        part = fresh.get(key)
        difference = _difference(part, booked.get(key, NOTHING))
        if difference.cost:
            share = None if part is None else part.share
            owed.append(Owed(origin, key, *difference, cause=_cause(key, moved), share=share))
    due = sum(total.cost for total in totals) - sum(before.cost for before in booked.values())
    assert sum(row.cost for row in owed) == due, (origin, due)
    return sorted(owed, key=lambda row: row.key.sort_key)


def _difference(part: Part | None, before: Booked) -> Booked:
    if part is None:
        return Booked(-before.cost, -before.quantity, -before.records, before.shared)
    return Booked(
        part.cost - before.cost,
        part.quantity - before.quantity,
        part.records - before.records,
        part.shared,
    )


def _cause(key: PartKey, moved: set[PartKey] | None) -> Cause | None:
    if moved is None:
        return None
    return Cause.DRIVER_CHANGED if key in moved else Cause.LATE_USAGE


def _moved(made: Iterable[RulePool], without: Iterable[RulePool]) -> set[PartKey]:
    """The rows of pools whose weight ratios differ with and without the late usage."""
    before = {_name(entry): _ratio(entry) for entry in without}
    moved: set[PartKey] = set()
    for entry in made:
        old, new = before.get(_name(entry)), _ratio(entry)
        # A pool that only late usage made has nothing to differ from.
        if old is not None and old != new:
            moved |= _rows(entry, old.keys() | new.keys())
    return moved


def _name(entry: RulePool) -> tuple[str, int, tuple[str | None, ...]]:
    return entry.rule.rule_id, entry.rule.version, entry.pool.key


def _ratio(entry: RulePool) -> dict[Pair, int]:
    """The weights in lowest terms, so that 2 : 4 is 1 : 2."""
    weights = entry.pool.effective_weights()
    divisor = gcd(*weights.values())
    return {pair: weight // divisor for pair, weight in weights.items()}


def _rows(entry: RulePool, pairs: Iterable[Pair]) -> set[PartKey]:
    """Every row that a pool can move between those pairs."""
    rule, resource_types = entry.rule, {used.total.resource_type for used in entry.pool.usage}
    return {
        PartKey(rule.rule_id, rule.version, pair, resource_type)
        for pair in pairs
        for resource_type in resource_types
    }

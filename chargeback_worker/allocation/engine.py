"""From totals to parts: rules claim, methods make pools, and every pool is divided once.

Money is divided here and nowhere else in the room.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Attributed, Dimension, Drivers, Pool
from chargeback_worker.allocation.rule import DEFAULT, Rule, cited, in_effect
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.money import split
from chargeback_worker.usage.total import UsageTotal


class PartKey(NamedTuple):
    """What money is booked by: rule version, pair and resource type."""

    rule_id: str
    version: int
    pair: Pair
    resource_type: str

    @property
    def sort_key(self) -> tuple[str, int, tuple[bool, tuple[str, ...]], str]:
        return (self.rule_id, self.version, self.pair.sort_key, self.resource_type)

    @property
    def cited(self) -> str:
        return cited(self.rule_id, self.version)


@dataclass(frozen=True, slots=True)
class Part:
    """What a pair bears of one resource type by one rule version; together, its allocation.

    `quantity` and `records` tell of the usage behind it: the pair's own quantity, and the records
    of every pool that it takes part in. `shared` says that any of it came by a split; `share` is
    then its share of the pool that was split, None where several were.
    """

    key: PartKey
    cost: int
    quantity: int
    records: int
    shared: bool
    share: Fraction | None


class RulePool(NamedTuple):
    """A pool and the rule version that made it."""

    rule: Rule
    pool: Pool


def allocate(totals: Iterable[UsageTotal], snapshot: Snapshot) -> list[Part]:
    """Who bears what, in the order of keys. What costs exactly nothing is no part.

    `totals` are all those of one origin period that count: drivers derive from them too.
    """
    totals = list(totals)
    parts = divide(pools(totals, snapshot))
    borne, used = sum(part.cost for part in parts), sum(total.cost for total in totals)
    assert borne == used, (borne, used)
    return parts


def pools(totals: Iterable[UsageTotal], snapshot: Snapshot) -> list[RulePool]:
    """The pools of every rule that claims anything. No money is divided yet."""
    usage = tuple(Attributed(snapshot.directory.owner(total), total) for total in totals)
    drivers = Drivers(usage)
    made: list[RulePool] = []
    for rule, claimed in _claims(usage, snapshot.rules):
        of_rule = METHODS[rule.rule_type].pools(claimed, rule, snapshot.directory, drivers)
        _assert_partition(rule, claimed, of_rule)
        made.extend(RulePool(rule, pool) for pool in of_rule)
    return made


def divide(claimed: Iterable[RulePool]) -> list[Part]:
    """Split each pool once per resource type, and gather what each pair bears."""
    gathered: dict[PartKey, _Gathered] = {}
    for rule, pool in claimed:
        weights = pool.effective_weights()
        whole = sum(weights.values())
        for resource_type, used in _by_resource_type(pool.usage).items():
            for pair, cost in split(used.cost, weights, otherwise=UNALLOCATED).items():
                key = PartKey(rule.rule_id, rule.version, pair, resource_type)
                part = gathered.setdefault(key, _Gathered())
                part.take(cost, used, None if pool.own else Fraction(weights[pair], whole))
    parts = [part.freeze(key) for key, part in gathered.items() if part.cost]
    return sorted(parts, key=lambda part: part.key.sort_key)


def looks_at(snapshot: Snapshot) -> frozenset[Dimension]:
    """What must be kept apart of totals for this allocation: they may be summed over the rest."""
    dimensions: set[Dimension] = set()
    for rule in snapshot.rules:
        dimensions |= METHODS[rule.rule_type].looks_at
        if rule.effective_from or rule.effective_to:
            dimensions.add("day")
    return frozenset(dimensions)


def _claims(
    usage: Sequence[Attributed], rules: Sequence[Rule]
) -> Iterable[tuple[Rule, list[Attributed]]]:
    """Each total whole to the first rule in effect on its day that takes it."""
    on_day: dict[date, tuple[Rule, ...]] = {}
    claimed: dict[tuple[str, int], tuple[Rule, list[Attributed]]] = {}
    for attributed in usage:
        day = attributed.total.day
        if day not in on_day:
            on_day[day] = in_effect(rules, day)
        rule = _claimant(attributed, on_day[day])
        key = (rule.rule_id, rule.version)
        claimed.setdefault(key, (rule, []))[1].append(attributed)
    return claimed.values()


def _claimant(attributed: Attributed, rules: Sequence[Rule]) -> Rule:
    for rule in rules:
        if METHODS[rule.rule_type].claims(rule, attributed):
            return rule
    raise AssertionError(f"{DEFAULT.cited} takes everything")


def _assert_partition(rule: Rule, claimed: Sequence[Attributed], made: Sequence[Pool]) -> None:
    pooled = [id(attributed) for pool in made for attributed in pool.usage]
    assert len(pooled) == len(claimed), (rule.cited, len(pooled), len(claimed))
    assert set(pooled) == set(map(id, claimed)), f"{rule.cited} pools what it did not claim"
    keys = [pool.key for pool in made]
    assert len(set(keys)) == len(keys), (rule.cited, keys)


@dataclass(slots=True)
class _Used:
    cost: int = 0
    quantity: int = 0
    records: int = 0


def _by_resource_type(usage: Iterable[Attributed]) -> Mapping[str, _Used]:
    sums: dict[str, _Used] = {}
    for _, total in usage:
        used = sums.setdefault(total.resource_type, _Used())
        used.cost += total.cost
        used.quantity += total.quantity
        used.records += total.records
    return sums


@dataclass(slots=True)
class _Gathered:
    cost: int = 0
    quantity: int = 0
    records: int = 0
    shares: list[Fraction] = field(default_factory=list)

    def take(self, cost: int, used: _Used, share: Fraction | None) -> None:
        """One pool's part; `share` is None where nothing was divided."""
        self.cost += cost
        self.records += used.records
        if share is None:
            self.quantity += used.quantity
        else:
            self.shares.append(share)

    def freeze(self, key: PartKey) -> Part:
        share = Fraction(1) if not self.shares else None
        if len(self.shares) == 1:
            share = self.shares[0]
        return Part(key, self.cost, self.quantity, self.records, bool(self.shares), share)

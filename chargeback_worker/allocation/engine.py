"""From totals to parts: rules claim, methods make pools, and every pool is divided once.

Money is divided here and nowhere else in the room.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from typing import NamedTuple

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import Condition
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Pool
from chargeback_worker.allocation.rule import Rule, cited, in_effect
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
    return divide_all(pools(totals, snapshot), totals)


def divide_all(claimed: Iterable[RulePool], totals: Iterable[UsageTotal]) -> list[Part]:
    """What `divide` gives of the pools of those totals, which is all that they cost."""
    parts = divide(claimed)
    borne, used = sum(part.cost for part in parts), sum(total.cost for total in totals)
    assert borne == used, (borne, used)
    return parts


def pools(
    totals: Iterable[UsageTotal],
    snapshot: Snapshot,
    measured_by: Iterable[UsageTotal] | None = None,
) -> list[RulePool]:
    """The pools of every rule that claims anything. No money is divided yet.

    Where `totals` are only those that reach somebody, all usage is measured by `measured_by`.
    """
    usage = _attributed(totals, snapshot.directory)
    drivers = Drivers(
        usage, None if measured_by is None else _attributed(measured_by, snapshot.directory)
    )
    made: list[RulePool] = []
    for rule, claimed in _claims(usage, snapshot):
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
                part = gathered.get(key)
                if part is None:
                    part = gathered[key] = _Gathered()
                part.take(cost, used, None if pool.own else (weights[pair], whole))
    parts = [part.freeze(key) for key, part in gathered.items() if part.cost]
    return sorted(parts, key=lambda part: part.key.sort_key)


class Queue:
    """The rules of a day in the order in which they claim.

    Each rule is a bit, the first one the lowest. For a value of a field the bits of the rules that
    take it are found once; the lowest bit that all fields of a total have in common claims it.
    """

    def __init__(self, rules: Sequence[Rule], labels: Sequence[str]) -> None:
        self._rules = rules
        claims = [METHODS[rule.rule_type].claims(rule) for rule in rules]
        self._teams = _Bits([claim.teams for claim in claims])
        self._users = _Bits([claim.users for claim in claims])
        self._agents = _Bits([claim.agents for claim in claims])
        self._resource_types = _Bits([claim.resource_types for claim in claims])
        by_label = [_Bits([claim.label(name) for claim in claims]) for name in labels]
        self._labels = [(place, bits) for place, bits in enumerate(by_label) if bits.matter]

    def first(self, owner: Pair, total: UsageTotal) -> Rule:
        """The rule that claims a total; `DEFAULT`, the last one, takes everything."""
        bits = (
            self._teams[owner.team]
            & self._users[owner.user]
            & self._agents[total.agent]
            & self._resource_types[total.resource_type]
        )
        for place, of_label in self._labels:
            bits &= of_label[total.labels[place]]
        return self._rules[(bits & -bits).bit_length() - 1]


class _Bits(dict[str | None, int]):
    """For a value of a field, the rules that take it."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions
        self.matter = not all(condition.takes_all for condition in conditions)
        named = (condition.values for condition in conditions if condition.values is not None)
        # Few values are named, and to all others the rules are the same.
        self._told_apart = frozenset[str | None]([None]).union(*named)
        self._others = sum(1 << n for n, taken in enumerate(conditions) if taken.values is None)

    def __missing__(self, value: str | None) -> int:
        bits = self._others
        if value in self._told_apart:
            bits = sum(1 << n for n, taken in enumerate(self._conditions) if taken.takes(value))
        self[value] = bits
        return bits


def _attributed(totals: Iterable[UsageTotal], directory: Directory) -> tuple[Attributed, ...]:
    """Each total with the pair it belongs to, equal pairs being one object: they are looked up
    for every total, and the same object is found fastest."""
    pairs: dict[Pair, Pair] = {}

    @cache
    def owner(team: str | None, user: str | None, day: date) -> Pair:
        pair = directory.owner(team, user, day)
        return pairs.setdefault(pair, pair)

    return tuple([Attributed(owner(used.team, used.user, used.day), used) for used in totals])


def _claims(
    usage: Sequence[Attributed], snapshot: Snapshot
) -> Iterable[tuple[Rule, list[Attributed]]]:
    """Each total whole to the first rule in effect on its day that takes it."""
    queues: dict[date, Queue] = {}
    claimed: dict[tuple[str, int], tuple[Rule, list[Attributed]]] = {}
    for attributed in usage:
        owner, total = attributed
        queue = queues.get(total.day)
        if queue is None:
            rules = in_effect(snapshot.rules, total.day)
            queue = queues[total.day] = Queue(rules, snapshot.labels)
        rule = queue.first(owner, total)
        key = (rule.rule_id, rule.version)
        of_rule = claimed.get(key)
        if of_rule is None:
            of_rule = claimed[key] = (rule, [])
        of_rule[1].append(attributed)
    return claimed.values()


def _assert_partition(rule: Rule, claimed: Sequence[Attributed], made: Sequence[Pool]) -> None:
    pooled = sum(len(pool.usage) for pool in made)
    assert pooled == len(claimed), (rule.cited, pooled, len(claimed))
    left = set(map(id, claimed))
    for pool in made:
        left.difference_update(map(id, pool.usage))
    assert not left, f"{rule.cited} pools what it did not claim"
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
        used = sums.get(total.resource_type)
        if used is None:
            used = sums[total.resource_type] = _Used()
        used.cost += total.cost
        used.quantity += total.quantity
        used.records += total.records
    return sums


_ALL = Fraction(1)


@dataclass(slots=True)
class _Gathered:
    cost: int = 0
    quantity: int = 0
    records: int = 0
    splits: int = 0
    weight: tuple[int, int] = (1, 1)

    def take(self, cost: int, used: _Used, weight: tuple[int, int] | None) -> None:
        """One pool's part; `weight` is its weight of the whole, None where nothing was divided."""
        self.cost += cost
        self.records += used.records
        if weight is None:
            self.quantity += used.quantity
        else:
            self.splits += 1
            self.weight = weight

    def freeze(self, key: PartKey) -> Part:
        share: Fraction | None = _ALL
        if self.splits:
            share = Fraction(*self.weight) if self.splits == 1 else None
        return Part(key, self.cost, self.quantity, self.records, bool(self.splits), share)

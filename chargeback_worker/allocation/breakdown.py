"""What a part is made of: the pools it came from, its share of each, and what that follows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from chargeback_worker.allocation.engine import PartKey, RulePool
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Pool
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.money import split
from chargeback_worker.usage.total import UsageTotal


class Measure(StrEnum):
    """What the weights of a pool are: the last is whatever a method of its own names."""

    OWN = "own"
    COST = "cost"
    QUANTITY = "quantity"
    RECORDS = "records"
    PERCENT = "percent"
    EQUAL = "equal"
    WEIGHT = "weight"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Weight:
    """A pair's weight and that of all pairs together, as the method named them.

    `share` is what they come to: with all of them zero, an even one.
    """

    measure: Measure
    own: int
    whole: int
    share: Fraction

    @property
    def evenly(self) -> bool:
        """Whether there was nothing to follow, so that it was divided evenly."""
        return not self.whole


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one pool gives to a part. `groups` are all its totals of the resource type, whose sums
    are `whole_cost`, `quantity` and `records`; `cost` is the part of that.
    """

    rule: Rule
    pool: tuple[str | None, ...]
    weight: Weight
    cost: int
    whole_cost: int
    quantity: int
    records: int
    groups: tuple[UsageTotal, ...]

    @property
    def own(self) -> bool:
        """Whether nothing was divided."""
        return self.weight.measure is Measure.OWN


def contributions(made: Iterable[RulePool], key: PartKey) -> list[Contribution]:
    """What each pool gives to a part, by the pools' keys; the costs sum to the part's."""
    found = []
    for pool, rule, groups in _pools(made, key):
        weights = pool.effective_weights()
        if key.pair not in weights:
            continue
        whole = sum(group.cost for group in groups)
        found.append(
            Contribution(
                rule,
                pool.key,
                _weight(rule, pool, key.pair, weights),
                split(whole, weights, otherwise=UNALLOCATED)[key.pair],
                whole,
                sum(group.quantity for group in groups),
                sum(group.records for group in groups),
                groups,
            )
        )
    return sorted(found, key=lambda one: tuple((name is not None, name or "") for name in one.pool))


def _pools(
    made: Iterable[RulePool], key: PartKey
) -> Iterator[tuple[Pool, Rule, tuple[UsageTotal, ...]]]:
    """The pools of the part's rule version that have its resource type."""
    for rule, pool in made:
        if (rule.rule_id, rule.version) != (key.rule_id, key.version):
            continue
        groups = tuple(
            used.total for used in pool.usage if used.total.resource_type == key.resource_type
        )
        if groups:
            yield pool, rule, groups


def _weight(rule: Rule, pool: Pool, pair: Pair, effective: Mapping[Pair, int]) -> Weight:
    share = Fraction(effective[pair], sum(effective.values()))
    if not pool.weights:
        return Weight(Measure.NOBODY, 0, 0, share)
    return Weight(_measure(rule, pool), pool.weights[pair], sum(pool.weights.values()), share)


def _measure(rule: Rule, pool: Pool) -> Measure:
    """By the fields that its method looks at, so that a new one needs no line here."""
    uses = METHODS[rule.rule_type].uses
    if pool.own:
        return Measure.OWN
    if "driver" in uses:
        return Measure(rule.driver.value)
    if "split_percentages" in uses:
        return Measure.PERCENT
    return Measure.EQUAL if len(set(pool.weights.values())) == 1 else Measure.WEIGHT

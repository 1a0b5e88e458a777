"""What a method is given and what it makes: attributed totals in, pools with exact weights out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.usage.total import UsageTotal

Dimension = Literal["day", "agent", "labels"]
"""What a rule may look at in a total, besides its pair and its resource type."""


class Attributed(NamedTuple):
    """A usage total with the pair it belongs to once the directory is applied."""

    owner: Pair
    total: UsageTotal


@dataclass(frozen=True, slots=True)
class Drivers:
    """What weights may derive from: all usage of the period, whatever rule claims it."""

    usage: tuple[Attributed, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """Totals that are divided by one vector of weights, whatever their day.

    `key` names the pool within its rule and must not depend on anything that late usage can
    change: by it a pool is found again in another computation of the same period. Weights are
    whole numbers >= 0; all zero divides evenly, none at all leaves the pool unallocated. `own`
    says that nothing is divided: usage that goes to its one pair with its quantity.
    """

    key: tuple[str | None, ...]
    weights: Mapping[Pair, int]
    usage: Sequence[Attributed]
    own: bool = False

    @classmethod
    def owned(cls, owner: Pair, usage: Sequence[Attributed]) -> "Pool":
        return cls(("own", owner.team, owner.user), {owner: 1}, usage, own=True)

    def __post_init__(self) -> None:
        assert not self.own or len(self.weights) == 1, self.key
        assert all(weight >= 0 for weight in self.weights.values()), self.weights

    def effective_weights(self) -> Mapping[Pair, int]:
        """The weights above zero that really divide it, with both special cases written out."""
        if not self.weights:
            return {UNALLOCATED: 1}
        if not any(self.weights.values()):
            return dict.fromkeys(self.weights, 1)
        return {pair: weight for pair, weight in self.weights.items() if weight}


@dataclass(frozen=True, slots=True)
class Method:
    """The two functions of a rule type, and what they look at.

    `claims` says whether a rule of this type takes a total that no earlier rule took; `pools`
    partitions all that it took. Neither computes money.
    """

    claims: Callable[[Rule, Attributed], bool]
    pools: Callable[[Sequence[Attributed], Rule, Directory, Drivers], list[Pool]]
    looks_at: frozenset[Dimension] = frozenset()

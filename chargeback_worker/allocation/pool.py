"""What a method is given and what it makes: attributed totals in, pools with exact weights out."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import Claim
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.rule import Rule

Dimension = Literal["day", "agent", "labels"]
"""What a method may look at in a total by itself, besides its pair and its resource type."""


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

    @classmethod
    def owned_each(cls, usage: Iterable[Attributed]) -> list["Pool"]:
        """A pool for each pair that the usage belongs to."""
        by_owner: defaultdict[Pair, list[Attributed]] = defaultdict(list)
        for attributed in usage:
            by_owner[attributed.owner].append(attributed)
        return [cls.owned(owner, claimed) for owner, claimed in by_owner.items()]

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


class Objection(NamedTuple):
    """Why a method cannot work with a rule: the kind of fault, the rule's field, and a sentence."""

    kind: str
    field: str
    sentence: str


def _nothing_to_object(rule: Rule) -> Iterable[Objection]:
    return ()


class Bearer(NamedTuple):
    """Whose allocations are asked for: a team's with whatever user, or a user's in whatever team.

    `one` is of one side. `teams` are those that the user may be found in, as a member or by usage.
    """

    one: Pair
    teams: frozenset[str] = frozenset()

    def bears(self, pair: Pair) -> bool:
        """Whether what a pair bears is asked for."""
        if self.one.team is not None:
            return pair.team == self.one.team
        return pair.user is not None and pair.user == self.one.user

    def among(self, pairs: Iterable[Pair]) -> bool:
        return any(map(self.bears, pairs))


def _everything(rule: Rule, bearer: Bearer) -> Claim | None:
    return Claim()


@dataclass(frozen=True, slots=True)
class Method:
    """What there is to know of a rule type; no function of it computes money.

    `claims`: which totals a rule of this type takes, if no earlier rule took them.
    `pools`: a partition of all that it took, with weights.
    `says`: in plain words who bears what it claims, as the end of "rent@1 …".
    `uses`: the fields of a written rule, besides match and team_id, that it looks at.
    `check`: what makes a rule of this type impossible, when it is written.
    `looks_at`: dimensions of totals that `pools` tells apart by itself; `day` too where it asks the
    directory about another team than the one that usage belongs to.
    `reaches`: of what a rule claims, the usage that somebody may bear a part of though it is not
    their own, and all that such a part is weighed by, whatever rule claims it; None where there is
    none. Without it all usage is read, whoever is asked for.
    `measures`: weights come from what `drivers` measures; that need not be in `reaches`.
    """

    claims: Callable[[Rule], Claim]
    pools: Callable[[Sequence[Attributed], Rule, Directory, Drivers], list[Pool]]
    says: Callable[[Rule], str]
    uses: frozenset[str] = frozenset()
    check: Callable[[Rule], Iterable[Objection]] = _nothing_to_object
    looks_at: frozenset[Dimension] = frozenset()
    reaches: Callable[[Rule, Bearer], Claim | None] = _everything
    measures: bool = False

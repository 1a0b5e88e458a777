from collections.abc import Mapping
from datetime import date

import pytest

from chargeback_worker.allocation.engine import allocate, pools
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.methods.fixed_split import METHOD
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Objection
from chargeback_worker.allocation.rule import Receiver, Rule, Share
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.money import NANO
from tests.support.borne import borne
from tests.support.pure_ledger import usage


def of(percent_nano: Mapping[str, int], **fields: Match) -> Rule:
    shares = tuple(
        Share(Receiver(name, Pair(name)), percent) for name, percent in percent_nano.items()
    )
    return Rule("rent", 1, "fixed_split", split=shares, **fields)  # type: ignore[arg-type]


def test_it_claims_what_matches() -> None:
    match = Match(users=("x",))
    assert METHOD.claims(of({"A": 100 * NANO})).takes_all
    assert METHOD.claims(of({"A": 100 * NANO}, match=match)) == match.claim()


def test_percentages_are_exact_to_the_nano_dollar() -> None:
    """Example 3 of the written rules."""
    rule = of({"C": 33_400_000_000, "B": 33_300_000_000, "A": 33_300_000_000})
    assert borne([usage(10)], rule) == [("team:A", 3), ("team:B", 3), ("team:C", 4)]


def test_the_first_rule_splits_what_it_matches_and_the_next_one_the_rest() -> None:
    """Example 6 of the written rules."""
    match = Match(resource_types=("compute",))
    first = Rule(
        "split", 1, "fixed_split", priority=10, match=match, split=of({"Z": 100 * NANO}).split
    )
    used = [usage(4, team="A"), usage(12, team="A", resource_type="compute"), usage(6)]
    assert borne(used, first, Rule("all", 1, "by_usage", priority=1000)) == [
        ("team:A", 10),
        ("team:Z", 12),
    ]


def test_a_version_from_the_middle_of_the_month_speaks_for_the_days_from_then_on() -> None:
    """Example 9 of the written rules."""
    day = usage(0).day
    middle, last = day.replace(day=15), day.replace(day=20)
    old = of({"A": 60 * NANO, "B": 40 * NANO})
    new = of({"A": 50 * NANO, "B": 50 * NANO})
    dated = Rule("rent", 2, "fixed_split", split=new.split, effective_from=middle)
    without_dates = Rule("rent", 2, "fixed_split", split=new.split)
    used = [usage(1000, day=day), usage(1000, day=last)]

    def summed(second: Rule) -> tuple[int, int]:
        parts = borne(used, old, second)
        return tuple(  # type: ignore[return-value]
            sum(cost for key, cost in parts if key == name) for name in ("team:A", "team:B")
        )

    assert summed(dated) == (1100, 900)
    assert summed(without_dates) == (1000, 1000)


def test_a_single_receiver_bears_it_all_without_quantity() -> None:
    (part,) = allocate([usage(7, team="B", quantity=3)], Snapshot((of({"A": 100 * NANO}),)))
    assert (part.key.pair, part.cost, part.quantity) == (Pair("A"), 7, 0)
    assert part.shared
    assert part.share == 1


def test_a_refund_is_divided_as_the_cost_was() -> None:
    rule = of({"A": 50 * NANO, "B": 50 * NANO})
    assert borne([usage(-7)], rule) == [("team:A", -4), ("team:B", -3)]


def test_a_smallest_percentage_may_come_to_nothing() -> None:
    rule = of({"A": 100 * NANO - 1, "B": 1})
    assert borne([usage(49)], rule) == [("team:A", 49)]
    assert borne([usage(10**11)], rule) == [("team:A", 10**11 - 1), ("team:B", 1)]


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        (
            of({}),
            [("no_receiver", "split_percentages", "a fixed_split needs receivers and percentages")],
        ),
        (
            of({"A": 0, "B": 100 * NANO}),
            [("percentages", "split_percentages.A", "0 is not above 0")],
        ),
        (
            of({"A": -(10**8), "B": 100 * NANO + 10**8}),
            [("percentages", "split_percentages.A", "-0.1 is not above 0")],
        ),
        (
            of({"A": 60 * NANO, "B": 39_900_000_000}),
            [("percentages", "split_percentages", "they sum to 99.9, not to exactly 100")],
        ),
        (
            of({"A": 100 * NANO + 1}),
            [("percentages", "split_percentages", "they sum to 100.000000001, not to exactly 100")],
        ),
        (
            of({"A": -NANO}),
            [
                ("percentages", "split_percentages.A", "-1 is not above 0"),
                (
                    "percentages",
                    "split_percentages",
                    "they sum to -1, not to exactly 100",
                ),
            ],
        ),
        (of({"A": 100 * NANO}), []),
        (of({"A": 100 * NANO - 1, "B": 1}), []),
    ],
)
def test_percentages_must_be_above_zero_and_sum_to_a_hundred(
    rule: Rule, faults: list[tuple[str, str, str]]
) -> None:
    assert list(METHOD.check(rule)) == [Objection(*fault) for fault in faults]


def test_all_that_it_claims_is_one_pool() -> None:
    used = [usage(1), usage(2, team="A", user="x", day=date(2025, 10, 20))]
    ((_, pool),) = pools(used, Snapshot((of({"A": 60 * NANO, "B": 40 * NANO}),)))
    assert (pool.key, pool.weights, len(pool.usage)) == (
        ("split",),
        {Pair("A"): 60 * NANO, Pair("B"): 40 * NANO},
        2,
    )
    assert not pool.own


def test_it_says_who_bears_what() -> None:
    assert METHOD.says(of({"B": 66_600_000_000, "A": 33_400_000_000})) == (
        "divides it by agreed percentages: team:B 66.6 %, team:A 33.4 %"
    )


def test_it_looks_at_the_percentages_alone() -> None:
    assert METHOD.uses == {"split_percentages"}
    assert METHOD.looks_at == frozenset()

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.engine import Part, PartKey, allocate, looks_at, pools
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Attributed, Method, Pool
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_usage, trial_methods
from tests.support.pure_ledger import usage

SHARED = Snapshot(rules=(trial_methods.BY_USAGE,))
TEAMS = Snapshot(rules=(trial_methods.BY_TEAM,))
BOTH = Snapshot(rules=(trial_methods.BY_USAGE, replace(trial_methods.BY_TEAM, priority=1)))
snapshots = st.sampled_from([Snapshot(), SHARED, TEAMS, BOTH])


@pytest.fixture(autouse=True, scope="module")
def _methods() -> Iterator[None]:
    with trial_methods.installed():
        yield


@given(made_usage.totals(), snapshots)
def test_every_cost_is_allocated_exactly_once(totals: list[UsageTotal], snapshot: Snapshot) -> None:
    parts = allocate(totals, snapshot)
    for resource_type in ("compute", "query"):
        used = sum(t.cost for t in totals if t.resource_type == resource_type)
        assert sum(p.cost for p in parts if p.key.resource_type == resource_type) == used


@given(made_usage.totals(), snapshots, st.randoms())
def test_the_order_of_totals_changes_nothing(
    totals: list[UsageTotal], snapshot: Snapshot, random: Random
) -> None:
    mixed = list(totals)
    random.shuffle(mixed)
    assert allocate(mixed, snapshot) == allocate(totals, snapshot)


@given(made_usage.totals(), snapshots)
def test_other_names_in_the_same_order_bear_the_same(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    def renamed(name: str | None) -> str | None:
        return None if name is None else f"new {name}"

    def moved(part: Part) -> Part:
        pair = part.key.pair
        return replace(
            part, key=part.key._replace(pair=Pair(renamed(pair.team), renamed(pair.user)))
        )

    others = [replace(t, team=renamed(t.team), user=renamed(t.user)) for t in totals]
    assert allocate(others, snapshot) == [moved(part) for part in allocate(totals, snapshot)]


@given(made_usage.totals(), snapshots)
def test_totals_may_be_summed_over_what_no_rule_looks_at(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    assert looks_at(snapshot) == frozenset()
    summed: dict[tuple[str | None, str | None, str], UsageTotal] = {}
    for total in totals:
        key = (total.team, total.user, total.resource_type)
        known = summed.get(
            key, replace(total, day=date(2025, 10, 1), cost=0, quantity=0, records=0)
        )
        summed[key] = replace(
            known,
            cost=known.cost + total.cost,
            quantity=known.quantity + total.quantity,
            records=known.records + total.records,
        )
    assert allocate(summed.values(), snapshot) == allocate(totals, snapshot)


def test_a_rule_with_dates_looks_at_days() -> None:
    rule = replace(trial_methods.BY_USAGE, effective_from=date(2025, 10, 2))
    assert looks_at(Snapshot(rules=(rule,))) == {"day"}


def test_a_pool_is_split_by_largest_remainder_with_ties_to_the_first() -> None:
    seen = [usage(0, team="T1", user=user) for user in ("u3", "u2", "u1")]
    parts = allocate([*seen, usage(100, team="T1")], TEAMS)
    assert [(part.key.pair.user, part.cost) for part in parts] == [
        ("u1", 34),
        ("u2", 33),
        ("u3", 33),
    ]
    assert all(part.shared and part.share == Fraction(1, 3) for part in parts)
    assert {part.quantity for part in parts} == {0}


def test_own_and_shared_cost_of_one_resource_type_are_one_part() -> None:
    totals = [usage(90, team="A", quantity=7), usage(10, team="B"), usage(300)]
    part = allocate(totals, SHARED)[0]
    assert part.key == PartKey("shared", 1, Pair("A"), "query")
    assert (part.cost, part.quantity, part.records) == (360, 7, 2)
    assert part.shared
    assert part.share == Fraction(9, 10)


def test_what_costs_nothing_is_no_part() -> None:
    assert allocate([usage(5, team="A"), usage(-5, team="A"), usage(0, user="x")], Snapshot()) == []


def test_without_weights_a_pool_is_unallocated() -> None:
    (part,) = allocate([usage(300)], SHARED)
    assert part.key == PartKey("shared", 1, UNALLOCATED, "query")


def test_with_zero_weights_a_pool_is_split_evenly() -> None:
    totals = [usage(-5, team="A"), usage(0, team="B"), usage(10)]
    parts = allocate(totals, SHARED)
    assert [(part.key.pair.team, part.cost) for part in parts] == [("B", 5)]


def test_the_first_rule_takes_a_total_whole_and_the_next_one_the_rest() -> None:
    totals = [usage(7, team="A", user="x"), usage(3)]
    assert [(p.key.cited, p.key.pair) for p in allocate(totals, BOTH)] == [
        ("shared@1", Pair("A")),
        ("teams@1", Pair("A", "x")),
    ]


def test_each_day_is_claimed_by_the_version_of_that_day() -> None:
    old = replace(trial_methods.BY_TEAM, effective_to=date(2025, 10, 15))
    new = replace(trial_methods.BY_TEAM, version=2, effective_from=date(2025, 10, 15))
    totals = [
        usage(1, team="A", day=date(2025, 10, 14)),
        usage(2, team="A", day=date(2025, 10, 15)),
    ]
    parts = allocate(totals, Snapshot(rules=(new, old)))
    assert [(p.key.cited, p.cost) for p in parts] == [("teams@1", 1), ("teams@2", 2)]


@pytest.mark.parametrize("fault", ["left out", "twice", "same key"])
def test_pools_that_do_not_partition_the_claim_are_refused(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(claimed: Sequence[Attributed], *_: object) -> list[Pool]:
        one, two = claimed
        return {
            "left out": [Pool(("a",), {}, [one])],
            "twice": [Pool(("a",), {}, [one, two]), Pool(("b",), {}, [two])],
            "same key": [Pool(("a",), {}, [one]), Pool(("a",), {}, [two])],
        }[fault]

    monkeypatch.setitem(METHODS, "faulty", Method(lambda *_: True, faulty))
    snapshot = Snapshot(rules=(Rule("faulty", 1, "faulty"),))
    with pytest.raises(AssertionError, match="faulty@1"):
        pools([usage(1, team="A"), usage(1, team="A")], snapshot)

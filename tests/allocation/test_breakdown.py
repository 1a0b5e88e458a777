"""Parts and the pools they came from: every number adds up to the step above."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given

from chargeback_worker.allocation.breakdown import Contribution, Measure, contributions
from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.engine import PartKey, RulePool, divide, pools
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Method, Pool
from chargeback_worker.allocation.rule import Driver, Receiver, Rule, Share
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.money import NANO
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage
from tests.support.laws import law
from tests.support.pure_ledger import usage

A, B = Pair("A"), Pair("B")
RECEIVERS = (Receiver("A", A), Receiver("B", B))


@law()
@given(
    totals=made_usage.totals(labels=made_usage.LABELS, max_size=20), snapshot=made_rules.snapshots()
)
def test_what_the_pools_give_sums_to_each_part(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    made = pools(totals, snapshot)
    for part in divide(made):
        found = contributions(made, part.key)
        assert sum(one.cost for one in found) == part.cost
        assert sum(one.records for one in found) == part.records
        assert sum(one.quantity for one in found if one.own) == part.quantity
        assert any(not one.own for one in found) == part.shared
        for one in found:
            assert one.whole_cost == sum(group.cost for group in one.groups)
            assert one.quantity == sum(group.quantity for group in one.groups)
            assert one.records == sum(group.records for group in one.groups)
            assert abs(one.cost - one.whole_cost * one.weight.share) < 1
            assert {group.resource_type for group in one.groups} == {part.key.resource_type}


@law()
@given(totals=made_usage.totals(max_size=20), snapshot=made_rules.snapshots(()))
def test_all_that_a_pool_gives_is_its_whole(totals: list[UsageTotal], snapshot: Snapshot) -> None:
    made = pools(totals, snapshot)
    given_: dict[tuple[object, ...], int] = {}
    wholes: dict[tuple[object, ...], int] = {}
    shares: dict[tuple[object, ...], Fraction] = {}
    for key in _every_key(made):
        for one in contributions(made, key):
            name = (key.rule_id, key.version, key.resource_type, one.pool)
            given_[name] = given_.get(name, 0) + one.cost
            shares[name] = shares.get(name, Fraction(0)) + one.weight.share
            wholes[name] = one.whole_cost
    assert given_ == wholes
    assert set(shares.values()) <= {Fraction(1)}
    assert sum(wholes.values()) == sum(total.cost for total in totals)


def _every_key(made: list[RulePool]) -> set[PartKey]:
    return {
        PartKey(rule.rule_id, rule.version, pair, used.total.resource_type)
        for rule, pool in made
        for pair in pool.effective_weights()
        for used in pool.usage
    }


def _only(rule: Rule, pair: Pair, *totals: UsageTotal) -> Contribution:
    made = pools(totals, Snapshot(rules=(rule,)))
    (found,) = contributions(made, PartKey(rule.rule_id, rule.version, pair, "compute"))
    return found


def test_shared_cost_shows_the_driver_that_it_follows() -> None:
    shared = usage(300 * NANO, resource_type="compute")
    totals = (usage(90 * NANO, team="A"), usage(10 * NANO, team="B"), shared)
    found = _only(Rule("r", 1, "by_usage"), A, *totals)
    weight = found.weight
    assert (weight.measure, weight.own, weight.whole) == (Measure.COST, 90 * NANO, 100 * NANO)
    assert (weight.share, found.cost) == (Fraction(9, 10), 270 * NANO)
    assert not weight.evenly
    assert found.groups == (shared,)


@pytest.mark.parametrize("driver", Driver)
def test_each_driver_is_named(driver: Driver) -> None:
    rule = Rule("r", 1, "by_usage", receivers=RECEIVERS, driver=driver)
    totals = (usage(3, team="A", quantity=5, records=7), usage(9, resource_type="compute"))
    found = _only(rule, A, *totals)
    assert found.weight.measure == driver.value
    assert found.weight.own == {"cost": 3, "quantity": 5, "records": 7}[driver.value]


def test_a_driver_of_nothing_divides_evenly_and_says_so() -> None:
    rule = Rule("r", 1, "by_usage", receivers=RECEIVERS)
    found = _only(rule, B, usage(9, resource_type="compute"))
    assert found.weight.evenly
    assert (found.weight.own, found.weight.whole) == (0, 0)
    assert (found.weight.share, found.cost) == (Fraction(1, 2), 4)


def test_percentages_equal_parts_and_own_usage_are_told_apart() -> None:
    used = usage(10, team="A", resource_type="compute")
    split = (Share(RECEIVERS[0], 60 * NANO), Share(RECEIVERS[1], 40 * NANO))
    percent = _only(Rule("r", 1, "fixed_split", split=split), A, used).weight
    assert (percent.measure, percent.own, percent.whole) == (
        Measure.PERCENT,
        60 * NANO,
        100 * NANO,
    )
    equal = _only(Rule("r", 1, "equal_split", receivers=RECEIVERS), A, used).weight
    assert (equal.measure, equal.own, equal.whole) == (Measure.EQUAL, 1, 2)
    by_x = usage(10, team="A", user="x", resource_type="compute")
    own = _only(Rule("r", 1, "by_user"), Pair("A", "x"), by_x).weight
    assert (own.measure, own.own, own.whole) == (Measure.OWN, 1, 1)


def test_what_has_no_receiver_is_given_to_nobody() -> None:
    found = _only(Rule("r", 1, "by_usage"), UNALLOCATED, usage(9, resource_type="compute"))
    assert (found.weight.measure, found.cost) == (Measure.NOBODY, 9)
    assert found.weight.share == Fraction(1)


def test_a_part_of_several_pools_shows_each() -> None:
    members = (Member("x"), Member("y", first=date(2025, 10, 10)))
    directory = Directory(1, (Team("A", members),))
    totals = [usage(8 * n, team="A", day=date(2025, 10, n)) for n in (3, 20)]
    made = pools(totals, Snapshot(rules=(Rule("r", 1, "by_team"),), directory=directory))
    both = contributions(made, PartKey("r", 1, Pair("A", "x"), "query"))
    assert [(one.cost, one.whole_cost) for one in both] == [(24, 24), (80, 160)]
    one = contributions(made, PartKey("r", 1, Pair("A", "y"), "query"))
    assert [found.pool for found in one] == [("team", "A", "x", "y")]


def test_what_is_no_part_came_from_no_pool() -> None:
    made = pools([usage(5, team="A", user="x")], Snapshot(rules=(Rule("r", 1, "by_team"),)))
    assert contributions(made, PartKey("r", 1, Pair("A", "x"), "query"))
    for key in (
        PartKey("r", 1, Pair("A", "z"), "query"),
        PartKey("r", 2, Pair("A", "x"), "query"),
        PartKey("r", 1, Pair("A", "x"), "compute"),
    ):
        assert contributions(made, key) == []


def test_a_method_that_names_weights_of_its_own_needs_no_line_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sixth = Method(
        lambda rule: rule.narrowed,
        lambda claimed, *_: [Pool(("sixth",), {A: 2, B: 5}, claimed)],
        lambda rule: "divides it two to five",
    )
    monkeypatch.setitem(METHODS, "sixth", sixth)
    found = _only(Rule("r", 1, "sixth"), B, usage(7, resource_type="compute"))
    weight = found.weight
    assert (weight.measure, weight.own, weight.whole) == (Measure.WEIGHT, 5, 7)

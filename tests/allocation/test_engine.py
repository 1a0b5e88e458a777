from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.drivers import Attributed
from chargeback_worker.allocation.engine import PartKey, Queue, allocate, divide, pools
from chargeback_worker.allocation.match import Claim, Condition, Match
from chargeback_worker.allocation.methods import METHODS, default
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Pool
from chargeback_worker.allocation.rule import DEFAULT, Rule, in_effect
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage
from tests.support.laws import law
from tests.support.pure_ledger import usage

BY_USAGE, BY_TEAM = Rule("shared", 1, "by_usage"), Rule("teams", 1, "by_team")
SHARED, TEAMS = Snapshot(rules=(BY_USAGE,)), Snapshot(rules=(BY_TEAM,))
BOTH = Snapshot(rules=(BY_USAGE, replace(BY_TEAM, priority=1)))
DAY = date(2025, 10, 3)


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
    old = replace(BY_TEAM, effective_to=date(2025, 10, 15))
    new = replace(BY_TEAM, version=2, effective_from=date(2025, 10, 15))
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

    method = replace(default.METHOD, pools=faulty)
    monkeypatch.setitem(METHODS, "faulty", method)
    snapshot = Snapshot(rules=(Rule("faulty", 1, "faulty"),))
    with pytest.raises(AssertionError, match="faulty"):
        pools([usage(1, team="A"), usage(1, team="A")], snapshot)


def test_pools_of_what_another_rule_claimed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(claimed: Sequence[Attributed], *_: object) -> list[Pool]:
        return [Pool(("a",), {}, [Attributed(used.owner, used.total) for used in claimed])]

    monkeypatch.setitem(METHODS, "faulty", replace(default.METHOD, pools=faulty))
    with pytest.raises(AssertionError, match="faulty@1 pools what it did not claim"):
        pools([usage(1)], Snapshot(rules=(Rule("faulty", 1, "faulty"),)))


def test_a_part_of_two_splits_has_no_single_share() -> None:
    """T has two sets of members in the month, and x bears a part of both."""
    tenth = date(2025, 10, 10)
    team = Team("T", (Member("x"), Member("y"), Member("z", tenth)))
    totals = [
        usage(10, team="T", day=DAY, quantity=5, records=2),
        usage(9, team="T", day=tenth, records=3),
    ]
    parts = allocate(totals, Snapshot((BY_TEAM,), Directory(1, (team,))))
    x, y, z = parts
    assert [part.cost for part in parts] == [8, 8, 3]
    assert (x.share, y.share, z.share) == (None, None, Fraction(1, 3))
    assert [part.records for part in parts] == [5, 5, 3]
    assert [part.quantity for part in parts] == [0, 0, 0]


def test_each_resource_type_of_a_pool_is_divided_by_itself() -> None:
    rule = Rule("r", 1, "equal_split", user_ids=("x", "y"))
    totals = [usage(1), usage(1), usage(1, resource_type="compute")]
    parts = allocate(totals, Snapshot((rule,)))
    assert [(p.key.pair.user, p.key.resource_type, p.cost) for p in parts] == [
        ("x", "compute", 1),
        ("x", "query", 1),
        ("y", "query", 1),
    ]
    assert divide(pools(totals, Snapshot((rule,)))) == parts


def test_days_of_one_version_are_divided_together() -> None:
    """A nano-dollar on each of two days is one to each of two, not twice to the first."""
    rule = Rule("r", 1, "equal_split", user_ids=("x", "y"))
    totals = [usage(1, day=date(2025, 10, day)) for day in (3, 20)]
    assert [part.cost for part in allocate(totals, Snapshot((rule,)))] == [1, 1]


def claiming(rules: Sequence[Rule], total: UsageTotal, owner: Pair, labels: Iterable[str]) -> Rule:
    """What a queue must find, asked rule by rule."""

    def takes(claim: Claim) -> bool:
        values: dict[str, str | None] = {
            "teams": owner.team,
            "users": owner.user,
            "agents": total.agent,
            "resource_types": total.resource_type,
        }
        named = dict(zip(labels, total.labels, strict=True))
        values |= {f"labels.{name}": value for name, value in named.items()}
        return all(of.takes(values[name]) for name, of in claim.fields().items())

    return next(rule for rule in rules if takes(METHODS[rule.rule_type].claims(rule)))


@law(60)
@given(made_usage.totals(labels=made_usage.LABELS), made_rules.rules(made_usage.LABELS), st.data())
def test_a_queue_finds_the_first_rule_that_takes_a_total(
    totals: list[UsageTotal], rules: tuple[Rule, ...], data: st.DataObject
) -> None:
    in_force = in_effect(rules, DAY)
    queue = Queue(in_force, made_usage.LABELS)
    for total in totals:
        owner = Pair(data.draw(st.sampled_from([None, "A", "D"])), total.user)
        found = claiming(in_force, total, owner, made_usage.LABELS)
        assert queue.first(owner, total) is found


def test_a_queue_asks_for_the_team_that_usage_belongs_to_and_not_for_the_recorded_one() -> None:
    rule = Rule("r", 1, "by_team", team_id="A")
    queue = Queue((rule, DEFAULT), ())
    assert queue.first(Pair("A", "x"), usage(1, user="x")) is rule
    assert queue.first(Pair("B", "x"), usage(1, user="x")) is DEFAULT


def test_a_queue_without_rules_gives_everything_to_the_default() -> None:
    assert Queue((DEFAULT,), ("project",)).first(Pair(), usage(1, labels=("p",))) is DEFAULT


def test_the_labels_of_a_rule_are_found_by_name() -> None:
    rule = Rule("r", 1, "by_usage", match=Match(labels=(("stage", ("prod", None)),)))
    queue = Queue((rule, DEFAULT), ("project", "stage", "zone"))
    asked = {stage: usage(1, labels=("prod", stage, "prod")) for stage in ("prod", None, "", "x")}
    found = {stage: queue.first(UNALLOCATED, total) for stage, total in asked.items()}
    assert found == {"prod": rule, None: rule, "": DEFAULT, "x": DEFAULT}
    assert METHODS["by_usage"].claims(rule).label("stage") == Condition.one_of(["prod", None])


def test_parts_are_cited_by_rule_and_version() -> None:
    key = PartKey("rent", 3, Pair("A", "x"), "query")
    assert key.cited == "rent@3"
    assert key.sort_key == ("rent", 3, (False, ("team:A", "user:x")), "query")

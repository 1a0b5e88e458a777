"""What holds for all rules, directories and usage."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import Member, Team
from chargeback_worker.allocation.engine import Part, PartKey, allocate, pools
from chargeback_worker.allocation.rule import Driver, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage
from tests.support.laws import law
from tests.support.renaming import Renaming, renamings

T = TypeVar("T")
usages = made_usage.totals(labels=made_usage.LABELS)
snapshots = made_rules.snapshots()
randoms = st.randoms(use_true_random=False)


def shuffled(values: Sequence[T], random: Random) -> list[T]:
    return random.sample(values, len(values))


def costs(parts: list[Part]) -> dict[PartKey, int]:
    return {part.key: part.cost for part in parts}


@law()
@given(usages, snapshots)
def test_every_cost_is_allocated_exactly_once(totals: list[UsageTotal], snapshot: Snapshot) -> None:
    parts = allocate(totals, snapshot)
    assert sum(part.cost for part in parts) == sum(total.cost for total in totals)
    for resource_type in made_usage.RESOURCE_TYPES:
        used = sum(total.cost for total in totals if total.resource_type == resource_type)
        borne = sum(part.cost for part in parts if part.key.resource_type == resource_type)
        assert borne == used


@law()
@given(usages, snapshots)
def test_nothing_is_claimed_twice_or_left_out(totals: list[UsageTotal], snapshot: Snapshot) -> None:
    claimed = Counter(id(used.total) for _, pool in pools(totals, snapshot) for used in pool.usage)
    assert claimed == Counter(map(id, totals))


@law()
@given(usages, snapshots)
def test_parts_stand_in_the_order_of_their_keys_and_none_costs_nothing(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    parts = allocate(totals, snapshot)
    order = [part.key.sort_key for part in parts]
    assert order == sorted(set(order))
    assert all(part.cost for part in parts)


@law()
@given(usages, snapshots, randoms)
def test_no_order_changes_anything(
    totals: list[UsageTotal], snapshot: Snapshot, random: Random
) -> None:
    """Of totals, rules, teams, and members."""
    directory = snapshot.directory
    teams = [
        replace(team, members=tuple(shuffled(team.members, random))) for team in directory.teams
    ]
    mixed = replace(
        snapshot,
        rules=tuple(shuffled(snapshot.rules, random)),
        directory=replace(directory, teams=tuple(shuffled(teams, random))),
    )
    assert allocate(shuffled(totals, random), mixed) == allocate(totals, snapshot)


@law()
@given(usages, snapshots)
def test_a_receiver_nobody_names_and_who_used_nothing_bears_nothing(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    directory = snapshot.directory
    unused = Team("unused", (Member("idle"), Member("idle too", primary=True)))
    larger = replace(snapshot, directory=replace(directory, teams=(*directory.teams, unused)))
    assert allocate(totals, larger) == allocate(totals, snapshot)


@law()
@given(usages, snapshots)
def test_who_bears_something_is_named_or_used_something_or_is_a_member(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    named = [r.pair for rule in snapshot.rules for r in rule.receivers]
    named += [share.receiver.pair for rule in snapshot.rules for share in rule.split]
    used = {total.team for total in totals} | {total.user for total in totals}
    teams = {pair.team for pair in named} | {rule.team_id for rule in snapshot.rules}
    users = {pair.user for pair in named} | {u for rule in snapshot.rules for u in rule.user_ids}
    for part in allocate(totals, snapshot):
        team, user = part.key.pair.team, part.key.pair.user
        assert team is None or team in used | teams | snapshot.directory.team_ids
        assert user is None or user in used | users | snapshot.directory.user_ids


@law()
@given(usages, snapshots, renamings)
def test_other_names_in_the_same_order_bear_the_same(
    totals: list[UsageTotal], snapshot: Snapshot, renaming: Renaming
) -> None:
    renamed = allocate(map(renaming.total, totals), renaming.snapshot(snapshot))
    expected = [replace(part, key=renaming.key(part.key)) for part in allocate(totals, snapshot)]
    assert renamed == sorted(expected, key=lambda part: part.key.sort_key)


def _out_of_reach(rule: Rule) -> st.SearchStrategy[Rule]:
    """The rule, narrowed so that it takes nothing of what is used in October 2025."""
    rule = replace(rule, rule_id="r", version=1)
    unseen = [
        replace(rule, match=replace(rule.match, agents=("unseen",))),
        replace(rule, match=replace(rule.match, labels=(("stage", ("unseen",)),))),
        replace(rule, match=replace(rule.match, users=("unseen",))),
        replace(rule, team_id="unseen"),
        replace(rule, effective_from=date(2025, 11, 1)),
        replace(rule, effective_to=date(2025, 10, 1)),
        replace(rule, enabled=False),
        replace(rule, ended=True),
    ]
    return st.sampled_from(unseen)


@law()
@given(usages, snapshots, made_rules.versions(made_usage.LABELS).flatmap(_out_of_reach))
def test_a_rule_that_claims_nothing_changes_nothing(
    totals: list[UsageTotal], snapshot: Snapshot, idle: Rule
) -> None:
    larger = replace(snapshot, rules=(*snapshot.rules, idle))
    assert allocate(totals, larger) == allocate(totals, snapshot)


@law()
@given(usages, snapshots, st.sampled_from([{"enabled": False}, {"ended": True}]))
def test_a_disabled_or_deleted_rule_is_none(
    totals: list[UsageTotal], snapshot: Snapshot, silenced: dict[str, Any]
) -> None:
    def without(*rules: Rule) -> Snapshot:
        kept = [rule for rule in snapshot.rules if rule.rule_id != "r0"]
        return replace(snapshot, rules=(*kept, *rules))

    newest = replace(Rule("r0", 9, "by_team"), **silenced)
    old = [rule for rule in snapshot.rules if rule.rule_id == "r0"]
    assert allocate(totals, without(*old, newest)) == allocate(totals, without())


@law()
@given(usages, snapshots)
def test_negated_costs_are_mirrored_unless_shares_follow_cost(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    rules = tuple(
        replace(rule, driver=Driver.RECORDS) if rule.driver is Driver.COST else rule
        for rule in snapshot.rules
    )
    snapshot = replace(snapshot, rules=rules)
    negated = [replace(total, cost=-total.cost) for total in totals]
    assert allocate(negated, snapshot) == [
        replace(part, cost=-part.cost) for part in allocate(totals, snapshot)
    ]


@law()
@given(usages, snapshots, st.integers(-50, 50), st.integers(-50, 50), st.data())
def test_a_total_in_two_parts_changes_nothing(
    totals: list[UsageTotal], snapshot: Snapshot, cost: int, quantity: int, data: st.DataObject
) -> None:
    if totals:
        place = data.draw(st.integers(0, len(totals) - 1))
        whole = totals[place]
        part = replace(whole, cost=cost, quantity=quantity, records=1)
        rest = replace(
            whole,
            cost=whole.cost - cost,
            quantity=whole.quantity - quantity,
            records=whole.records - 1,
        )
        in_two = [*totals[:place], part, *totals[place + 1 :], rest]
        assert allocate(in_two, snapshot) == allocate(totals, snapshot)


@law()
@given(usages, usages, snapshots)
def test_what_stays_with_its_owner_adds_up(
    some: list[UsageTotal], more: list[UsageTotal], snapshot: Snapshot
) -> None:
    own = replace(snapshot, rules=(Rule("r0", 1, "by_user"),))
    summed = Counter(costs(allocate(some, own)))
    summed.update(costs(allocate(more, own)))
    together = costs(allocate([*some, *more], own))
    assert {key: cost for key, cost in summed.items() if cost} == together


@law()
@given(usages, snapshots)
def test_a_stored_snapshot_allocates_the_same_and_stays_as_it_is(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    stored = json.dumps(snapshot.to_document())
    parts = allocate(totals, snapshot)
    read = Snapshot.from_document(json.loads(stored))
    assert read == snapshot
    assert allocate(totals, read) == parts
    assert json.dumps(snapshot.to_document()) == json.dumps(read.to_document()) == stored

"""Who bears what, worked out total by total from the written rules of billing alone.

Slow, and it shares nothing with the engine but the values that go in and `split`: no pools, no
claims, no sums made once. Each total is asked for the rule that takes it and for the exact parts of
one in which that rule divides it; totals of one rule version with the same parts are divided
together, once per resource type.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.rule import DEFAULT, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.money import split
from chargeback_worker.usage.total import UsageTotal

Parts = frozenset[tuple[Pair, Fraction]]


class Owned(NamedTuple):
    pair: Pair
    total: UsageTotal


class Borne(NamedTuple):
    """How a total is borne: by which rule, in which parts, and whether that divides it."""

    rule: Rule
    parts: Parts
    divided: bool


class Row(NamedTuple):
    cost: int
    quantity: int
    records: int
    shared: bool
    share: Fraction | None


def rows(totals: Iterable[UsageTotal], snapshot: Snapshot) -> dict[PartKey, Row]:
    """The allocation; what costs exactly nothing is left out."""
    taking_part: dict[PartKey, list[Row]] = defaultdict(list)
    for borne, usage in _together(_borne(totals, snapshot)).items():
        for resource_type in {total.resource_type for total in usage}:
            alike = [total for total in usage if total.resource_type == resource_type]
            quantity = sum(total.quantity for total in alike)
            records = sum(total.records for total in alike)
            for pair, cost in _divided(sum(total.cost for total in alike), borne.parts).items():
                key = PartKey(borne.rule.rule_id, borne.rule.version, pair, resource_type)
                share = dict(borne.parts)[pair]
                own = 0 if borne.divided else quantity
                taking_part[key].append(Row(cost, own, records, borne.divided, share))
    summed = {key: _summed(of_pools) for key, of_pools in taking_part.items()}
    return {key: row for key, row in summed.items() if row.cost}


def causes(
    totals: Sequence[UsageTotal], late: Callable[[UsageTotal], bool], snapshot: Snapshot
) -> dict[PartKey, Cause]:
    """Why each row of an allocation differs from the one before: `driver_changed` where totals
    that were there before are now divided otherwise, and in all that is divided with them.
    """
    before = dict(_borne([total for total in totals if not late(total)], snapshot))
    found: dict[PartKey, Cause] = {}
    for borne, usage in _together(_borne(totals, snapshot)).items():
        former = [before[total].parts for total in usage if total in before]
        moved = any(parts != borne.parts for parts in former)
        pairs = {pair for parts in [borne.parts, *former] for pair, _ in parts}
        for key in {
            PartKey(borne.rule.rule_id, borne.rule.version, pair, total.resource_type)
            for pair in pairs
            for total in usage
        }:
            if moved:
                found[key] = Cause.DRIVER_CHANGED
            found.setdefault(key, Cause.LATE_USAGE)
    return found


def _together(borne: Iterable[tuple[UsageTotal, Borne]]) -> dict[Borne, list[UsageTotal]]:
    alike: dict[Borne, list[UsageTotal]] = defaultdict(list)
    for total, how in borne:
        alike[how].append(total)
    return alike


def _divided(cost: int, parts: Parts) -> dict[Pair, int]:
    scale = lcm(*[share.denominator for _, share in parts])
    return split(cost, {pair: int(share * scale) for pair, share in parts}, otherwise=UNALLOCATED)


def _summed(of_pools: Sequence[Row]) -> Row:
    divided = [row.share for row in of_pools if row.shared]
    share = Fraction(1) if not divided else divided[0] if len(divided) == 1 else None
    return Row(
        sum(row.cost for row in of_pools),
        sum(row.quantity for row in of_pools),
        sum(row.records for row in of_pools),
        bool(divided),
        share,
    )


def _borne(totals: Iterable[UsageTotal], snapshot: Snapshot) -> list[tuple[UsageTotal, Borne]]:
    owned = [Owned(owner(total, snapshot), total) for total in totals]
    found = []
    for one in owned:
        rule = _claiming(one, snapshot)
        parts, divided = _METHODS[rule.rule_type](one, rule, snapshot, owned)
        whole = sum(parts.values())
        if not parts:
            parts, whole = {UNALLOCATED: 1}, 1
        if not whole:
            parts, whole = dict.fromkeys(parts, 1), len(parts)
        exact = frozenset(
            (pair, Fraction(weight, whole)) for pair, weight in parts.items() if weight
        )
        found.append((one.total, Borne(rule, exact, divided)))
    return found


# Directory


def owner(total: UsageTotal, snapshot: Snapshot) -> Pair:
    if total.team is not None or total.user is None:
        return Pair(total.team, total.user)
    memberships = [
        (team.team_id, member.primary)
        for team in snapshot.directory.teams
        for member in team.members
        if member.user_id == total.user and _within(total.day, member.first, member.until)
    ]
    teams = {team for team, _ in memberships}
    if len(teams) != 1:
        teams = {team for team, primary in memberships if primary}
    return Pair(teams.pop() if len(teams) == 1 else None, total.user)


def _members(team_id: str, day: date, snapshot: Snapshot) -> set[str]:
    return {
        member.user_id
        for team in snapshot.directory.teams
        if team.team_id == team_id
        for member in team.members
        if _within(day, member.first, member.until)
    }


def _within(day: date, first: date | None, until: date | None) -> bool:
    return (first or date.min) <= day < (until or date.max)


# Rules


def _claiming(one: Owned, snapshot: Snapshot) -> Rule:
    speaking: dict[str, Rule] = {}
    for rule in sorted(snapshot.rules, key=lambda rule: rule.version):
        in_closed = any(_within(one.total.day, days.start, days.end) for days in rule.closed)
        if _within(one.total.day, rule.effective_from, rule.effective_to) and not in_closed:
            speaking[rule.rule_id] = rule
    applying = [rule for rule in speaking.values() if rule.enabled and not rule.ended]
    applying.sort(key=lambda rule: (rule.priority, rule.rule_id))
    return next((rule for rule in applying if _takes(rule, one, snapshot)), DEFAULT)


def _takes(rule: Rule, one: Owned, snapshot: Snapshot) -> bool:
    pair, total, match = one.pair, one.total, rule.match
    asked = [
        (match.teams, pair.team),
        (match.users, pair.user),
        (match.agents, total.agent),
        (match.resource_types, total.resource_type),
    ]
    labels = dict(zip(snapshot.labels, total.labels, strict=True))
    asked += [(values, labels[name]) for name, values in match.labels]
    if any(values is not None and value not in values for values, value in asked):
        return False
    if rule.team_id is not None and pair.team != rule.team_id:
        return False
    if rule.rule_type == "by_team":
        return pair.team is not None
    if rule.rule_type == "by_user":
        if not rule.user_ids:
            return pair.user is not None
        narrowed = rule.team_id is not None or any(values is not None for values, _ in asked)
        return narrowed or pair.user in rule.user_ids
    return True


# Methods: the weights in which a total is borne, and whether that divides it.

Weights = dict[Pair, int]


def _own(one: Owned) -> tuple[Weights, bool]:
    return {one.pair: 1}, False


def _default(
    one: Owned, rule: Rule, snapshot: Snapshot, usage: Sequence[Owned]
) -> tuple[Weights, bool]:
    return _own(one)


def _by_usage(
    one: Owned, rule: Rule, snapshot: Snapshot, usage: Sequence[Owned]
) -> tuple[Weights, bool]:
    if one.pair != UNALLOCATED:
        return _own(one)
    owned = [other for other in usage if other.pair != UNALLOCATED]
    receivers = [receiver.pair for receiver in rule.receivers] or [
        Pair(user=pair.user) if pair.team is None else Pair(pair.team) for pair, _ in owned
    ]
    weights: Weights = {}
    for receiver in receivers:
        measured = 0
        for pair, total in owned:
            # A total counts once: for its team where that is a receiver, else for its user.
            counts_for = Pair(pair.team) if pair.team is not None else None
            if counts_for is None or counts_for not in receivers:
                counts_for = Pair(user=pair.user)
            asked = rule.driver_resource_types
            if counts_for == receiver and (not asked or total.resource_type in asked):
                measured += getattr(total, rule.driver.value)
        weights[receiver] = max(measured, 0)
    return weights, True


def _by_team(
    one: Owned, rule: Rule, snapshot: Snapshot, usage: Sequence[Owned]
) -> tuple[Weights, bool]:
    team = one.pair.team
    assert team is not None
    users = _members(team, one.total.day, snapshot)
    if not users:
        users = {pair.user for pair, _ in usage if pair.team == team and pair.user is not None}
    return ({Pair(team, user): 1 for user in users} or {Pair(team): 1}), True


def _by_user(
    one: Owned, rule: Rule, snapshot: Snapshot, usage: Sequence[Owned]
) -> tuple[Weights, bool]:
    if not rule.user_ids or one.pair.user in rule.user_ids:
        return _own(one)
    return {Pair(one.pair.team, user): 1 for user in rule.user_ids}, True


def _fixed_split(
    one: Owned, rule: Rule, snapshot: Snapshot, usage: Sequence[Owned]
) -> tuple[Weights, bool]:
    return {share.receiver.pair: share.percent_nano for share in rule.split}, True


def _equal_split(
    one: Owned, rule: Rule, snapshot: Snapshot, usage: Sequence[Owned]
) -> tuple[Weights, bool]:
    named = [Pair(user=user) for user in rule.user_ids]
    named += [receiver.pair for receiver in rule.receivers]
    return dict.fromkeys(named or [Pair(rule.team_id)], 1), True


_METHODS = {
    "default": _default,
    "by_usage": _by_usage,
    "by_team": _by_team,
    "by_user": _by_user,
    "fixed_split": _fixed_split,
    "equal_split": _equal_split,
}

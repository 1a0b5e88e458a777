"""Totals may be summed over what no rule tells apart, and what rules tell apart is kept."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.engine import PartKey, allocate
from chargeback_worker.allocation.grouping import Values, grouping
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pool import Dimension
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.settle import Booked, settle
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage, sixth_method
from tests.support.laws import law
from tests.support.pure_ledger import usage

OCTOBER, NOVEMBER = Period(2025, 10), Period(2025, 11)
ALL = OCTOBER.days()
TENTH, TWENTIETH = date(2025, 10, 10), date(2025, 10, 20)
usages = made_usage.totals(labels=made_usage.LABELS)
snapshots = made_rules.snapshots(types=(*made_rules.TYPES, "by_agent"))
of_october = st.lists(
    st.integers(1, 31).map(lambda day: date(2025, 10, day)), min_size=2, max_size=2, unique=True
).map(lambda days: BillingRange(min(days), max(days)))


@pytest.fixture(autouse=True, scope="module")
def _one_that_looks_at_agents() -> Iterator[None]:
    with sixth_method.installed():
        yield


def summed(
    totals: Iterable[UsageTotal], snapshot: Snapshot, days: BillingRange
) -> list[UsageTotal]:
    """What a store makes of totals: those that are alike in one."""
    sums: dict[UsageTotal, tuple[int, int, int]] = {}
    group = grouping(snapshot, days).group
    for total in totals:
        alike = replace(group(total), cost=0, quantity=0, records=0)
        cost, quantity, records = sums.get(alike, (0, 0, 0))
        sums[alike] = (cost + total.cost, quantity + total.quantity, records + total.records)
    return [
        replace(alike, cost=cost, quantity=quantity, records=records)
        for alike, (cost, quantity, records) in sums.items()
    ]


@law(80)
@given(usages, snapshots, st.just(ALL) | of_october)
def test_summed_before_is_allocated_the_same(
    totals: list[UsageTotal], snapshot: Snapshot, days: BillingRange
) -> None:
    within = [total for total in totals if days.start <= total.day < days.end]
    assert allocate(summed(within, snapshot, days), snapshot) == allocate(within, snapshot)


@law(60)
@given(usages, usages, snapshots, snapshots)
def test_summed_before_is_settled_the_same(
    punctual: list[UsageTotal], late: list[UsageTotal], snapshot: Snapshot, other: Snapshot
) -> None:
    """Causes too, and over what another snapshot had booked."""
    totals = [*punctual, *(replace(total, period=NOVEMBER) for total in late)]
    booked: Mapping[PartKey, Booked] = {
        part.key: Booked(part.cost, part.quantity, part.records, part.shared)
        for part in allocate(punctual, other)
    }
    by_group = summed(totals, snapshot, ALL)
    assert settle(by_group, snapshot, booked, origin=OCTOBER, closing=NOVEMBER) == settle(
        totals, snapshot, booked, origin=OCTOBER, closing=NOVEMBER
    )


@law()
@given(usages, snapshots)
def test_a_group_is_its_own_group(totals: list[UsageTotal], snapshot: Snapshot) -> None:
    group = grouping(snapshot, ALL).group
    for total in totals:
        assert group(group(total)) == group(total)


def test_without_rules_only_pairs_and_resource_types_are_kept() -> None:
    total = usage(1, team="A", user="x", agent="a1", labels=("p",), day=TWENTIETH)
    group = grouping(Snapshot(labels=("project",)), ALL).group
    assert group(total) == replace(total, day=ALL.start, agent=None, labels=(None,))


def test_days_are_cut_where_rules_change() -> None:
    rules = (
        Rule("a", 1, "by_team", effective_to=TWENTIETH),
        Rule("b", 1, "by_team", effective_from=ALL.start, effective_to=date(2025, 12, 1)),
    )
    made = grouping(Snapshot(rules), ALL)
    assert made.days == (ALL.start, TWENTIETH)
    assert made.tells_days_apart
    assert grouping(Snapshot(rules), BillingRange(TENTH, TWENTIETH)).days == (TENTH,)


def test_days_are_cut_for_a_team_and_its_members_where_anybody_joins_or_leaves() -> None:
    directory = Directory(
        1,
        (
            Team("A", (Member("x", date(2025, 9, 1), TENTH), Member("y"))),
            Team("B", (Member("y", TWENTIETH, date(2025, 11, 5)), Member("z", ALL.start))),
            Team("C", (Member("w"),)),
        ),
    )
    made = grouping(Snapshot(directory=directory), ALL)
    assert made.days == (ALL.start,)
    assert made.tells_days_apart
    assert made.team_days == {"A": (TENTH,), "B": (TWENTIETH,)}
    assert made.user_days == {"x": (TENTH,), "y": (TENTH, TWENTIETH), "z": (TWENTIETH,)}
    assert not grouping(Snapshot(directory=directory), BillingRange(ALL.start, TENTH)).team_days


def test_a_cut_of_a_team_does_not_matter_to_others() -> None:
    directory = Directory(1, (Team("A", (Member("x", TENTH),)),))
    rules = (Rule("a", 1, "by_team", effective_from=date(2025, 10, 15)),)
    made = grouping(Snapshot(rules, directory), ALL)
    starts = {
        (team, user): [made.day(date(2025, 10, day), team, user).day for day in (9, 10, 14, 15)]
        for team, user in [("A", None), ("A", "y"), (None, "x"), ("B", "x"), (None, "y")]
    }
    assert starts == {
        ("A", None): [1, 10, 10, 15],
        ("A", "y"): [1, 10, 10, 15],
        (None, "x"): [1, 10, 10, 15],
        ("B", "x"): [1, 1, 1, 15],
        (None, "y"): [1, 1, 1, 15],
    }
    assert made.day(ALL.start, None, None) == ALL.start


def test_days_are_not_cut_where_a_version_says_what_is_said_already() -> None:
    rules = (
        Rule("a", 1, "by_team"),
        Rule("b", 1, "by_team", enabled=False, effective_from=TENTH),
        Rule("b", 2, "by_team", ended=True, effective_from=TWENTIETH),
    )
    made = grouping(Snapshot(rules), ALL)
    assert made.days == (ALL.start,)
    assert not made.tells_days_apart


def test_a_rule_out_of_force_tells_nothing_apart() -> None:
    match = Match(agents=("a1",), labels=(("project", ("p",)),))
    rules = (
        Rule("a", 1, "by_team", match=match, enabled=False),
        Rule("b", 1, "by_team", match=match, effective_from=ALL.end),
    )
    made = grouping(Snapshot(rules, labels=("project",)), ALL)
    assert not made.agents.looked_at
    assert [values.looked_at for values in made.labels] == [False]


def test_values_that_no_rule_names_are_one() -> None:
    rules = (
        Rule("a", 1, "by_team", match=Match(agents=("a1",), labels=(("stage", (None,)),))),
        Rule("b", 1, "by_team", match=Match(agents=("a2", None))),
    )
    made = grouping(Snapshot(rules, labels=("project", "stage")), ALL)
    assert made.agents == Values(frozenset({"a1", "a2", None}))
    assert made.labels == (Values(), Values(frozenset({None})))
    kept = [made.agents.kept(agent) for agent in ("a1", "a3", "a4", "", None)]
    assert kept == ["a1", "(other)", "(other)", "(other)", None]
    assert made.labels[1].looked_at
    assert [made.labels[1].kept(label) for label in ("p", None)] == ["(other)", None]


def test_what_stands_for_the_others_is_none_of_those_named() -> None:
    values = Values(frozenset({"(other)", "(other)'"}))
    assert values.other == "(other)''"
    assert values.kept("x") == "(other)''"
    assert values.kept("(other)") == "(other)"


def test_labels_must_be_as_many_as_the_grain_has() -> None:
    made = grouping(Snapshot(labels=("project",)), ALL)
    for labels in ((), ("p", "q")):
        with pytest.raises(ValueError, match="zip"):
            made.kept_labels(labels)


def test_a_method_may_look_at_agents_by_itself() -> None:
    made = grouping(Snapshot((Rule("a", 1, "by_agent"),)), ALL)
    assert made.agents.whole
    assert made.agents.looked_at
    assert [made.agents.kept(agent) for agent in ("a1", "a2", None)] == ["a1", "a2", None]
    assert made.days == (ALL.start,)


@pytest.mark.parametrize("looked_at", ["day", "labels"])
def test_a_method_may_look_at_days_or_labels_by_itself(looked_at: Dimension) -> None:
    with pytest.MonkeyPatch.context() as patch:
        method = replace(sixth_method.METHOD, looks_at=frozenset({looked_at}))
        patch.setitem(METHODS, "by_agent", method)
        made = grouping(Snapshot((Rule("a", 1, "by_agent"),), labels=("project",)), ALL)
    days = tuple(ALL.each()) if looked_at == "day" else (ALL.start,)
    assert (made.days, made.labels[0].whole) == (days, looked_at == "labels")


def test_a_claim_to_any_agent_at_all_tells_the_missing_one_apart() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "by_agent", replace(sixth_method.METHOD, looks_at=frozenset()))
        made = grouping(Snapshot((Rule("a", 1, "by_agent"),)), ALL)
    assert made.agents.named == {None}
    assert [made.agents.kept(agent) for agent in ("a1", "a2", None)] == ["(other)", "(other)", None]

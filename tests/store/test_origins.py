"""Totals as a settlement reads them: what the database sums is what the grouping says."""

import random
from dataclasses import replace
from datetime import date

import pytest

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.grouping import Grouping, Values, grouping, measuring
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.store import Store, evidence, origins, totals
from chargeback_worker.usage.total import UsageTotal
from tests.support.stored_totals import MONTHS, NOVEMBER, OCTOBER, odd_totals, totals_of_days


@pytest.fixture
def filled(store: Store) -> Store:
    with store.begin() as transaction:
        totals.add(transaction, (total.sum() for total in odd_totals(600)))
    return store


def _by_the_law(kept: Grouping, stored: list[UsageTotal]) -> dict[UsageTotal, tuple[int, ...]]:
    sums: dict[UsageTotal, tuple[int, ...]] = {}
    for total in stored:
        group = replace(kept.group(total), cost=0, quantity=0, records=0)
        before = sums.get(group, (0, 0, 0))
        added = (total.cost, total.quantity, total.records)
        sums[group] = tuple(one + other for one, other in zip(before, added, strict=True))
    return sums


DIRECTORY = Directory(
    1,
    (
        Team("a", (Member("a", date(2026, 10, 9)), Member("it's", None, date(2026, 11, 20)))),
        Team("b", (Member("a", None, date(2026, 10, 9)), Member("b", date(2026, 10, 15)))),
        Team("100 %", (Member('"', date(2026, 10, 20), date(2026, 10, 21)),)),
    ),
)
MATCH = Match(agents=("it's", "100 %"), labels=(("x", ("a", None)), ("y", ('"',))))
LATER = Rule("later", 1, "by_team", effective_from=date(2026, 10, 15), match=MATCH)
GROUPINGS = {
    "nothing": Snapshot(labels=("x", "y")),
    "directory": Snapshot(directory=DIRECTORY, labels=("x", "y")),
    "rules": Snapshot((LATER,), labels=("x", "y")),
    "both": Snapshot((LATER,), DIRECTORY, labels=("x", "y")),
}


# Only "it's" is told apart among those who have a team.
GROUPINGS_OF = {name: grouping(snapshot, MONTHS) for name, snapshot in GROUPINGS.items()}
GROUPINGS_OF["measuring"] = measuring(GROUPINGS["both"], MONTHS, frozenset({"it's"}))
GROUPINGS_OF["measuring teams"] = measuring(GROUPINGS["both"], MONTHS, frozenset())


@pytest.mark.parametrize("named", GROUPINGS_OF)
def test_totals_are_summed_as_the_grouping_says(filled: Store, named: str) -> None:
    kept = GROUPINGS_OF[named]
    with filled.read() as transaction:
        groups = origins.of_days(transaction, MONTHS, kept)
        assert groups, "something is stored"
        assert len({group.key for group in groups}) == len(groups)
        expected = _by_the_law(kept, totals_of_days(transaction, MONTHS))
    assert {
        replace(group, cost=0, quantity=0, records=0): (group.cost, group.quantity, group.records)
        for group in groups
    } == expected


def test_every_total_stays_apart_where_all_is_kept(filled: Store) -> None:
    whole = Values(whole=True)
    kept = Grouping(tuple(MONTHS.each()), whole, (whole, whole))
    with filled.read() as transaction:
        groups = origins.of_days(transaction, MONTHS, kept)
        stored = totals_of_days(transaction, MONTHS)
    assert sorted(groups, key=lambda total: total.key) == list(stored)


def test_only_what_those_periods_bill_of_the_month_counts(filled: Store) -> None:
    kept = grouping(Snapshot(labels=("x", "y")), OCTOBER.days())
    with filled.read() as transaction:
        late = origins.counted(transaction, OCTOBER, [NOVEMBER], kept)
        stored = totals_of_days(transaction, OCTOBER.days(), [NOVEMBER])
    assert sum(total.cost for total in late) == sum(total.cost for total in stored)
    assert {total.day for total in late} == {OCTOBER.days().start}


@pytest.mark.parametrize("named", GROUPINGS)
def test_what_is_behind_a_group_is_what_was_summed(filled: Store, named: str) -> None:
    kept = grouping(GROUPINGS[named], MONTHS)
    with filled.read() as transaction:
        groups = origins.of_days(transaction, MONTHS, kept)
        for group in random.Random(named).sample(groups, 25):
            behind = evidence.totals_behind(transaction, [group], kept, MONTHS, limit=0).sums
            summed = (behind.cost, behind.quantity, behind.records)
            assert summed == (group.cost, group.quantity, group.records)

"""What reaches somebody is read as `Reach` says, and nothing else."""

from dataclasses import replace
from datetime import date

import pytest

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.grouping import grouping, measuring
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer
from chargeback_worker.allocation.reach import Reach, bearer, reach
from chargeback_worker.allocation.rule import Receiver, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.store import Store, origins, reached, totals
from chargeback_worker.usage.total import UsageTotal
from tests.support.stored_totals import MONTHS, NOVEMBER, OCTOBER, odd_totals, totals_of_days

LABELS = ("x", "y")
ALL = (
    *(Pair(team=name) for name in ("a", "it's", "")),
    *(Pair(user=name) for name in ("b", "100 %")),
)
TO_ALL = tuple(Receiver(one.key, one) for one in ALL)
SHARED = Match(teams=(None,), users=(None,))
DIRECTORY = Directory(1, (Team("a", (Member("b", date(2026, 10, 9)), Member("it's"))),))
RULES = {
    "none": (),
    "agents": (Rule("r", 1, "equal_split", match=Match(agents=("it's", None)), receivers=TO_ALL),),
    "labels": (
        Rule("r", 1, "equal_split", match=Match(labels=(("y", ('"', None)),)), receivers=TO_ALL),
        Rule("s", 1, "equal_split", match=Match(labels=(("x", ("100 %",)),)), receivers=TO_ALL[:1]),
    ),
    "shared": (Rule("r", 1, "by_usage", match=SHARED, receivers=TO_ALL),),
    "teams": (Rule("r", 1, "by_team", match=Match(resource_types=("query",))),),
    "everything": (Rule("r", 1, "equal_split", receivers=TO_ALL),),
}


@pytest.fixture
def filled(store: Store) -> Store:
    with store.begin() as transaction:
        totals.add(transaction, (total.sum() for total in odd_totals(600)))
    return store


def _stored(totals_read: list[UsageTotal]) -> list[UsageTotal]:
    return sorted(totals_read, key=lambda total: total.key)


@pytest.mark.parametrize("directory", [Directory(), DIRECTORY], ids=["nobody", "members"])
@pytest.mark.parametrize("named", RULES)
def test_the_totals_that_are_read_are_those_that_reach_somebody(
    filled: Store, named: str, directory: Directory
) -> None:
    snapshot = Snapshot(RULES[named], directory, labels=LABELS)
    kept = grouping(snapshot, MONTHS)
    with filled.read() as transaction:
        for one in ALL:
            seen = () if one.user is None else reached.teams_of(transaction, one.user, MONTHS)
            found = reach(snapshot, MONTHS, [bearer(one, directory, seen)])
            read = reached.read(transaction, MONTHS, kept, snapshot, found)
            stored = totals_of_days(transaction, MONTHS)
            wanted = [total for total in stored if found.takes(total, LABELS)]
            assert wanted
            assert found.everything == (len(wanted) == len(stored))
            assert _summed(read.totals) == _summed([kept.group(total) for total in wanted])


def _summed(found: list[UsageTotal]) -> dict[UsageTotal, list[int]]:
    sums: dict[UsageTotal, list[int]] = {}
    for total in found:
        group = replace(total, cost=0, quantity=0, records=0)
        sums_of_group = sums.setdefault(group, [0, 0, 0])
        for place, amount in enumerate((total.cost, total.quantity, total.records)):
            sums_of_group[place] += amount
    return sums


def test_everybody_is_measured_by_all_that_counts(filled: Store) -> None:
    snapshot = Snapshot(RULES["shared"], DIRECTORY, labels=LABELS)
    kept = grouping(snapshot, OCTOBER.days())
    found = reach(snapshot, OCTOBER.days(), [Bearer(ALL[0])])
    assert found.measured is not None
    summed = measuring(snapshot, OCTOBER.days(), found.measured)
    with filled.read() as transaction:
        late = reached.read(transaction, OCTOBER.days(), kept, snapshot, found, [NOVEMBER])
        all_late = origins.counted(transaction, OCTOBER, [NOVEMBER], summed)
    assert late.measured_by is not None
    assert _stored(late.measured_by) == _stored(all_late)
    assert {total.period for total in late.totals} == {NOVEMBER}


def test_without_anything_to_measure_nothing_more_is_read(filled: Store) -> None:
    snapshot = Snapshot(labels=LABELS)
    everything = reach(snapshot, MONTHS, [Bearer(ALL[0])])
    with filled.read() as transaction:
        kept = grouping(snapshot, MONTHS)
        assert reached.read(transaction, MONTHS, kept, snapshot, everything).measured_by is None


def test_nothing_is_read_for_who_is_named_nowhere(filled: Store) -> None:
    snapshot = Snapshot(labels=LABELS)
    nobody = reach(snapshot, MONTHS, [Bearer(Pair(team="nobody"))])
    with filled.read() as transaction:
        kept = grouping(snapshot, MONTHS)
        assert reached.read(transaction, MONTHS, kept, snapshot, nobody).totals == []
        assert reached.read(transaction, MONTHS, kept, snapshot, Reach(())).totals == []


def test_the_teams_of_a_user_are_those_that_usage_names(filled: Store) -> None:
    with filled.read() as transaction:
        found = reached.teams_of(transaction, "it's", OCTOBER.days())
        stored = totals_of_days(transaction, OCTOBER.days())
    named = {total.team for total in stored if total.user == "it's" and total.team is not None}
    assert found == sorted(named)

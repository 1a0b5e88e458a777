"""From groups of totals back to what is stored of them."""

import itertools
import random
from datetime import date

import pytest

from chargeback_worker.allocation.grouping import Grouping, Values
from chargeback_worker.period import Period
from chargeback_worker.store import Store, origins
from chargeback_worker.store.evidence import (
    RecordPlace,
    StoredRecord,
    StoredTotal,
    Sums,
    first_totals,
    records_behind,
    totals_behind,
)
from chargeback_worker.store.groups import Group
from chargeback_worker.usage.event import Grain
from chargeback_worker.usage.total import UsageTotal
from tests.support.feed import Feed, set_state, usage
from tests.support.stored_totals import totals_of_days

OCTOBER, NOVEMBER = Period(2026, 10), Period(2026, 11)
DAYS = OCTOBER.days()
FIRST, MIDDLE = DAYS.start, date(2026, 10, 15)
GROUPINGS = {
    "nothing": Grouping((FIRST,), labels=(Values(), Values())),
    "days": Grouping((FIRST, MIDDLE), labels=(Values(), Values())),
    "agents": Grouping((FIRST,), Values(frozenset({"g", None})), (Values(), Values())),
    "every agent": Grouping((FIRST,), Values(whole=True), (Values(), Values())),
    "labels": Grouping((FIRST,), labels=(Values(frozenset({"p", ""})), Values(whole=True))),
    "all": Grouping(
        (FIRST, MIDDLE), Values(frozenset({"g"})), (Values(frozenset({None})), Values(whole=True))
    ),
}


@pytest.fixture
def filled(store: Store) -> Store:
    """October with everything that rules can tell apart, some of it late and billed in November."""
    feed = Feed(store, grain=Grain("UTC", ("project", "stage")))
    feed.send(*_made(0, 150))
    set_state(store, OCTOBER, "closed")
    feed.send(*_made(150, 220), usage("of november", day="2026-11-02"))
    return store


def _made(first: int, last: int) -> list[bytes]:
    made = []
    for number in range(first, last):
        drawn = random.Random(number)
        labels = {"project": drawn.choice(["p", "q", ""]), "stage": drawn.choice(["s", "="])}
        made.append(
            usage(
                f"u-{number}",
                f"{drawn.randint(-5, 40)}.{drawn.randint(0, 999_999_999):09d}".replace("-0.", "0."),
                day=f"2026-10-{drawn.choice([1, 14, 15, 31]):02d}",
                team=drawn.choice(["A", "=A", None]),
                user_id=drawn.choice(["x", None]),
                agent_id=drawn.choice(["g", "h", "(other)", None]),
                resource_type=drawn.choice(["query", "compute"]),
                metadata={key: labels[key] for key in drawn.choice([[], ["project"], labels])},
                quantity=str(drawn.randint(0, 10**9)),
            )
        )
    return made


def _pages_of_totals(
    store: Store, groups: list[UsageTotal], kept: Grouping, limit: int
) -> list[StoredTotal]:
    found: list[StoredTotal] = []
    with store.read() as transaction:
        while page := totals_behind(
            transaction,
            groups,
            kept,
            DAYS,
            limit=limit,
            after=found[-1].total_key if found else None,
        ).page:
            assert len(page) <= limit
            found += page
    return found


def _pages_of_records(store: Store, keys: list[bytes], limit: int) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    after: RecordPlace | None = None
    with store.read() as transaction:
        while page := records_behind(transaction, keys, limit=limit, after=after):
            assert len(page) <= limit
            found += page
            after = page[-1].place
    return found


def test_each_group_has_the_totals_that_were_summed_into_it(filled: Store) -> None:
    for kept in GROUPINGS.values():
        _check_groups(filled, kept)


def _check_groups(filled: Store, kept: Grouping) -> None:
    with filled.read() as transaction:
        groups = origins.counted(transaction, OCTOBER, [OCTOBER, NOVEMBER], kept)
        seen: list[bytes] = []
        for group in groups:
            every, behind = totals_behind(transaction, [group], kept, DAYS, limit=1000)
            assert {kept.group(stored.total).key for stored in behind} == {group.key}
            assert every == Sums(len(behind), group.cost, group.quantity, group.records)
            assert sum(stored.total.cost for stored in behind) == group.cost
            seen += (stored.total_key for stored in behind)
        stored_totals = totals_of_days(transaction, DAYS)
        assert sorted(seen) == sorted(total.key for total in stored_totals)


def test_the_first_totals_of_each_group_are_the_first_of_its_page(filled: Store) -> None:
    for kept, each in itertools.product(GROUPINGS.values(), [1, 3, 1000]):
        with filled.read() as transaction:
            groups = origins.counted(transaction, OCTOBER, [OCTOBER, NOVEMBER], kept)[::2]
            names = [Group.of(group) for group in groups]
            found = first_totals(transaction, names, kept, DAYS, each=each)
            assert found == {
                name: [
                    stored.total_key
                    for stored in totals_behind(transaction, [group], kept, DAYS, limit=each).page
                ]
                for name, group in zip(names, groups, strict=True)
            }


def test_pages_give_every_total_and_every_record_once(filled: Store) -> None:
    for kept, limit in zip(GROUPINGS.values(), itertools.cycle([1, 7, 1000]), strict=False):
        _check_pages(filled, kept, limit)


def _check_pages(filled: Store, kept: Grouping, limit: int) -> None:
    with filled.read() as transaction:
        groups = origins.counted(transaction, OCTOBER, [OCTOBER, NOVEMBER], kept)
    chosen = groups[::2]
    found = _pages_of_totals(filled, chosen, kept, limit)
    keys = [stored.total_key for stored in found]
    assert keys == sorted(set(keys))
    with filled.read() as transaction:
        behind = totals_behind(transaction, chosen, kept, DAYS, limit=0).sums
    assert behind == _summed(found)
    records = _pages_of_records(filled, keys, limit)
    assert len({record.usage_id for record in records}) == len(records) == behind.records
    assert [record.place for record in records] == sorted(record.place for record in records)
    for stored in found:
        own = [record for record in records if record.place.total_key == stored.total_key]
        assert sum(record.cost for record in own) == stored.total.cost
        assert sum(record.quantity for record in own) == stored.total.quantity
        assert {record.late for record in own} == {stored.total.period != OCTOBER}


def _summed(found: list[StoredTotal]) -> Sums:
    rows = [total for _, total in found]
    return Sums(
        len(rows),
        sum(row.cost for row in rows),
        sum(row.quantity for row in rows),
        sum(row.records for row in rows),
    )


def test_more_values_than_a_statement_takes_are_found_all_the_same(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargeback_worker.store.groups._VALUES_MAX", 0)
    monkeypatch.setattr("chargeback_worker.store.evidence._KEYS_AT_ONCE", 3)
    kept = GROUPINGS["agents"]
    with filled.read() as transaction:
        groups = origins.counted(transaction, OCTOBER, [OCTOBER, NOVEMBER], kept)
        behind = totals_behind(transaction, groups, kept, DAYS, limit=0).sums
        expected = totals_of_days(transaction, DAYS)
    assert behind.totals == len(expected)
    assert behind.cost == sum(total.cost for total in expected)
    found = _pages_of_totals(filled, groups, kept, 5)
    assert [stored.total_key for stored in found] == sorted(total.key for total in expected)
    records = _pages_of_records(filled, [stored.total_key for stored in found], 4)
    assert len(records) == behind.records


def test_no_groups_have_nothing_behind_them(filled: Store) -> None:
    kept = GROUPINGS["nothing"]
    with filled.read() as transaction:
        assert totals_behind(transaction, [], kept, DAYS, limit=5) == (Sums(), [])
        assert first_totals(transaction, [], kept, DAYS, each=5) == {}
        assert records_behind(transaction, [], limit=5) == []


def test_sums_are_taken_away_field_by_field() -> None:
    assert Sums(5, -4, 3, 2).less(Sums(1, -1, 1, 1)) == Sums(4, -3, 2, 1)

"""What if: the whole usage again under other rules, beside what stands, and nothing written."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.invoicing.document import Document, encode
from chargeback_worker.money import NANO
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.allocate import allocate
from chargeback_worker.reports.preview import preview
from chargeback_worker.store import Store, bookings
from tests.support.feed import Feed, set_state, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import (
    NOVEMBER,
    NOW_US,
    OCTOBER,
    TERMS,
    act,
    closed,
)
from tests.support.made_months import (
    FAR_US,
    Used,
    cost_of,
    events,
    everything,
    months_of,
    nano,
    of_year,
    send,
    shared,
    some_rules,
    write,
    year_of,
)

_DAYS = OCTOBER.days()
_FEW = law_on_a_store(12)


def _previewed(store: Store, days: BillingRange = _DAYS, **asked: Any) -> Document:
    found: Document = preview(store, days, TERMS, limit=1_000, **asked)["preview"]
    return found


def _would(found: Document) -> dict[Pair, int]:
    return {Pair(row["team_id"], row["user_id"]): nano(row["would_usd"]) for row in found["rows"]}


def _differences(found: Document) -> dict[str, int]:
    return {
        Pair(row["team_id"], row["user_id"]).key: nano(row["difference_usd"])
        for row in found["rows"]
        if nano(row["difference_usd"])
    }


@_FEW
@given(used=events(), rules=some_rules(), others=some_rules())
def test_all_usage_is_borne_under_any_rules_and_nothing_is_written(
    store: Store, used: list[Used], rules: list[Rule], others: list[Rule]
) -> None:
    year = year_of(store, used, rules)
    before = everything(store)
    days = BillingRange(date(year, 1, 1), date(year, 3, 1))
    found = _previewed(store, days, rules=of_year(others, year, word="other"))
    assert everything(store) == before

    assert sum(_would(found).values()) == nano(found["total"]["would_usd"]) == cost_of(used)
    for row in found["rows"]:
        for name in ("would_usd", "beside_usd", "difference_usd"):
            assert nano(row[name]) == sum(nano(sums[name]) for sums in row["by_rule"].values())
    sums = {name: sum(nano(row[name]) for row in found["rows"]) for name in found["total"]}
    assert sums == {name: nano(amount) for name, amount in found["total"].items()}
    assert sums["difference_usd"] == sums["would_usd"] - sums["beside_usd"]


@_FEW
@given(used=events(month=1), late=events(month=1, max_size=3), rules=some_rules())
def test_a_preview_is_what_the_close_books_and_afterwards_no_difference(
    store: Store, used: list[Used], late: list[Used], rules: list[Rule]
) -> None:
    year = year_of(store, used, rules)
    month, _ = months_of(year)
    before = _previewed(store, month.days())
    closed(store, month, now_us=FAR_US)
    with store.read() as transaction:
        booked: dict[Pair, int] = {}
        for row in bookings.of_close(transaction, month):
            booked[row.owed.pair] = booked.get(row.owed.pair, 0) + row.owed.cost
    would = {pair: cost for pair, cost in _would(before).items() if cost}
    assert would == {pair: cost for pair, cost in booked.items() if cost}

    after = _previewed(store, month.days())
    assert [one["with"] for one in after["beside"]] == ["closed"]
    assert _differences(after) == {}
    assert _previewed(store, month.days(), rules=of_year(rules, year))["total"] == after["total"]

    send(store, year, late, word="late")
    with_late = _previewed(store, month.days())
    assert nano(with_late["total"]["difference_usd"]) == cost_of(late)


@pytest.fixture
def october(store: Store) -> Store:
    """Usage of two teams and of nobody, and a rule that divides what B used."""
    Feed(store).send(
        usage("a", "1", team="A", user_id=None),
        usage("b", "4", team="B", user_id=None),
        usage("c", "3", team=None, user_id=None),
    )
    write(store, shared("even", Pair("A"), Pair("B"), priority=10, team_id="B"))
    return store


_TO_C = (shared("to-c", Pair("C")),)


def test_an_open_month_has_nothing_beside_it_before_its_first_run(october: Store) -> None:
    found = _previewed(october)
    assert (found["rules"], found["beside"]) == ("stored", [])
    assert {row["beside_usd"] for row in found["rows"]} == {None}
    assert found["total"]["difference_usd"] is None
    assert _would(found) == {Pair("A"): 3 * NANO, Pair("B"): 2 * NANO, Pair(): 3 * NANO}


def test_it_has_the_shape_that_programs_rely_on(october: Store) -> None:
    first = preview(october, OCTOBER.days(), TERMS, rules=_TO_C, limit=1)
    cursor = first["preview"]["next_cursor"]
    assert encode(first) == (
        b'{"preview":{"period_start":"2026-10-01","period_end":"2026-11-01","rules":"given",'
        b'"beside":[{"period_start":"2026-10-01","period_end":"2026-11-01","with":"rules",'
        b'"created_at":null}],"total":{"would_usd":8,"beside_usd":8,"difference_usd":0},'
        b'"unallocated":{"would_usd":0,"beside_usd":3,"difference_usd":-3},"rows":['
        b'{"team_id":"A","user_id":null,"would_usd":0,"beside_usd":3,"difference_usd":-3,'
        b'"by_rule":{"default":{"would_usd":0,"beside_usd":1,"difference_usd":-1},"even":'
        b'{"would_usd":0,"beside_usd":2,"difference_usd":-2}}}],"next_cursor":"'
        + cursor.encode()
        + b'"}}'
    )
    rest = preview(october, OCTOBER.days(), TERMS, rules=_TO_C, cursor=cursor)["preview"]
    assert [row["team_id"] for row in rest["rows"]] == ["B", "C", None]
    assert rest["next_cursor"] is None


def test_other_rules_stand_beside_those_of_now_or_the_last_run(october: Store) -> None:
    now = {"team:A": -3 * NANO, "team:B": -2 * NANO, "team:C": 8 * NANO, "unallocated": -3 * NANO}
    assert _differences(_previewed(october, rules=_TO_C)) == now
    allocate(october, OCTOBER, TERMS, act())
    Feed(october).send(usage("since", "5", team="A", user_id=None))
    found = _previewed(october, rules=_TO_C)
    assert [(one["with"], one["created_at"]) for one in found["beside"]] == [
        ("run", "2026-11-22T12:00:00Z")
    ]
    assert nano(found["total"]["difference_usd"]) == 5 * NANO
    assert _differences(_previewed(october)) == {"team:A": 5 * NANO}


def test_rules_written_after_a_close_are_asked_what_if(october: Store) -> None:
    closed(october)
    write(
        october,
        shared("even", Pair("C"), version=2, priority=10, team_id="B", closed=(OCTOBER.days(),)),
    )
    found = _previewed(october)
    assert _differences(found) == {"team:A": -2 * NANO, "team:B": -2 * NANO, "team:C": 4 * NANO}
    # Reopened, the month is not theirs either: a preview is what closing it would book.
    set_state(october, OCTOBER, "reopened")
    found = _previewed(october)
    assert [one["with"] for one in found["beside"]] == ["closed"]
    assert _differences(found) == {}


def test_a_part_of_a_closed_month_stands_beside_its_own_snapshot(october: Store) -> None:
    closed(october)
    found = _previewed(october, BillingRange.parse("2026-10-02/2026-10-05"), rules=_TO_C)
    assert [one["with"] for one in found["beside"]] == ["snapshot"]
    assert _differences(found)["team:C"] == 8 * NANO


def test_over_several_months_each_stands_beside_what_it_has(october: Store) -> None:
    Feed(october).send(usage("n", "7", day="2026-11-03", team="A", user_id=None))
    closed(october)
    days = BillingRange(OCTOBER.days().start, NOVEMBER.days().end)
    found = _previewed(october, days)
    assert [one["with"] for one in found["beside"]] == ["closed", "rules"]
    assert (_differences(found), nano(found["total"]["would_usd"])) == ({}, 15 * NANO)
    allocate(october, NOVEMBER, TERMS, act(NOW_US))
    assert [one["with"] for one in _previewed(october, days)["beside"]] == ["closed", "run"]


def test_of_nothing_there_is_nothing(store: Store) -> None:
    found = _previewed(store, rules=())
    assert (found["rows"], nano(found["total"]["would_usd"])) == ([], 0)

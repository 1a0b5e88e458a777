"""Records are dropped after their retention; no amount changes, and it is said where they were."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.errors import Conflict
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.prune import RecordsDiffer, prune, to_prune
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.reports.allocations import list_allocations
from chargeback_worker.reports.explain.invoice import explain_invoice
from chargeback_worker.reports.owner import team_report
from chargeback_worker.reports.verify import verify, verify_within
from chargeback_worker.store import Store, audit, periods
from chargeback_worker.store.tables import usage_key, usage_record, usage_total
from tests.support.billing import at_once, sound
from tests.support.damage import sql, unguarded
from tests.support.explained import check_line
from tests.support.feed import Feed, held, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import (
    AFTER_NOVEMBER_US,
    NOVEMBER,
    OCTOBER,
    TERMS,
    act,
    closed,
    count,
    issued,
    period_row,
)
from tests.support.made_months import FAR_US, Used, events, months_of, send
from tests.support.upkeep import damage, dumped, ingesting, money, pruned
from tests.support.whole_books import whole_books

_YEAR = 2001
_NOTHING: st.SearchStrategy[list[Used]] = st.just([])
NewStore = Callable[[], AbstractContextManager[Store]]
Doing = tuple[str, int, Sequence[Used]]


def _doings() -> st.SearchStrategy[list[Doing]]:
    sent = st.tuples(st.just("send"), st.just(0), events(max_size=6))
    done = st.tuples(st.sampled_from(["close", "reopen", "prune"]), st.integers(0, 1), _NOTHING)
    return st.lists(sent | done, min_size=3, max_size=10)


def _do(store: Store, number: int, doing: Doing) -> None:
    what, month, found = doing
    period = months_of(_YEAR)[month]
    match what:
        case "send":
            send(store, _YEAR, found, word=f"d{number}-")
        case "close":
            close(store, period, TERMS, act(FAR_US), owner="closer")
        case "reopen":
            reopen(store, period, act(FAR_US, "a price was wrong"))
        case _:
            pruned(store, at_once=3)


@law_on_a_store(12)
@given(doings=_doings())
def test_after_any_history_no_amount_changes_and_all_verifies(
    new_store: NewStore, doings: list[Doing]
) -> None:
    with new_store() as store:
        Feed(store)
        for number, doing in enumerate(doings):
            with suppress(Conflict):
                _do(store, number, doing)
        before, totals, keys = money(store), count(store, usage_total), count(store, usage_key)

        pruned(store, at_once=2)

        assert money(store) == before
        assert (count(store, usage_total), count(store, usage_key)) == (totals, keys)
        assert verify(store).mismatches == ()
        with store.read() as transaction:
            shut = [
                row.period.number for row in periods.listed(transaction) if row.state == "closed"
            ]
            left = usage_record.c.period.in_(shut)
            assert not transaction.execute(sa.select(usage_record).where(left)).all()
        _explains_all(store)
        _goes_on_as_if_nothing_was_dropped(store, doings)


def _explains_all(store: Store) -> None:
    for period in months_of(_YEAR):
        for invoice in issued(store, period):
            for line in invoice.lines:
                found = explain_invoice(store, invoice.invoice_number, TERMS, line=line.line)
                check_line(found["explanation"])


def _goes_on_as_if_nothing_was_dropped(store: Store, doings: list[Doing]) -> None:
    """What was dropped still counts once, and what comes now is billed and corrected."""
    sent = [doing for doing in enumerate(doings) if doing[1][0] == "send"]
    accepted = count(store, usage_key)
    for number, doing in sent:
        _do(store, number, doing)
    assert count(store, usage_key) == accepted
    assert verify(store).mismatches == ()
    with suppress(Conflict):
        reopen(store, months_of(_YEAR)[0], act(FAR_US, "more has come"))
    send(store, _YEAR, [Used(1, 3, "A", "x", "query", "7")], word="more")
    for month in (0, 1):
        with suppress(Conflict):
            _do(store, 0, ("close", month, []))
    assert verify(store).mismatches == ()
    pruned(store)
    assert verify(store).mismatches == ()


@pytest.fixture
def october(store: Store) -> Store:
    """October closed with twelve records, November open with late ones of it."""
    feed = Feed(store)
    feed.send(
        *[usage(f"u{number}", f"{number}.5", user_id=f"p{number % 3}") for number in range(12)]
    )
    closed(store)
    feed.send(usage("late", "7"), usage("nov", "3", day="2026-11-04"))
    return store


def test_records_go_when_they_are_older_than_they_are_kept(october: Store) -> None:
    closed_us = period_row(october).closed_us or 0
    keep = timedelta(days=400)
    just_before = closed_us + keep // timedelta(microseconds=1) - 1
    assert to_prune(october, keep, just_before) == []
    assert list(prune(october, keep, act(just_before))) == []
    (found,) = to_prune(october, keep, just_before + 1)
    assert (found.period, found.records) == (OCTOBER, 12)
    *_, last = prune(october, keep, act(just_before + 1))
    assert (last.period, last.dropped, last.done) == (OCTOBER, 12, True)
    assert count(october, usage_record) == 2


def test_what_was_dropped_is_noted_and_audited_once(october: Store) -> None:
    pruned(october)
    result = verify(october)
    assert result.clean
    (gone,) = result.pruned
    assert (gone.period, gone.records, gone.ended_us) == (OCTOBER, 12, FAR_US)
    (told,) = result.to_document()["verify"]["pruned"]
    assert "12 usage records billed in 2026-10 were dropped" in told["sentence"]
    assert verify(october, NOVEMBER).pruned == ()
    with october.read() as transaction:
        rows = [row for row in audit.listed(transaction) if row.action.startswith("prune")]
    assert [(row.action, row.subject, row.before) for row in rows] == [
        ("prune", "period:2026-10", {"records": 12}),
        ("prune.begin", "period:2026-10", {"records": 12}),
    ]


def test_pruning_twice_is_pruning_once(october: Store) -> None:
    pruned(october)
    before = dumped(october)
    assert pruned(october) == []
    assert dumped(october) == before


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_broken_off_it_verifies_and_is_gone_on_with(october: Store, steps: int) -> None:
    before = money(october)
    going = prune(october, timedelta(0), act(FAR_US), at_once=2)
    for _ in range(steps):
        next(going)
    going.close()

    assert count(october, usage_record) == 14 - 2 * steps
    result = verify(october)
    assert result.mismatches == ()
    (gone,) = result.pruned
    assert (gone.records, gone.ended_us) == (2 * steps, None)
    assert money(october) == before

    *_, last = pruned(october, at_once=2)
    assert (last.dropped, last.done) == (12 - 2 * steps, True)
    assert sound(october)


def test_an_event_that_was_dropped_still_counts_once(october: Store) -> None:
    pruned(october)
    keys = held(october).keys
    assert Feed(october).send(usage("u3", "3.5", user_id="p0"), usage("u3", "9")) == [
        "duplicate",
        "conflict",
    ]
    assert held(october).keys == keys
    assert sound(october)


def test_explain_says_that_they_are_gone(october: Store) -> None:
    number = issued(october)[0].invoice_number
    before = explain_invoice(october, number, TERMS, line=1)["explanation"]
    pruned(october)
    after = explain_invoice(october, number, TERMS, line=1)["explanation"]
    check_line(after)
    (pool,) = after["settlement"]["pools"]
    usages = [total["usage"] for total in pool["behind"]["usage_totals"]]
    assert all(used["usage_records"] == [] for used in usages)
    assert all(used["next_cursor"] is None for used in usages)
    assert sum(used["pruned"]["record_count"] for used in usages) == pool["whole"]["record_count"]
    assert all("dropped after retention.records" in used["pruned"]["sentence"] for used in usages)
    assert after["settlement"]["exact_usd"] == before["settlement"]["exact_usd"]


def test_where_usage_ids_are_listed_it_is_said_that_they_are_gone(october: Store) -> None:
    days, november = OCTOBER.days(), NOVEMBER.days()
    assert list_allocations(october, days, TERMS)["pruned"] == []
    pruned(october)
    listed = list_allocations(october, days, TERMS)
    assert [gone["period"] for gone in listed["pruned"]] == ["2026-10"]
    assert {id_ for row in listed["allocations"] for id_ in row["usage_records"]} == set()
    report = team_report(october, days, TERMS, "T")["report"]
    assert [gone["record_count"] for gone in report["pruned"]] == [12]
    assert list_allocations(october, november, TERMS)["pruned"] == []


def test_a_reopened_month_keeps_its_totals_and_is_settled_by_them(october: Store) -> None:
    pruned(october)
    reopen(october, OCTOBER, act(AFTER_NOVEMBER_US, "a price was wrong"))
    assert sound(october)
    Feed(october).send(usage("more", "10", user_id="p1"))
    assert sound(october)
    closed(october, now_us=AFTER_NOVEMBER_US)
    assert sound(october)
    assert [invoice.total for invoice in issued(october)] == [72 * 10**9, 10 * 10**9]
    *_, last = pruned(october)
    assert (last.dropped, last.done) == (1, True)
    assert sound(october)
    (gone,) = verify(october).pruned
    assert gone.records == 13


def test_a_period_that_is_reopened_meanwhile_is_left(october: Store) -> None:
    going = prune(october, timedelta(0), act(FAR_US), at_once=5)
    next(going)
    reopen(october, OCTOBER, act(AFTER_NOVEMBER_US, "a price was wrong"))
    assert list(going) == []
    assert count(october, usage_record) == 9
    assert sound(october)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage_record SET cost_nano = cost_nano + 1 WHERE usage_id = 'u4'",
        "DELETE FROM usage_record WHERE usage_id = 'u4'",
        "UPDATE usage_total SET quantity_whole = quantity_whole + 1 WHERE period = 202610",
    ],
)
def test_records_that_do_not_sum_to_their_totals_are_kept(october: Store, statement: str) -> None:
    damage(october, statement)
    before = dumped(october)
    with pytest.raises(RecordsDiffer, match="do not sum to their totals"):
        pruned(october)
    assert dumped(october) == before


# What is done to books whose records are gone in part; which checks name it, and by which words.
_DAMAGE = {
    "a total is changed": (
        "UPDATE usage_total SET cost_nano = cost_nano + 1 WHERE period = 202610",
        "totals settlement",
        "totals of 2026-10 in 2026-10, whose records were dropped: cost",
    ),
    "a total is deleted": (
        "DELETE FROM usage_total WHERE period = 202610 AND user_id = 'p1'",
        "totals settlement",
        "totals of 2026-10 in 2026-10, whose records were dropped: records",
    ),
    "a total is another user's": (
        "UPDATE usage_total SET user_id = 'p9' WHERE period = 202610 AND user_id = 'p1'",
        "totals settlement",
        ": key",
    ),
    "a record that was left is deleted": (
        "DELETE FROM usage_record WHERE usage_id = 'nov'",
        "keys totals tallies booked",
        "key ",
    ),
    "a record of the month is put back": (
        "INSERT INTO usage_record SELECT identity, total_key, 202610, day, time_us, cost_nano,"
        " quantity_whole, quantity_nano, cursor_id, position + 1000, received_us, source,"
        " usage_id, team_id, user_id, agent_id, resource_type, resource_id, labels, metadata"
        " FROM usage_record WHERE usage_id = 'late'",
        "records keys totals tallies places booked",
        "records of 2026-10 that were not dropped",
    ),
    "a key is deleted": (
        "DELETE FROM usage_key WHERE period = 202610",
        "keys",
        "records of 2026-10 that were not dropped",
    ),
    "more is said to be gone": (
        """UPDATE installation SET value = replace(value, '["12",', '["13",')"""
        " WHERE name = 'pruned.202610'",
        "keys totals",
        "records of 2026-10 that were not dropped",
    ),
    "it is not noted any more": (
        "DELETE FROM installation WHERE name = 'pruned.202610'",
        "keys totals tallies booked",
        "key ",
    ),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_damage_beside_what_was_dropped_is_named(october: Store, name: str) -> None:
    statement, named_by, subject = _DAMAGE[name]
    closed(october, NOVEMBER, now_us=AFTER_NOVEMBER_US)
    list(prune(october, timedelta(days=9), act(AFTER_NOVEMBER_US)))
    with october.read() as transaction:
        left = transaction.execute(sa.select(usage_record.c.usage_id)).scalars().all()
    assert sorted(left) == ["late", "nov"]
    with unguarded(october) as transaction:
        sql(statement)(transaction)
        found = verify_within(transaction)
    assert {mismatch.check for mismatch in found.mismatches} == set(named_by.split())
    assert any(subject in mismatch.subject for mismatch in found.mismatches)


def test_records_of_a_period_that_is_not_closed_are_guarded(october: Store) -> None:
    for statement in (
        "DELETE FROM usage_record WHERE usage_id = 'nov'",
        "DELETE FROM usage_record",
    ):
        with (
            pytest.raises(sa.exc.DatabaseError, match="of closed periods alone"),
            october.begin() as transaction,
        ):
            transaction.execute(sa.text(statement))
    assert count(october, usage_record) == 14


def test_books_with_everything_in_them_verify_after_it(
    store_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where = request.getfixturevalue("postgresql") if store_kind == "postgresql" else tmp_path
    with whole_books(where) as store:
        before = money(store)
        pruned(store, at_once=4)
        assert verify(store).mismatches == ()
        for period in (OCTOBER, NOVEMBER, Period(2026, 12)):
            assert verify(store, period).mismatches == ()
        assert money(store) == before


def test_a_worker_ingests_on_meanwhile(october: Store) -> None:
    with ingesting(october, day="2026-11-05"):
        pruned(october, at_once=1)
    assert count(october, usage_record) > 2
    (gone,) = verify(october).pruned
    assert gone.records == 12
    assert sound(october)


def test_two_at_once_drop_each_record_once(october: Store) -> None:
    ended = at_once([lambda: pruned(october, at_once=1)] * 2)
    assert sum(last[-1].dropped for last in ended if last) == 12
    (gone,) = verify(october).pruned
    assert (gone.records, gone.ended_us) == (12, FAR_US)
    assert sound(october)

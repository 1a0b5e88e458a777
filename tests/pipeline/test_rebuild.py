"""Totals of open periods and tallies are made anew; nothing that was booked changes silently."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import start_closing
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.rebuild import (
    NeverRebuilt,
    Rebuilt,
    RecordsGone,
    RecordsNotWhole,
    rebuild,
)
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, audit, cursors
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.periods import PeriodState
from tests.support.billing import sound
from tests.support.feed import Feed, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import (
    AFTER_NOVEMBER_US,
    NOVEMBER,
    OCTOBER,
    TERMS,
    act,
    closed,
    issued,
)
from tests.support.made_months import events, months_of, send
from tests.support.upkeep import (
    Held,
    damage,
    dumped,
    ingesting,
    pruned,
    url_of,
    wait_until_one_waits,
)
from tests.support.whole_books import whole_books

_ACT = act(AFTER_NOVEMBER_US, "totals were damaged")
NewStore = Callable[[], AbstractContextManager[Store]]


def _rebuilt(store: Store, period: Period | None = None, *, rehearse: bool = False) -> Rebuilt:
    return rebuild(store, _ACT, period, rehearse=rehearse)


def _differing(found: Rebuilt) -> dict[str, int]:
    return {str(row.period): row.differing for row in found.periods if row.differing}


# Each is done to those totals that the second text selects.
_CHANGES = (
    "UPDATE usage_total SET cost_nano = (cost_nano + 5) % 1000000000",
    "UPDATE usage_total SET cost_whole = cost_whole - 9",
    "UPDATE usage_total SET quantity_exa = quantity_exa + 1",
    "UPDATE usage_total SET records = 0",
    "UPDATE usage_total SET team_id = 'Z'",
    "UPDATE usage_total SET labels = '[]'",
    "DELETE FROM usage_total",
    "INSERT INTO usage_total (total_key, period, day, resource_type, cost_whole, cost_nano,"
    " quantity_whole, quantity_nano, records) SELECT identity, period, 20010105, 'made up',"
    " 1, 0, 1, 0, 1 FROM usage_key",
)
_PLACES = ("", " WHERE period = {}", " WHERE period <> {}")
_TALLY = "UPDATE ingest_cursor SET {0} = {0} + 3"


@law_on_a_store(12)
@given(
    found=events(max_size=12),
    changes=st.lists(
        st.tuples(st.sampled_from(_CHANGES), st.sampled_from(_PLACES)), max_size=3, unique=True
    ),
    tally=st.none() | st.sampled_from(["accepted", "duplicate", "conflict", "quarantined"]),
)
def test_after_any_damage_it_is_as_if_there_had_been_none(
    new_store: NewStore, found: list[Any], changes: list[tuple[str, str]], tally: str | None
) -> None:
    with new_store() as store:
        send(store, 2001, found)
        send(store, 2001, [*found[:2]])
        before = dumped(store, but=("audit",))
        for change, place in changes:
            damage(store, change + place.format(months_of(2001)[0].number))
        if tally is not None:
            damage(store, _TALLY.format(tally))

        _rebuilt(store)

        assert dumped(store, but=("audit",)) == before
        assert verify(store).mismatches == ()


def test_undamaged_books_are_not_changed_at_all(
    store_kind: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    where = request.getfixturevalue("postgresql") if store_kind == "postgresql" else tmp_path
    with whole_books(where) as store:
        before = dumped(store)
        found = _rebuilt(store)
        assert (_differing(found), found.tallies) == ({}, ())
        assert [str(row.period) for row in found.periods] == ["2026-12"]
        assert found.periods[0].before == found.periods[0].after
        assert dumped(store) == before


@pytest.fixture
def books(store: Store) -> Store:
    """October closed, November open, with late usage of October."""
    feed = Feed(store)
    feed.send(usage("a", "1.5"), usage("b", "2.5", user_id="v"), b"no usage")
    closed(store)
    feed.send(usage("late", "7"), usage("nov", "3", day="2026-11-04"), usage("a", "1.5"))
    return store


_DOUBLED = "UPDATE usage_total SET cost_whole = cost_whole * 2, records = records + 1"


def test_what_differed_is_told_and_audited(books: Store) -> None:
    damage(books, f"{_DOUBLED} WHERE period = 202611")
    assert not verify(books).clean
    (row,) = _rebuilt(books).periods
    assert (row.period, row.state, row.differing, row.written) == (
        NOVEMBER,
        PeriodState.OPEN,
        2,
        True,
    )
    assert (row.before.cost, row.after.cost) == (20 * 10**9, 10 * 10**9)
    assert (row.before.records, row.after.records) == (4, 2)
    with books.read() as transaction:
        logged = audit.listed(transaction)[0]
    assert (logged.action, logged.subject, logged.reason) == (
        "rebuild",
        "period:2026-11",
        "totals were damaged",
    )
    assert logged.before == {"cost_usd": "20", "quantity": "2", "records": 4, "differing": 2}
    assert logged.after == {"cost_usd": "10", "quantity": "2", "records": 2}
    assert sound(books)


def test_a_rehearsal_tells_the_same_and_writes_nothing(books: Store) -> None:
    damage(books, f"{_DOUBLED} WHERE period = 202611", _TALLY.format("accepted"))
    before = dumped(books)
    rehearsed = _rebuilt(books, rehearse=True)
    assert dumped(books) == before
    done = _rebuilt(books)
    assert [row.before for row in rehearsed.periods] == [row.before for row in done.periods]
    assert rehearsed.tallies == done.tallies
    assert [row.written for row in rehearsed.periods] == [False]
    assert sound(books)


def test_a_closed_period_is_never_changed(books: Store) -> None:
    damage(books, f"{_DOUBLED} WHERE period = 202610")
    before = dumped(books)
    with pytest.raises(NeverRebuilt, match="2026-10 is closed"):
        _rebuilt(books, OCTOBER)
    assert _differing(_rebuilt(books)) == {}
    assert dumped(books) == before


def test_a_reopened_period_is_looked_at_and_changed_only_where_it_is_named(books: Store) -> None:
    reopen(books, OCTOBER, _ACT)
    damage(books, f"{_DOUBLED} WHERE period = 202610 AND user_id = 'v'")
    before = dumped(books)
    found = _rebuilt(books)
    assert _differing(found) == {"2026-10": 1}
    assert [row.written for row in found.periods] == [False, False]
    assert dumped(books) == before

    (row,) = _rebuilt(books, OCTOBER).periods
    assert (row.state, row.written) == (PeriodState.REOPENED, True)
    closed(books, now_us=AFTER_NOVEMBER_US)
    # They are what was booked before: there is no difference to bill.
    assert [invoice.revision for invoice in issued(books)] == [1]
    assert sound(books)


def test_what_a_reopened_period_booked_wrongly_is_billed_as_a_difference(store: Store) -> None:
    Feed(store).send(usage("a", "4"))
    damage(store, "UPDATE usage_total SET cost_whole = 3")
    closed(store)
    reopen(store, OCTOBER, _ACT)
    _rebuilt(store, OCTOBER)
    closed(store, now_us=AFTER_NOVEMBER_US)
    assert [invoice.total for invoice in issued(store)] == [3 * 10**9, 10**9]
    assert sound(store)


def test_a_period_with_dropped_records_is_refused_or_left_out(books: Store) -> None:
    pruned(books)
    reopen(books, OCTOBER, _ACT)
    with pytest.raises(RecordsGone, match=r"2026-10 were dropped"):
        _rebuilt(books, OCTOBER)
    damage(books, _TALLY.format("accepted"))
    found = _rebuilt(books)
    assert found.left_out == (OCTOBER,)
    assert [row.period for row in found.periods] == [NOVEMBER]
    assert [row.after.accepted for row in found.tallies] == [4]
    assert sound(books)


def test_it_waits_for_no_close(books: Store) -> None:
    start_closing(books, NOVEMBER, TERMS, act(AFTER_NOVEMBER_US), owner="closer")
    with pytest.raises(CloseInProgress):
        _rebuilt(books)


def test_a_reason_is_required(books: Store) -> None:
    with pytest.raises(ReasonMissing):
        rebuild(books, act())
    rebuild(books, act(), rehearse=True)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM usage_record WHERE usage_id = 'nov'",
        "INSERT INTO usage_record SELECT * FROM usage_record WHERE usage_id = 'nov'",
        "UPDATE usage_record SET team_id = 'Z' WHERE usage_id = 'nov'",
        "UPDATE usage_total SET period = 202610 WHERE period = 202611",
    ],
)
def test_totals_are_not_made_of_records_that_are_not_whole(books: Store, statement: str) -> None:
    damage(books, statement)
    before = dumped(books)
    with pytest.raises(RecordsNotWhole, match="are not whole"):
        _rebuilt(books)
    assert dumped(books) == before


_MORE = usage("more", "4", day="2026-11-04")


@pytest.mark.parametrize(
    ("event", "damaged", "stops_at"),
    [
        (_MORE, f"{_DOUBLED} WHERE period = 202611", "advance"),
        (_MORE, f"{_DOUBLED} WHERE period = 202611", "commit"),
        (b"no usage", _TALLY.format("quarantined"), "commit"),
    ],
)
def test_what_is_about_to_be_committed_is_neither_lost_nor_doubled(
    books: Store, event: bytes, damaged: str, stops_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not books.dialect.one_worker:
        damage(books, damaged)
        held = Held(url_of(books))
        feed = Feed(held)
        part = feed.part([event])
        if stops_at == "commit":
            held.holds = True
        else:
            advance = cursors.advance

            def held_before(*arguments: Any, **more: Any) -> None:
                held.hold()
                advance(*arguments, **more)

            monkeypatch.setattr(cursors, "advance", held_before)
        with ThreadPoolExecutor() as threads:
            ingested = threads.submit(feed.ingest, part)
            held.wrote.wait()
            rebuilt = threads.submit(_rebuilt, books)
            wait_until_one_waits(held)
            held.go.set()
            assert ingested.result().parts[0].outcomes[0] in ("accepted", "quarantined")
            assert _differing(rebuilt.result()) or rebuilt.result().tallies
        held.close()
        assert sound(books)


def test_a_worker_ingests_on_meanwhile(books: Store) -> None:
    damage(books, f"{_DOUBLED} WHERE period = 202611", _TALLY.format("duplicate"))
    with ingesting(books, day="2026-11-05"):
        found = [_rebuilt(books) for _ in range(15)]
    assert _differing(found[0]) == {"2026-11": 2}
    assert [_differing(again) for again in found[1:]] == [{}] * 14
    assert [again.tallies for again in found[1:]] == [()] * 14
    assert sound(books)

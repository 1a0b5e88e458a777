"""Events into the books, on both stores: counted once, whatever the batches and the order."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.pipeline.ingest import Part
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, cursors, schema
from chargeback_worker.store.cursors import Door, PositionTaken, Tally
from chargeback_worker.store.tables import metadata, usage_conflict, usage_record
from tests.support.feed import Feed, Held, held, set_state, usage
from tests.support.laws import law_on_a_store
from tests.support.postgres import PostgresServer

Fresh = Callable[[], Store]
_LAW = law_on_a_store(25)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fresh]:
    """Makes an empty store each time it is called: many examples share what is slow to make."""
    if request.param == "sqlite":
        yield from _fresh_files(tmp_path_factory.mktemp("stores"))
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield from _fresh_database(url)


def _fresh_files(folder: Path) -> Iterator[Fresh]:
    template, used = folder / "template.db", folder / "used.db"
    store = Store(f"sqlite:///{template}")
    schema.upgrade(store)
    store.close()
    opened: list[Store] = []

    def fresh() -> Store:
        if opened:
            opened.pop().close()
        shutil.copy(template, used)
        opened.append(Store(f"sqlite:///{used}"))
        return opened[0]

    yield fresh
    for left in opened:
        left.close()


def _fresh_database(url: str) -> Iterator[Fresh]:
    store = Store(url)
    schema.upgrade(store)
    names = ", ".join(
        table.name for table in metadata.sorted_tables if table.name != "installation"
    )

    def fresh() -> Store:
        with store.begin() as transaction:
            # The guards refuse it, and do not fire in a replica.
            transaction.connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            transaction.connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
        return store

    yield fresh
    store.close()


def _event(number: int, variant: int = 0) -> bytes:
    """One of few events: teams, users, months and a missing owner all occur."""
    return usage(
        f"id-{number}",
        f"{number}.{variant:09d}",
        day=f"2026-{9 + number % 3:02d}-{1 + number % 2:02d}",
        team=[None, "A", "B"][number % 3],
        user_id=[None, "x"][number % 2],
        quantity=str(number - 3),
        agent_id=f"g{number % 2}",
    )


_NUMBERS = st.integers(0, 8)


def _batches(stream: Sequence[bytes], cuts: set[int]) -> Iterator[Sequence[bytes]]:
    bounds = [0, *sorted(cut for cut in cuts if 0 < cut < len(stream)), len(stream)]
    for start, end in pairwise(bounds):
        yield stream[start:end]


def _deliver(store: Store, stream: Sequence[bytes], cuts: set[int]) -> list[str]:
    """Two partitions by turns; every third batch brings parts of both in one transaction."""
    feeds = [Feed(store, partition=0), Feed(store, partition=1)]
    outcomes: list[str] = []
    for number, batch in enumerate(_batches(stream, cuts)):
        middle = len(batch) // 2 if number % 3 == 2 else len(batch)
        parts = [feeds[0].part(batch[:middle]), feeds[1].part(batch[middle:])]
        result = feeds[0].ingest(*parts)
        outcomes += [outcome.value for part in result.parts for outcome in part.outcomes]
        feeds.reverse()
    return outcomes


@_LAW
@given(
    numbers=st.lists(_NUMBERS, max_size=24),
    order=st.randoms(use_true_random=False),
    cuts=st.sets(st.integers(1, 23)),
)
def test_order_batching_and_redelivery_change_nothing(
    fresh: Fresh, numbers: list[int], order: Random, cuts: set[int]
) -> None:
    store = fresh()
    Feed(store).send(*[_event(number) for number in sorted(set(numbers))])
    once = held(store)
    store = fresh()
    shuffled = list(numbers)
    order.shuffle(shuffled)
    outcomes = _deliver(store, [_event(number) for number in shuffled], cuts)
    assert held(store) == once
    assert outcomes.count("accepted") == len(set(numbers))
    assert outcomes.count("duplicate") == len(numbers) - len(set(numbers))
    assert verify(store).mismatches == ()


@_LAW
@given(
    stream=st.lists(st.tuples(_NUMBERS, st.integers(0, 1)), max_size=24),
    cuts=st.sets(st.integers(1, 23)),
)
def test_each_event_ends_as_a_dictionary_would_have_it(
    fresh: Fresh, stream: list[tuple[int, int]], cuts: set[int]
) -> None:
    store = fresh()
    first: dict[int, int] = {}
    expected: list[str] = []
    for number, variant in stream:
        stands = first.setdefault(number, variant)
        same = "duplicate" if stands == variant else "conflict"
        expected.append("accepted" if len(expected) == _first_at(stream, number) else same)
    assert _deliver(store, [_event(*one) for one in stream], cuts) == expected
    assert _costs(store) == {
        f"id-{number}": number * NANO + variant for number, variant in first.items()
    }
    assert _tally(store).conflict == expected.count("conflict")
    assert verify(store).mismatches == ()


def _first_at(stream: list[tuple[int, int]], number: int) -> int:
    return next(place for place, (other, _) in enumerate(stream) if other == number)


def _costs(store: Store) -> dict[str, int]:
    with store.read() as transaction:
        rows = transaction.execute(sa.select(usage_record.c.usage_id, usage_record.c.cost_nano))
        return {row.usage_id: row.cost_nano for row in rows}


def _tally(store: Store) -> Tally:
    with store.read() as transaction:
        return sum((cursor.tally for cursor in cursors.listed(transaction)), Tally())


def test_duplicates_and_conflicts_within_a_batch(store: Store) -> None:
    feed = Feed(store)
    outcomes = feed.send(usage("a"), usage("a"), usage("a", "2"), usage("b"))
    assert outcomes == ["accepted", "duplicate", "conflict", "accepted"]
    assert _costs(store) == {"a": NANO, "b": NANO}
    assert feed.cursor.tally == Tally(accepted=2, duplicate=1, conflict=1)
    assert feed.cursor.next_position == 4


def test_duplicates_and_conflicts_across_batches(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"))
    assert feed.send(usage("a"), usage("a", "2")) == ["duplicate", "conflict"]
    with store.read() as transaction:
        kept = transaction.execute(sa.select(usage_conflict)).one()
    assert (kept.usage_id, kept.position) == ("a", 2)
    assert kept.payload
    assert _costs(store) == {"a": NANO}


def test_duplicates_and_conflicts_across_parts(store: Store) -> None:
    feed, other = Feed(store, partition=0), Feed(store, partition=1)
    parts = (feed.part([usage("a"), usage("b")]), other.part([usage("a", "2"), usage("b")]))
    results = feed.ingest(*parts).parts
    assert [result.tally for result in results] == [
        Tally(accepted=2),
        Tally(duplicate=1, conflict=1),
    ]
    assert verify(store).mismatches == ()


def test_the_same_id_of_another_source_is_another_event(store: Store) -> None:
    feed = Feed(store)
    bare = b'{"specversion": "1.0", "id": "1", "source": "%s", "type": "u", "data": {"timestamp":'
    bare += b' "2026-10-03T12:00:00Z", "cost_usd": 1}}'
    assert feed.send(bare % b"/a", bare % b"/b", bare % b"/a") == [
        "accepted",
        "accepted",
        "duplicate",
    ]


@pytest.mark.parametrize("by", [-1, 1, 3])
def test_a_stale_position_writes_nothing(store: Store, by: int) -> None:
    feed = Feed(store)
    feed.send(usage("a"), usage("b"))
    before, tally = held(store), feed.cursor
    part = feed.part([usage("c"), b"poison", usage("a", "9")])
    assert part.expected is not None
    assert part.new is not None
    stale = Part(part.cursor_id, part.events, part.expected + by, part.new + by)
    with pytest.raises(PositionTaken):
        feed.ingest(stale)
    assert held(store) == before
    assert feed.cursor == tally


def test_one_stale_part_takes_the_whole_transaction_with_it(store: Store) -> None:
    feed, other = Feed(store, partition=0), Feed(store, partition=1)
    stale = other.part([usage("b")])
    other.send(usage("x"))
    with pytest.raises(PositionTaken):
        feed.ingest(feed.part([usage("a")]), stale)
    assert _costs(store) == {"x": NANO}
    assert feed.cursor.next_position == 0


def test_a_batch_committed_twice_is_refused_whatever_it_holds(store: Store) -> None:
    feed = Feed(store)
    part = feed.part([usage("a"), b"poison", usage("a", "2")])
    feed.ingest(part)
    with pytest.raises(PositionTaken):
        feed.ingest(part)
    assert feed.cursor.tally == Tally(accepted=1, conflict=1, quarantined=1)


def test_positions_without_an_event_are_skipped(store: Store) -> None:
    feed = Feed(store)
    part = feed.part([usage("a")])
    feed.ingest(Part(part.cursor_id, part.events, 0, 5))
    assert feed.cursor.tally == Tally(accepted=1, skipped=4)
    assert feed.cursor.next_position == 5
    assert verify(store).mismatches == ()


def test_a_commit_clears_what_was_suspected(store: Store) -> None:
    feed = Feed(store)
    cursor = feed.cursor
    with store.begin() as transaction:
        cursors.take(transaction, cursor.cursor_id)
        assert cursors.suspect(transaction, cursor.cursor_id, 0) == 1
        assert cursors.suspect(transaction, cursor.cursor_id, 0) == 2
        assert cursors.suspect(transaction, cursor.cursor_id, 1) == 1
        cursors.stop(transaction, cursor.cursor_id, "it failed")
    feed.send(usage("a"))
    after = feed.cursor
    assert (after.attempts, after.suspect_position, after.suspect_attempts) == (0, None, 0)
    assert after.stopped is None


@pytest.mark.parametrize("state", ["closing", "closed"])
def test_late_usage_goes_to_the_next_open_period(store: Store, state: str) -> None:
    feed = Feed(store)
    set_state(store, Period(2026, 9), state)
    set_state(store, Period(2026, 10), state)
    result = feed.ingest(
        feed.part([usage("late", day="2026-09-30"), usage("punctual", day="2026-11-01")])
    )
    assert result.late == 1
    assert {total.period for total in held(store).totals.values()} == {Period(2026, 11)}
    assert {"records", "totals", "tallies"}.isdisjoint(m.check for m in verify(store).mismatches)


def test_a_reopened_period_takes_its_own_usage(store: Store) -> None:
    feed = Feed(store)
    set_state(store, Period(2026, 10), "reopened")
    result = feed.ingest(feed.part([usage("a", day="2026-10-31")]))
    assert result.late == 0
    (total,) = held(store).totals.values()
    assert total.period == Period(2026, 10)


def test_a_duplicate_of_late_usage_stays_where_it_was_counted(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", day="2026-10-31"))
    set_state(store, Period(2026, 10), "closed")
    assert feed.send(usage("a", day="2026-10-31")) == ["duplicate"]
    (total,) = held(store).totals.values()
    assert (total.period, total.records) == (Period(2026, 10), 1)


def test_texts_of_every_kind_come_back_as_they_were(store: Store) -> None:
    odd = "tab\tnewline\nreturn\rbackslash\\ \\N \\. quote\"' ünïcödé 🧾 \x7f \x0b \u2028 NULL"
    feed = Feed(store)
    sent = usage(odd, team=odd, user_id=odd, agent_id=odd, resource_type=odd, metadata={odd: odd})
    assert feed.send(sent, sent) == ["accepted", "duplicate"]
    with store.read() as transaction:
        row = transaction.execute(sa.select(usage_record)).one()
    assert {row.usage_id, row.team_id, row.user_id, row.agent_id, row.resource_type} == {odd}
    assert verify(store).mismatches == ()


def test_sums_beyond_64_bits_stay_exact(store: Store) -> None:
    feed = Feed(store)
    feed.send(*[usage(f"a{n}", "999999999.999999999", quantity="5e17") for n in range(15)])
    feed.send(*[usage(f"b{n}", "-1000000000", quantity="-0.000000001") for n in range(30)])
    (total,) = held(store).totals.values()
    assert total.cost == 15 * 999_999_999_999_999_999 - 30 * 10**18
    assert total.quantity == 15 * 5 * 10**26 - 30
    assert total.records == 45
    assert verify(store).mismatches == ()


def test_what_two_doors_deliver_counts_once(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"))
    file = feed.door(Door.FILE, "digest")
    by_file = Part(file.cursor_id, feed.read([usage("a"), usage("b")], 0), 0, 2)
    http = feed.door(Door.HTTP, "http")
    by_http = Part(http.cursor_id, feed.read([usage("b"), usage("c")], 0))
    assert feed.ingest(by_file).tally == Tally(accepted=1, duplicate=1)
    assert feed.ingest(by_http).tally == Tally(accepted=1, duplicate=1)
    assert set(_costs(store)) == {"a", "b", "c"}
    assert verify(store).mismatches == ()


def test_held_usage_can_be_told_apart(store: Store) -> None:
    """Guards the comparison that the laws above rest on."""
    feed = Feed(store)
    feed.send(usage("a"))
    one: Held = held(store)
    feed.send(usage("b"))
    assert held(store) != one

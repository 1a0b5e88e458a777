"""The ways of PostgreSQL that ingest rests on: the look-up, COPY, the staged way, and waiting."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from chargeback_worker.errors import Unavailable
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, schema, totals, usage
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.store.dialects import postgresql_usage as dialect
from chargeback_worker.store.dialects.postgresql import PostgreSQL
from chargeback_worker.store.dialects.postgresql_errors import AccessRefused
from chargeback_worker.store.dialects.postgresql_keys import Cursor
from chargeback_worker.store.tables import usage_total
from chargeback_worker.usage.event import UsageEvent
from chargeback_worker.usage.total import UsageSum
from tests.support.feed import Feed
from tests.support.feed import usage as event
from tests.support.postgres import PostgresServer

_WAIT_S = 30


@pytest.fixture
def url(postgresql: PostgresServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    schema.upgrade(store)
    yield store
    store.close()


@pytest.fixture
def other(url: str, store: Store) -> Iterator[Store]:
    """The same database for another worker."""
    other = Store(url)
    yield other
    other.close()


def _meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let `act` happen once, after the next look-up and before what is written after it.

    It must want no row that this transaction has written already, as that of a new period.
    """
    looked_up = PostgreSQL.contents

    def contents(
        self: PostgreSQL, connection: sa.Connection, identities: Sequence[bytes]
    ) -> dict[bytes, bytes]:
        found = looked_up(self, connection, identities)
        monkeypatch.setattr(PostgreSQL, "contents", looked_up)
        act()
        return found

    monkeypatch.setattr(PostgreSQL, "contents", contents)


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many keys went the staged way, each time that it was taken."""
    taken: list[int] = []
    real = dialect._stage_keys

    def spied(cursor: Cursor, segment: str, records: Sequence[NewRecord]) -> dict[bytes, bytes]:
        taken.append(len(records))
        return real(cursor, segment, records)

    monkeypatch.setattr(dialect, "_stage_keys", spied)
    return taken


def test_what_is_stored_after_the_look_up_counts_once(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch, staged: list[int]
) -> None:
    feed, rival = Feed(store, partition=0), Feed(other, partition=1)
    feed.send(event("first of its month"))
    _meanwhile(monkeypatch, lambda: rival.send(event("b"), event("c", "2"), event("e")))
    outcomes = feed.send(event("a"), event("b"), event("c"), event("d"), event("b"))
    assert outcomes == ["accepted", "duplicate", "conflict", "accepted", "duplicate"]
    assert staged == [4]
    assert verify(store).mismatches == ()


def test_without_a_collision_nothing_is_staged(store: Store, staged: list[int]) -> None:
    feed = Feed(store)
    feed.send(event("a"), event("b"))
    assert feed.send(event("b"), event("c"), event("c")) == ["duplicate", "accepted", "duplicate"]
    assert staged == []


def test_the_staged_way_can_be_taken_again_on_one_connection(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch, staged: list[int]
) -> None:
    feed, rival = Feed(store, partition=0), Feed(other, partition=1)
    feed.send(event("first of its month"))
    for number in range(3):
        taken = event(f"taken {number}")
        _meanwhile(monkeypatch, lambda taken=taken: rival.send(taken))  # type: ignore[misc]
        assert feed.send(event(f"free {number}"), taken) == ["accepted", "duplicate"]
    assert staged == [2, 2, 2]
    assert verify(store).mismatches == ()


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_key_of_an_open_transaction_is_waited_for(
    store: Store, other: Store, staged: list[int], ends: str
) -> None:
    feed = Feed(store)
    connection = other.engine.connect()
    transaction = connection.begin()
    (said,) = [read.said for read in feed.read([event("a")], 0)]
    assert isinstance(said, UsageEvent)
    connection.execute(
        sa.text("INSERT INTO usage_key_1 VALUES (:identity, :content, 202610)"),
        {"identity": said.identity.hex(), "content": said.content.hex()},
    )
    outcomes: list[str] = []
    waiting = threading.Thread(target=lambda: outcomes.extend(feed.send(event("a"), event("b"))))
    waiting.start()
    _until_somebody_waits(other)
    getattr(transaction, ends)()
    connection.close()
    waiting.join(_WAIT_S)
    assert outcomes == [{"commit": "duplicate", "rollback": "accepted"}[ends], "accepted"]
    assert staged == {"commit": [2], "rollback": []}[ends]


def _until_somebody_waits(store: Store) -> None:
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    pause = threading.Event()
    for _ in range(_WAIT_S * 100):
        with store.read() as transaction:
            if transaction.execute(waits).scalar_one():
                return
        pause.wait(0.01)
    raise AssertionError("nobody waited")


def test_a_worker_that_waits_for_a_key_holds_none_behind_it(store: Store, other: Store) -> None:
    """Whoever has the first key may take the second: nobody waits for a worker that waits."""
    feed = Feed(store)
    sent = [event("a"), event("b")]
    said = [read.said for read in feed.read(sent, 0)]
    first, second = sorted(one.identity for one in said if isinstance(one, UsageEvent))
    if isinstance(said[0], UsageEvent) and said[0].identity == first:
        sent.reverse()
    insert = sa.text("INSERT INTO usage_key_1 VALUES (:identity, :identity, 202610)")
    outcomes: list[str] = []
    with other.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(insert, {"identity": first.hex()})
        # The larger key first, if nobody sorts them.
        waiting = threading.Thread(target=lambda: outcomes.extend(feed.send(*sent)))
        waiting.start()
        _until_somebody_waits(other)
        connection.execute(insert, {"identity": second.hex()})
        transaction.rollback()
    waiting.join(_WAIT_S)
    assert outcomes == ["accepted", "accepted"]


def test_two_workers_with_the_same_events_in_opposite_order_count_them_once(
    store: Store, other: Store
) -> None:
    rounds, size = 6, 400
    start = threading.Barrier(2)
    tallies: list[int] = []
    failures: list[BaseException] = []

    def work(feed: Feed, backwards: bool) -> None:
        try:
            for number in range(rounds):
                teams = [event(f"{number}-{n}", team=f"T{n % 50}") for n in range(size)]
                parts = [feed.part(teams[::-1] if backwards else teams)]
                start.wait(_WAIT_S)
                tallies.append(feed.ingest(*parts).tally.accepted)
        except BaseException as failure:
            failures.append(failure)
            start.abort()

    workers = [
        threading.Thread(target=work, args=(Feed(store, partition=0), False)),
        threading.Thread(target=work, args=(Feed(other, partition=1), True)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(_WAIT_S)
    assert failures == []
    assert sum(tallies) == rounds * size
    with store.read() as transaction:
        sums = transaction.execute(
            sa.select(sa.func.sum(usage_total.c.cost_whole), sa.func.sum(usage_total.c.records))
        ).one()
    assert tuple(map(int, sums)) == (rounds * size, rounds * size)
    assert verify(store).mismatches == ()


def test_two_workers_on_the_same_partitions_one_gives_way(store: Store, other: Store) -> None:
    """The zombie: both hold the same positions of both partitions, in opposite order."""
    first, second = Feed(store, partition=0), Feed(store, partition=1)
    first.send(event("x"))
    second.send(event("y"))
    parts = [first.part([event("a"), b"poison"]), second.part([b"poison", event("b")])]
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def work(feed: Feed, backwards: bool) -> None:
        start.wait(_WAIT_S)
        try:
            feed.ingest(*(parts[::-1] if backwards else parts))
        except Exception as refusal:
            outcomes.append(type(refusal).__name__)
        else:
            outcomes.append("done")

    workers = [
        threading.Thread(target=work, args=(Feed(store), False)),
        threading.Thread(target=work, args=(Feed(other), True)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(_WAIT_S)
    assert sorted(outcomes) == ["PositionTaken", "done"]
    assert verify(store).mismatches == ()


def test_many_keys_are_looked_up_by_the_index(store: Store) -> None:
    with store.begin() as transaction:
        connection = transaction.connection
        connection.exec_driver_sql(
            "INSERT INTO usage_key_1 SELECT gen_random_uuid(), gen_random_uuid(), 202610"
            " FROM generate_series(1, 200000)"
        )
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE usage_key_1")
        rows = connection.exec_driver_sql("SELECT identity FROM usage_key LIMIT 10000")
        stored = [row.identity.bytes for row in rows]
    unknown = [bytes([number % 256, number // 256]) * 8 for number in range(10_000)]
    with store.begin() as transaction:
        # Not every version would read from end to end by itself.
        transaction.connection.exec_driver_sql("SET LOCAL random_page_cost = 1000")
        before = transaction.execute(_SCANS).one()
        found = usage.contents(transaction, [*stored, *unknown])
        after = transaction.execute(_SCANS).one()
        on = transaction.connection.exec_driver_sql("SHOW enable_seqscan").scalar_one()
    assert found.keys() == set(stored)
    assert after.seq_scan == before.seq_scan
    assert after.idx_scan > before.idx_scan
    assert on == "on"


_SCANS = sa.text(
    "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'usage_key_1'"
)


def test_a_worker_that_sleeps_in_its_transaction_is_cut_off(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others wait for its keys: the server ends it, and it tries again when it wakes."""
    sa.event.listen(other.engine, "connect", _wait_no_longer)
    feed, heir = Feed(store), Feed(other, partition=1)
    feed.send(event("first of its month"))
    monkeypatch.setattr("chargeback_worker.store.IDLE_S", 1)
    copied = dialect.copy_records

    def sleep(cursor: Cursor, records: Sequence[NewRecord]) -> None:
        monkeypatch.setattr(dialect, "copy_records", copied)
        # It wakes when the other one has got past its keys.
        taken.extend(heir.send(event("a")))
        copied(cursor, records)

    taken: list[str] = []
    monkeypatch.setattr(dialect, "copy_records", sleep)
    with pytest.raises(Unavailable):
        feed.send(event("a"))
    assert taken == ["accepted"]
    assert feed.send(event("a")) == ["duplicate"]
    assert verify(store).mismatches == ()


def _wait_no_longer(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout = '{_WAIT_S}s'")
    connection.commit()


def test_a_reading_transaction_sees_one_state(store: Store, other: Store) -> None:
    counted = sa.text("SELECT count(*) FROM usage_record")
    with store.read() as transaction:
        assert transaction.execute(counted).scalar_one() == 0
        Feed(other).send(event("a"))
        assert transaction.execute(counted).scalar_one() == 0
    with store.read() as transaction:
        assert transaction.execute(counted).scalar_one() == 1


def test_a_reading_transaction_cannot_write(store: Store) -> None:
    # It would be a fault of ours; only to a writing transaction a standby says the same.
    with pytest.raises(sa.exc.DBAPIError, match="read-only"), store.read() as transaction:
        transaction.execute(sa.text("DELETE FROM usage_conflict"))


def test_a_database_that_is_not_there_is_named(postgresql: PostgresServer) -> None:
    store = Store(postgresql.url("nobody_made_it"))
    with pytest.raises(AccessRefused) as refusal, store.read():
        pass
    assert "nobody_made_it" in refusal.value.message
    store.close()


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    store = Store("postgresql+psycopg://ada:secret@127.0.0.1:1/books")
    with pytest.raises(Unavailable) as refusal, store.begin():
        pass
    assert "secret" not in refusal.value.message
    store.close()


def test_a_connection_that_is_cut_is_unavailable_and_the_next_one_works(
    store: Store, other: Store
) -> None:
    feed = Feed(store)
    kill = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def cut() -> None:
        with other.begin() as transaction:
            transaction.execute(kill)

    def work() -> None:
        with store.begin() as transaction:
            cut()
            transaction.now_us()

    with pytest.raises(Unavailable):
        work()
    assert feed.send(event("a")) == ["accepted"]


@pytest.mark.parametrize("few", [dialect._FEW_SUMS, 0], ids=["few", "staged"])
def test_totals_are_added_alike_however_they_are_sent(
    store: Store, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(dialect, "_FEW_SUMS", few)
    names = (None, "", "a\tb\\N\n", '{"ä",NULL}', "😀")
    grains = [(team, user, labels) for team in names for user in names for labels in ((), names)]
    sums = [
        _sum(
            number, *grain, cost=(-1) ** number * 10 ** (number % 19), quantity=10 ** (number % 37)
        )
        for number, grain in enumerate(grains)
    ]
    for _ in range(2):
        with store.begin() as transaction:
            totals.add(transaction, sums)
    with store.read() as transaction:
        stored = totals.stored(transaction)
    assert stored.keys() == {sum_.key for sum_ in sums}
    for sum_ in sums:
        found = stored[sum_.key]
        assert (found.team, found.user, found.labels) == (sum_.team, sum_.user, sum_.labels)
        assert (found.cost, found.quantity) == (2 * sum_.cost, 2 * sum_.quantity)
        assert found.records == 2 * sum_.records


def _sum(
    number: int,
    team: str | None,
    user: str | None,
    labels: tuple[str | None, ...],
    cost: int,
    quantity: int,
) -> UsageSum:
    key = number.to_bytes(16, "big")
    return UsageSum(key, 202610, 20261003, team, user, None, "q", labels, cost, quantity, number)

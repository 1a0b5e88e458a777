"""Keys in segments: whatever is sealed, and whenever, an identity is stored once."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from chargeback_worker.pipeline.ingest import ingest
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, schema, usage
from chargeback_worker.store.dialects import postgresql_keys as keys
from chargeback_worker.store.dialects.key_filter import KeyFilter
from tests.support.feed import BYTES_MAX, Feed
from tests.support.feed import usage as event
from tests.support.postgres import PostgresServer

_WAIT_S = 30


@pytest.fixture
def url(postgresql: PostgresServer) -> Iterator[str]:
    with postgresql.database(_upgrade) as url:
        yield url


def _upgrade(url: str) -> None:
    store = Store(url)
    schema.upgrade(store)
    store.close()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def other(url: str, store: Store) -> Iterator[Store]:
    """The same database for another worker."""
    other = Store(url)
    yield other
    other.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are full with their first page: some 110 keys."""
    monkeypatch.setattr(keys, "SEGMENT_KEYS", 1)


def _segments(store: Store) -> list[int]:
    statement = sa.text("SELECT relname FROM pg_class WHERE relname ~ '^usage_key_[0-9]+$'")
    with store.read() as transaction:
        return sorted(int(row.relname[10:]) for row in transaction.execute(statement))


def _seal(store: Store) -> bool:
    with store.begin() as transaction:
        return usage.begin_segment(transaction)


@pytest.mark.usefixtures("small")
def test_events_of_sealed_segments_are_duplicates_and_conflicts(store: Store) -> None:
    feed = Feed(store)
    for number in range(4):
        assert feed.send(event(f"id-{number}")) == ["accepted"]
    assert _segments(store) == [1, 2, 3, 4, 5]
    assert feed.send(*(event(f"id-{number}") for number in range(4))) == ["duplicate"] * 4
    assert feed.send(event("id-1", "7"), event("id-9")) == ["conflict", "accepted"]
    assert verify(store).mismatches == ()


def test_a_segment_that_is_not_full_is_not_sealed(store: Store) -> None:
    feed = Feed(store)
    feed.send(event("a"))
    assert not _seal(store)
    assert _segments(store) == [1]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("segment", ["usage_key", "usage_key_1"])
@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO {} VALUES (gen_random_uuid(), gen_random_uuid(), 202610)",
        "UPDATE {} SET content = identity",
        "DELETE FROM {}",
        "TRUNCATE {}",
    ],
)
def test_the_database_refuses_to_change_a_sealed_segment(
    store: Store, segment: str, change: str
) -> None:
    Feed(store).send(event("a"))
    refused = pytest.raises(sa.exc.DBAPIError, match=r"never changed|takes no more keys")
    with refused, store.begin() as transaction:
        transaction.connection.exec_driver_sql(change.format(segment))


def test_the_active_segment_keeps_what_it_has(store: Store) -> None:
    Feed(store).send(event("a"))
    for change in ("UPDATE {} SET content = identity", "DELETE FROM {}", "TRUNCATE {}"):
        with pytest.raises(sa.exc.DBAPIError, match="never changed"), store.begin() as transaction:
            transaction.connection.exec_driver_sql(change.format("usage_key_1"))


@pytest.mark.usefixtures("small")
def test_a_segment_is_sealed_only_after_the_batches_that_write_to_it(
    store: Store, other: Store
) -> None:
    """A batch that has looked up, and not yet written, must not find its segment sealed."""
    feed, rival = Feed(store), Feed(other, partition=1)
    feed.send(event("first"))
    sealed: list[bool] = []
    with other.begin() as transaction:
        identities = [read.said.identity for read in rival.read([event("b")], 0)]  # type: ignore[union-attr]
        assert usage.contents(transaction, identities) == {}
        sealing = threading.Thread(target=lambda: sealed.append(_seal(store)))
        sealing.start()
        _until_it_waits(sealing, store)
        assert sealed == []
    sealing.join(_WAIT_S)
    assert not sealing.is_alive()


def _until_it_waits(worker: threading.Thread, store: Store) -> None:
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    pause = threading.Event()
    for _ in range(_WAIT_S * 100):
        with store.read() as transaction:
            if transaction.execute(waits).scalar_one():
                return
        assert worker.is_alive(), "it has ended and waited for nobody"
        pause.wait(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.usefixtures("small")
def test_workers_with_the_same_events_count_them_once_while_segments_are_sealed(
    store: Store, other: Store
) -> None:
    feeds = [Feed(store, partition=0), Feed(other, partition=1)]
    outcomes: list[str] = []
    errors: list[BaseException] = []

    def work(feed: Feed, step: int) -> None:
        try:
            for first in range(0, 60, 3):
                batch = [event(f"id-{(first + n) % 60}") for n in range(0, 6 * step, step)]
                outcomes.extend(feed.send(*batch))
        except BaseException as error:
            errors.append(error)

    workers = [
        threading.Thread(target=work, args=(feed, step))
        for feed, step in zip(feeds, (1, 7), strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(_WAIT_S * 2)
    assert errors == []
    assert outcomes.count("accepted") == 60
    assert len(_segments(store)) > 3
    assert verify(store).mismatches == ()


def test_where_the_next_segment_cannot_be_begun_the_batch_counts_all_the_same(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(store)
    feed.send(event("a"))
    monkeypatch.setattr(keys, "SEGMENT_KEYS", 1)
    monkeypatch.setattr(keys, "_LOCK_TIMEOUT", "50ms")
    with other.begin() as transaction:
        usage.contents(transaction, [b"0" * 16])
        part = feed.part([event("b")])
        result = ingest(
            store, [part], zone=feed.zone, quarantine_bytes_max=BYTES_MAX, now_us=feed.now_us
        )
    assert result.tally.accepted == 1
    assert _segments(store) == [1]
    assert feed.send(event("a"), event("b"), event("c")) == ["duplicate", "duplicate", "accepted"]
    assert _segments(store) == [1, 2]


def test_guards_of_segments_are_there_after_an_upgrade_too(store: Store, small: None) -> None:
    Feed(store).send(event("a"))
    with store.begin() as transaction:
        transaction.connection.exec_driver_sql(
            "DROP TRIGGER guard_usage_key_kept_on_insert ON usage_key_1"
        )
    schema.upgrade(store)
    with pytest.raises(sa.exc.DBAPIError, match="takes no more"), store.begin() as transaction:
        transaction.connection.exec_driver_sql(
            "INSERT INTO usage_key_1 VALUES (gen_random_uuid(), gen_random_uuid(), 202610)"
        )


def _learn(store: Store) -> None:
    for _ in store.learn_keys():
        pass


def _asked(store: Store, *ids: str) -> list[str]:
    """The tables that the look-up of some events asks for every key."""
    feed, statements = Feed(store), list[str]()
    real = keys._look_up_beside

    def spied(cursor: keys.Cursor, *rest: object) -> dict[bytes, bytes]:
        found = real(cursor, *rest)  # type: ignore[arg-type]
        statements.append((cursor._query.query if cursor._query else b"").decode())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "_look_up_beside", spied)
        feed.send(*map(event, ids))
    return statements


@pytest.mark.usefixtures("small")
def test_what_is_in_sealed_segments_is_found_through_the_filter(store: Store) -> None:
    feed = Feed(store)
    for number in range(3):
        feed.send(event(f"id-{number}"))
    _learn(store)
    assert feed.send(event("id-0"), event("id-1", "7"), event("new")) == [
        "duplicate",
        "conflict",
        "accepted",
    ]
    # Sealed since, and not learned yet.
    assert feed.send(event("new"), event("id-2")) == ["duplicate", "duplicate"]
    _learn(store)
    assert feed.send(event("new"), event("id-2")) == ["duplicate", "duplicate"]
    assert verify(store).mismatches == ()


@pytest.mark.usefixtures("small")
def test_only_what_may_be_in_a_learned_segment_is_asked_of_it(store: Store) -> None:
    feed = Feed(store)
    feed.send(event("a"))
    assert _asked(store, "b") == []
    _learn(store)
    (statement,) = _asked(store, "c")
    assert "ONLY usage_key_1 WHERE identity = ANY($1)" in statement
    assert "ONLY usage_key_3 WHERE identity = ANY($2)" in statement


@pytest.mark.usefixtures("small")
def test_a_segment_that_was_learned_in_part_is_asked_for_everything(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_PAGES_AT_ONCE", 1)
    feed = Feed(store)
    feed.send(*(event(f"id-{number}") for number in range(300)))
    steps = store.learn_keys()
    next(steps)
    next(steps)
    feed.send(event("another"))
    again = [event(f"id-{number}") for number in range(300)]
    assert feed.send(*again) == ["duplicate"] * 300
    steps.close()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("small")
def test_what_was_learned_of_another_run_of_the_server_is_not_trusted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been taken back in time, and have filled a segment of that name anew."""
    feed = Feed(store)
    feed.send(event("a"))
    monkeypatch.setattr(
        keys, "_SEGMENTS", keys._SEGMENTS.replace("pg_postmaster_start_time()", "'before'")
    )
    with monkeypatch.context() as patch:
        patch.setattr(KeyFilter, "add", lambda self, identities: None)
        _learn(store)
    monkeypatch.undo()
    assert feed.send(event("a")) == ["duplicate"]


@pytest.mark.usefixtures("small")
def test_what_was_learned_of_a_table_says_nothing_of_another_of_its_name(store: Store) -> None:
    """A backup may be put back under a worker, without a new start of the server."""
    Feed(store).send(event("a"))
    _learn(store)
    with store.begin() as transaction:
        for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
            transaction.connection.exec_driver_sql(statement)
    schema.upgrade(store)
    feed = Feed(store)
    assert feed.send(event("b")) == ["accepted"]
    assert feed.send(event("b")) == ["duplicate"]

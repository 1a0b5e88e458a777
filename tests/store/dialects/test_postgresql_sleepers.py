"""Who sleeps in the midst of a statement is ended if others wait for it; nobody else is."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from chargeback_worker.errors import Unavailable
from chargeback_worker.store import Store, schema
from chargeback_worker.store.dialects.postgresql_sleepers import Sleepers
from tests.support.postgres import PostgresServer

_LIMIT_S = 30
_MUCH = b"\n".join(b"%d" % number for number in range(200_000)) + b"\n"


@pytest.fixture
def store(postgresql: PostgresServer) -> Iterator[Store]:
    with postgresql.database() as url:
        store = Store(url)
        schema.upgrade(store)
        with store.begin() as transaction:
            transaction.execute(sa.text("CREATE TABLE wanted (number int PRIMARY KEY)"))
        yield store
        store.close()


@pytest.fixture
def look(store: Store) -> Callable[[], int]:
    """One look of somebody to whom whoever has not moved since the last one is asleep."""
    sleepers = Sleepers(asleep_after_s=0)

    def look() -> int:
        with store.engine.begin() as connection:
            return len(sleepers.end(connection))

    return look


@contextmanager
def _asleep(store: Store) -> Iterator[Any]:
    """A transaction in the midst of a COPY, that has the number 1."""
    with store.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        cursor = raw.cursor()
        copy = cursor.copy("COPY wanted FROM STDIN")
        # Past what the server keeps until it has more: the first of these is in the index.
        writer = copy.__enter__()
        writer.write(_MUCH)
        _until(store, "state = 'active' AND wait_event = 'ClientRead'")
        try:
            yield writer
        finally:
            connection.invalidate()
            raw.close()


@contextmanager
def _waiting(store: Store) -> Iterator[list[object]]:
    """Somebody who wants the number 1 too; what became of it."""
    became: list[object] = []

    def want() -> None:
        try:
            with store.begin() as transaction:
                transaction.execute(sa.text("INSERT INTO wanted VALUES (1)"))
            became.append("stored")
        except (Unavailable, sa.exc.SQLAlchemyError) as error:
            became.append(error)

    thread = threading.Thread(target=want, daemon=True)
    thread.start()
    _until(store, "wait_event_type = 'Lock'")
    yield became
    thread.join(_LIMIT_S)
    assert not thread.is_alive()


def _until(store: Store, condition: str) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        with store.read() as transaction:
            if transaction.execute(
                sa.text(
                    "SELECT count(*) FROM pg_stat_activity"
                    f" WHERE datname = current_database() AND {condition}"
                )
            ).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError(f"nobody is {condition}")


def test_who_sleeps_in_a_copy_and_is_waited_for_is_ended_at_the_second_look(
    store: Store, look: Callable[[], int]
) -> None:
    with _asleep(store):
        with _waiting(store) as became:
            assert (look(), look()) == (0, 1)
        assert became == ["stored"]
    assert look() == 0


def test_what_was_ended_is_rolled_back_and_told_as_a_database_that_is_away(
    store: Store,
) -> None:
    sleepers = Sleepers(asleep_after_s=0)
    ended: list[str] = []

    def wake() -> None:
        with _waiting(store) as became:
            for _ in range(2):
                with store.engine.begin() as connection:
                    ended.extend(sleepers.end(connection))
        assert became == ["stored"]

    def sleep() -> None:
        with store.begin() as transaction:
            raw = transaction.connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            with raw.cursor() as cursor, cursor.copy("COPY wanted FROM STDIN") as copy:
                copy.write(_MUCH)
                _until(store, "state = 'active' AND wait_event = 'ClientRead'")
                wake()
                copy.write(_MUCH)

    with pytest.raises(Unavailable, match="not reachable"):
        sleep()
    (said,) = ended
    assert "slept in the midst of a statement" in said
    with store.read() as transaction:
        assert transaction.execute(sa.text("SELECT * FROM wanted")).scalars().all() == [1]


def test_who_sleeps_and_is_in_nobodys_way_is_left(store: Store, look: Callable[[], int]) -> None:
    with _asleep(store):
        assert [look() for _ in range(3)] == [0, 0, 0]


def test_who_sends_some_more_between_two_looks_is_left(
    store: Store, look: Callable[[], int]
) -> None:
    with _asleep(store) as writer, _waiting(store) as became:
        assert look() == 0
        writer.write(b"".join(b"%d\n" % number for number in range(200_000, 300_000)))
        _until(store, "state = 'active' AND wait_event = 'ClientRead'")
        assert look() == 0
        assert became == []
        assert look() == 1


def test_who_has_slept_for_less_than_the_limit_is_left(store: Store) -> None:
    sleepers = Sleepers(asleep_after_s=3600)
    with _asleep(store), _waiting(store) as became:
        for _ in range(3):
            with store.engine.begin() as connection:
                assert sleepers.end(connection) == []
        assert became == []
        with store.engine.begin() as connection:
            patient = Sleepers(asleep_after_s=0)
            patient.end(connection)
        with store.engine.begin() as connection:
            assert len(patient.end(connection)) == 1

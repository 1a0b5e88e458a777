"""The databases that histories run on: each is emptied for the next one, nothing is made anew."""

import itertools
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.store import Store, installation, schema
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.event import Grain
from tests.interleaving.database import OneWriter, WatchedStore
from tests.interleaving.history import Ground
from tests.interleaving.locks import LOOK_S, ServerLocks
from tests.interleaving.truth import FIRST_DAY
from tests.interleaving.world import World
from tests.support.postgres import PostgresServer, postgres_ladder

# Nothing is ever recovered from it.
_HASTY = ("fsync=off", "full_page_writes=off", "autovacuum=off")
_OF_SESSIONS = ("synchronous_commit = off", "deadlock_timeout = '100ms'")
_FOUNDED = "founded.db"
_ACT = Act("founder", to_us(datetime(2026, 8, 1, tzinfo=UTC)))
_DIRECTORY = {"teams": [{"team_id": "A", "members": [{"user_id": "x"}, {"user_id": "y"}]}]}
_RULES = [
    {"rule_id": "members", "rule_type": "by_team", "team_id": "A"},
    {
        "rule_id": "rent",
        "rule_type": "by_usage",
        "allocation_metadata": {"match": {"teams": [None], "resource_types": ["compute"]}},
    },
]


def found(url: str) -> None:
    """Tables, the grain, the first month, rules by which shared cost moves between receivers."""
    store = Store(url)
    try:
        schema.upgrade(store)
        with store.begin() as transaction:
            installation.settle_grain(transaction, Grain("UTC"))
            installation.settle_first_period(transaction, None, Period.of(FIRST_DAY))
        apply_directory(store, _DIRECTORY, _ACT)
        save_rules(store, _RULES, _ACT)
    finally:
        store.close()


class Places:
    """Where grounds are: in one folder or on one server (ours, if none is given), founded once."""

    def __init__(self, kind: str, opened: ExitStack, server: PostgresServer | None = None) -> None:
        self._opened = opened
        self._made = itertools.count(1)
        self._server = server
        if server is not None:
            return
        if kind == "postgresql":
            ladder = postgres_ladder(_HASTY)
            opened.callback(ladder.close)
            self._server = ladder.get()
        else:
            folder = tempfile.TemporaryDirectory(dir=_memory())
            self._folder = Path(opened.enter_context(folder))
            found(f"sqlite:///{self._folder / _FOUNDED}")

    def new(self) -> str:
        """Another place, where one ground can be."""
        if self._server is not None:
            return self._opened.enter_context(self._server.database(found))
        folder = self._folder / str(next(self._made))
        folder.mkdir()
        return str(folder)


@contextmanager
def ground_at(place: str) -> Iterator[Ground]:
    """A ground at such a place, in this process."""
    ground = PostgresGround(place) if "://" in place else SQLiteGround(Path(place))
    try:
        yield ground
    finally:
        ground.close()


def _memory() -> str | None:
    """Where a file is memory, if there is such a folder."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class SQLiteGround(Ground):
    """A file without any durability, copied over from one that was founded."""

    def __init__(self, folder: Path) -> None:
        self._founded = sqlite3.connect(folder.parent / _FOUNDED)
        self.store = WatchedStore(f"sqlite:///{folder / 'books.db'}", OneWriter)
        sa.event.listen(self.store.engine, "connect", _hurry)

    def clear(self) -> None:
        with self.store.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            connection.rollback()
            self._founded.backup(raw)

    def watch_over(self, world: World) -> None:
        baton = world.baton
        baton.begin()
        baton.over.acquire()

    def close(self) -> None:
        self.store.close()
        self._founded.close()


def _hurry(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")


class PostgresGround(Ground):
    """A database whose rows are deleted between histories, past the guards that forbid it."""

    def __init__(self, url: str) -> None:
        self.locks: ServerLocks
        self.store = WatchedStore(url, self._watch)
        with psycopg.connect(_plain(url), autocommit=True) as connection:
            for setting in _OF_SESSIONS:
                name = sql.Identifier(str(sa.make_url(url).database))
                connection.execute(
                    sql.SQL("ALTER DATABASE {} SET ").format(name) + sql.SQL(setting)
                )
            self._founded = _founded(connection)
        self._clearing = psycopg.connect(_plain(url))

    def _watch(self, store: Store) -> ServerLocks:
        self.locks = ServerLocks(store)
        return self.locks

    def clear(self) -> None:
        with self._clearing.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            for table in self._founded:
                cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            for table, rows in self._founded.items():
                if rows:
                    with cursor.copy(f'COPY "{table}" FROM STDIN') as copy:
                        copy.write(rows)
            cursor.execute(
                "SELECT setval(oid::regclass, 1000) FROM pg_class WHERE relkind = 'S'"
                " AND relnamespace = 'public'::regnamespace"
            )
        self._clearing.commit()

    def watch_over(self, world: World) -> None:
        baton = world.baton
        baton.unstick = lambda: self.locks.unstick(baton)
        world.cut_idle = lambda: self.locks.cut_idle(baton)
        self.locks.forget(baton)
        baton.begin()
        while not baton.over.acquire(timeout=LOOK_S):
            self.locks.look(baton)
        # Who is left waits for each other, and would for ever.
        while baton.actors and self.locks.break_up(baton):
            baton.over.acquire()
        world.counts["waits for a lock"] += self.locks.waits

    def close(self) -> None:
        self._clearing.close()
        self.locks.close()
        self.store.close()


_TABLES = (
    "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND NOT relispartition"
    " AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
    " ORDER BY relname"
)


def _founded(connection: "psycopg.Connection[Any]") -> dict[str, bytes]:
    """Every table with the rows it begins with."""
    found: dict[str, bytes] = {}
    for (table,) in connection.execute(_TABLES).fetchall():
        with connection.cursor().copy(f'COPY "{table}" TO STDOUT') as copy:
            found[table] = b"".join(bytes(piece) for piece in copy)
    return found


def _plain(url: str) -> str:
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

"""SQLite: one writer at a time, in this process by a lock and between processes by the file.

WAL mode is used only from the versions on that do not have the WAL-reset fault, which can lose
committed writes where two connections write (fixed in 3.51.3, 3.50.7 and 3.44.6).
"""

import os
import sqlite3
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.errors import ChargebackError, Conflict, Misconfigured
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.store.dialects.guards import GUARDS, Guard
from chargeback_worker.store.dialects.rows import (
    GRAIN_COLUMNS,
    RECORD_COLUMNS,
    SUM_COLUMNS,
    grain_row,
    record_row,
    sum_row,
    upsert_totals,
)
from chargeback_worker.store.dialects.sqlite_errors import (
    BUSY,
    BUSY_TIMEOUT_S,
    DatabaseBusy,
    DatabaseUnusable,
    refusal_of,
)
from chargeback_worker.usage.total import UsageSum

_VARIABLES_MAX = 30_000
_OLDEST = (3, 39, 0)
_WRITES = "chargeback_writes"
_LEFT = "Backups and copies of the file hold what they held, and so may freed blocks of the disk."
_NOT_VACUUMED = (
    "The file was in use, so that its free space may hold copies of erased bytes: run it again"
    " while no worker runs."
)


class AnotherWorker(Conflict):
    """A worker runs on this file already."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"Another worker runs on {database}; SQLite bears one at a time.",
            "Stop that one first, or use PostgreSQL for several.",
        )


class SQLite:
    """See `Dialect` for what each method promises."""

    name = "sqlite"
    one_worker = True
    driver_error: type[Exception] = sqlite3.Error

    def __init__(self) -> None:
        self._writing = threading.Lock()

    def create_engine(self, url: sa.URL) -> sa.Engine:
        engine = sa.create_engine(
            url, connect_args={"timeout": BUSY_TIMEOUT_S}, hide_parameters=True
        ).execution_options(**{_WRITES: True})
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        return engine

    def reading(self, engine: sa.Engine) -> sa.Engine:
        return engine.execution_options(**{_WRITES: False})

    @contextmanager
    def writing(self, database: str) -> Iterator[None]:
        if not self._writing.acquire(timeout=BUSY_TIMEOUT_S):
            raise DatabaseBusy(database)
        try:
            yield
        finally:
            self._writing.release()

    def end_when_idle(self, connection: sa.Connection, idle_s: int) -> None:
        """Nothing to do: one process works on the file."""

    def end_sleepers(self, engine: sa.Engine) -> Sequence[str]:
        return ()

    @contextmanager
    def only_worker(self, url: sa.URL) -> Iterator[None]:
        path = f"{url.database}.lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DatabaseUnusable(path, error.strerror or str(error)) from None
        try:
            # The system lets go of it when the process ends, however it ends.
            if not _lock(handle):
                raise AnotherWorker(str(url.database))
            yield
        finally:
            os.close(handle)

    def server(self, connection: sa.Connection) -> str:
        if sqlite3.sqlite_version_info < _OLDEST:
            wanted = ".".join(map(str, _OLDEST))
            raise Misconfigured(
                f"SQLite {sqlite3.sqlite_version} is too old; {wanted} is needed.",
                "Use a newer Python, or PostgreSQL.",
            )
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        return f"SQLite {sqlite3.sqlite_version} (journal {mode})"

    def may_make_tables(self, connection: sa.Connection) -> bool:
        return True

    def connections(self, connection: sa.Connection) -> tuple[int, int] | None:
        return None

    def now_us(self, connection: sa.Connection) -> int:
        # The file lives on this machine: its clock is the database's.
        return time.time_ns() // 1000

    def among(
        self, column: sa.ColumnElement[str], texts: Collection[str]
    ) -> sa.ColumnElement[bool]:
        listed = sa.func.json_each(msgspec.json.encode(sorted(texts)).decode())
        return column.in_(sa.select(listed.table_valued("value").c.value))

    def table_of(
        self, columns: Sequence[sa.Column[Any]], rows: Sequence[tuple[int, ...]]
    ) -> sa.FromClause:
        row = sa.func.json_each(msgspec.json.encode(rows).decode()).table_valued("value").c.value
        fields = (
            sa.func.json_extract(row, f"$[{place}]").label(column.name)
            for place, column in enumerate(columns)
        )
        return sa.select(*fields).subquery()

    def contains(self, column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
        return sa.func.instr(column, text) > 0

    def item(self, column: sa.ColumnElement[Any], place: int) -> sa.ColumnElement[Any]:
        return sa.func.json_extract(column, f"$[{place}]")

    def first_rows(self, statement: sa.Select[Any]) -> sa.ColumnElement[bool]:
        place: sa.ColumnElement[Any] = sa.literal_column("rowid")
        return place.in_(statement.with_only_columns(place))

    def share_periods(self, connection: sa.Connection, periods: Sequence[int]) -> None:
        """Nothing to do: the whole file is ours until the end of the transaction."""

    def own_period(self, connection: sa.Connection, period: int) -> None:
        """Nothing to do, likewise."""

    def own_totals(self, connection: sa.Connection) -> None:
        """Nothing to do, likewise."""

    def overwrite_erased(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA secure_delete = ON")

    def forget(self, engine: sa.Engine) -> Sequence[str]:
        with engine.connect() as connection:
            raw = _raw(connection)
            try:
                # Pages keep copies of rows that were moved before; only a new file has none.
                raw.execute("VACUUM")
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in BUSY:
                    raise
                return (_NOT_VACUUMED, _LEFT)
        return (_LEFT,)

    def contents(
        self, connection: sa.Connection, identities: Sequence[bytes]
    ) -> dict[bytes, bytes]:
        cursor = _raw(connection).cursor()
        found: dict[bytes, bytes] = {}
        for chunk in _chunks(identities, _VARIABLES_MAX):
            marks = ",".join("?" * len(chunk))
            cursor.execute(
                f"SELECT identity, content FROM usage_key WHERE identity IN ({marks})", chunk
            )
            found.update(cursor.fetchall())
        return found

    def insert_records(
        self, connection: sa.Connection, records: Sequence[NewRecord]
    ) -> dict[bytes, bytes]:
        raw = _raw(connection)
        raw.executemany(
            "INSERT INTO usage_key (identity, content, period) VALUES (?, ?, ?)",
            sorted([(r.event.identity, r.event.content, r.total.period) for r in records]),
        )
        grains = {id(record.total): grain_row(record.total) for record in records}
        raw.executemany(
            _insert("usage_record", (*RECORD_COLUMNS, *GRAIN_COLUMNS)),
            [record_row(record) + grains[id(record.total)] for record in records],
        )
        return {}

    def key_segment_is_full(self, connection: sa.Connection) -> bool:
        return False

    def begin_key_segment(self, connection: sa.Connection) -> bool:
        return False

    def learn_keys(self, engine: sa.Engine) -> Iterator[None]:
        return iter(())

    def add_to_totals(self, connection: sa.Connection, sums: Sequence[UsageSum]) -> None:
        marks = ", ".join("?" * len(GRAIN_COLUMNS + SUM_COLUMNS))
        _raw(connection).executemany(
            upsert_totals(f"VALUES ({marks})"), [grain_row(sum_) + sum_row(sum_) for sum_ in sums]
        )

    def insert_rows(
        self,
        connection: sa.Connection,
        columns: Sequence[sa.Column[Any]],
        chunks: Iterable[Sequence[tuple[Any, ...]]],
    ) -> None:
        names = [f'"{column.name}"' for column in columns]
        statement = _insert(columns[0].table.fullname, names)
        for chunk in chunks:
            connection.exec_driver_sql(statement, list(chunk))

    def count_up(
        self, connection: sa.Connection, table: sa.Table, keys: Sequence[str]
    ) -> dict[str, int]:
        counted = connection.exec_driver_sql(
            # Without WHERE the parser takes ON for that of a join.
            f"INSERT INTO {table.name} (key, last) SELECT value, 1 FROM json_each(?) WHERE true"
            f" ON CONFLICT (key) DO UPDATE SET last = {table.name}.last + 1 RETURNING key, last",
            (msgspec.json.encode(keys).decode(),),
        )
        return {row.key: row.last for row in counted}

    def guard_statements(self) -> Sequence[str]:
        return [statement for guard in GUARDS for statement in _triggers(guard)]

    def refusal(
        self, error: Exception, database: str, *, writes: bool = True
    ) -> ChargebackError | None:
        return refusal_of(error, database)


def _begin(connection: sa.Connection) -> None:
    # BEGIN IMMEDIATE takes the file's write lock first: a transaction that reads and then writes
    # can otherwise find that another one has written in between, and fail.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself: `_begin` does.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_mode = {journal_mode(sqlite3.sqlite_version_info)}")


def journal_mode(version: tuple[int, ...]) -> str:
    """WAL where this version of SQLite has no WAL-reset fault, else TRUNCATE."""
    sound = (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )
    return "WAL" if sound else "TRUNCATE"


def _lock(handle: int) -> bool:
    """Whether the open file could be locked for this process."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _raw(connection: sa.Connection) -> sqlite3.Connection:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def _chunks(values: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _triggers(guard: Guard) -> Iterator[str]:
    condition = guard.condition.replace("IS DISTINCT FROM", "IS NOT")
    for event in guard.events:
        yield from _trigger(guard, event, condition)
    for key in guard.unique:
        same = " AND ".join(f"{name} = NEW.{name}" for name in key)
        name = f"replace_by_{key[0]}"
        taken = f"EXISTS (SELECT 1 FROM {guard.table} WHERE {same})"
        yield from _trigger(guard, "INSERT", taken, name)


def _trigger(guard: Guard, event: str, condition: str, name: str = "") -> Iterator[str]:
    name = f"{guard.name}_on_{name or event.split()[0].lower()}"
    yield f"DROP TRIGGER IF EXISTS {name}"
    yield (
        f"CREATE TRIGGER {name} BEFORE {event} ON {guard.table} WHEN {condition}"
        f" BEGIN SELECT RAISE(ABORT, '{guard.message}'); END"
    )

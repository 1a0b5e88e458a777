"""The bulk writes that our step is measured against: COPY, and executemany of insert-or-ignore.

Rows are written as text in the very way of our step, the fastest that was found, and sorted alike,
which makes the indexes cheaper: who would write by hand would do so too.
"""

import sqlite3
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import psycopg

from chargeback_worker.store.dialects import NewRecord, postgresql_keys, postgresql_usage
from chargeback_worker.store.dialects.rows import (
    GRAIN_COLUMNS,
    RECORD_COLUMNS,
    grain_row,
    record_row,
)

_KEY_COLUMNS = ("identity", "content", "period")
_identity = attrgetter("event.identity")


def copy(connection: "psycopg.Connection[Any]", records: Sequence[NewRecord]) -> None:
    """One transaction of two COPYs."""
    ordered = sorted(records, key=_identity)
    with connection.cursor() as cursor:
        postgresql_usage.copy_keys(cursor, postgresql_keys.active(cursor), ordered)
        postgresql_usage.copy_records(cursor, ordered)
    connection.commit()


def insert_or_ignore(connection: sqlite3.Connection, records: Sequence[NewRecord]) -> None:
    """One transaction of two executemany."""
    ordered = sorted(records, key=_identity)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        _insert("usage_key", _KEY_COLUMNS),
        [(record.event.identity, record.event.content, record.total.period) for record in ordered],
    )
    grains = {id(record.total): grain_row(record.total) for record in ordered}
    connection.executemany(
        _insert("usage_record", (*RECORD_COLUMNS, *GRAIN_COLUMNS)),
        [record_row(record) + grains[id(record.total)] for record in ordered],
    )
    connection.execute("COMMIT")


WRITES: dict[str, Callable[[Any, Sequence[NewRecord]], None]] = {
    "postgresql": copy,
    "sqlite": insert_or_ignore,
}


def _insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"

"""The bulk writes that our step is measured against: COPY, and executemany of insert-or-ignore.

They write rows column by column, the fastest way that was found, and sort keys, which makes the
index cheaper: who would write by hand would do so too.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import psycopg

from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.store.dialects.postgresql_copy import escaped
from chargeback_worker.store.dialects.rows import RECORD_COLUMNS, record_row

_KEY_COLUMNS = ("identity", "content", "period")
_COLUMNS = ("identity", "total_key", *RECORD_COLUMNS)
_identity = attrgetter("event.identity")


def copy(connection: "psycopg.Connection[Any]", records: Sequence[NewRecord]) -> None:
    """One transaction of two COPYs."""
    ordered = sorted(records, key=_identity)
    keys = (
        f"{record.event.identity.hex()}\t{record.event.content.hex()}\t{record.period}\n"
        for record in ordered
    )
    with connection.cursor() as cursor:
        for table, columns, lines in (
            ("usage_key", _KEY_COLUMNS, keys),
            ("usage_record", _COLUMNS, _lines(ordered)),
        ):
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as into:
                into.write("".join(lines).encode())
    connection.commit()


def insert_or_ignore(connection: sqlite3.Connection, records: Sequence[NewRecord]) -> None:
    """One transaction of two executemany."""
    ordered = sorted(records, key=_identity)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        _insert("usage_key", _KEY_COLUMNS),
        [(record.event.identity, record.event.content, record.period) for record in ordered],
    )
    connection.executemany(
        _insert("usage_record", _COLUMNS),
        [(record.event.identity, record.total_key, *record_row(record)) for record in ordered],
    )
    connection.execute("COMMIT")


WRITES: dict[str, Callable[[Any, Sequence[NewRecord]], None]] = {
    "postgresql": copy,
    "sqlite": insert_or_ignore,
}


def _insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"


def _lines(records: Sequence[NewRecord]) -> Iterator[str]:
    columns: list[Iterable[str]] = [
        [record.event.identity.hex() for record in records],
        [record.total_key.hex() for record in records],
    ]
    for values in zip(*map(record_row, records), strict=True):
        columns.append(map(str, values) if type(values[0]) is int else _texts(values))
    return (line + "\n" for line in map("\t".join, zip(*columns, strict=True)))


def _texts(values: Sequence[Any]) -> Iterable[str]:
    together = "".join(filter(None, values))
    if not together.isprintable() or "\\" in together:
        return map(escaped, values)
    return ["\\N" if value is None else value for value in values]

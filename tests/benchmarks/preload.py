"""Millions of stored events, made by the server itself: keys and records of the months before.

Identities are random, as digests are; records lie in the order of their time, 6,000 totals a day.
There are no totals and no positions, which the rate does not depend on; `verify` would say so.
Indexes are made afterwards, those of random keys as full as random insertion leaves them: a packed
one would split all its pages at the first inserts. Keys fill segment after segment, each sealed as
ingest seals it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import sqlalchemy as sa

from chargeback_worker.store import Store, usage
from chargeback_worker.store.dialects.postgresql_keys import SEGMENT_KEYS, active
from tests.benchmarks.child import Found
from tests.benchmarks.database_step import prepare
from tests.benchmarks.usage_stream import TOTALS_A_DAY

_AT_ONCE = 1_000_000
_FULL_AT_RANDOM = 70
_DAYS = 270
# Rows and indexes, and once more what an index is sorted in and the log in between.
_BYTES_A_ROW = 650
_BYTES_BESIDE = 3 << 30

# One row for each event. The last day is in the month before the stream's.
_EVENTS = f"""(
    SELECT number, one,
        to_char(date, 'YYYYMM')::int AS period, to_char(date, 'YYYYMMDD')::int AS day,
        extract(epoch FROM date)::bigint * 1000000 + number % 86400000000 AS time_us
    FROM generate_series(CAST(:first AS bigint), :last) AS number,
        LATERAL (SELECT DATE '2026-09-30' - {_DAYS - 1} + (number * {_DAYS} / :rows)::int AS date,
            abs(hashint8(number)::bigint) % {TOTALS_A_DAY} AS one) AS drawn
) AS event"""
_KEYS = """
INSERT INTO {segment} (identity, content, period)
SELECT md5(number::text)::uuid, md5('content ' || number)::uuid, period FROM {events}
"""
_RECORDS = f"""
INSERT INTO usage_record (
    identity, total_key, period, day, time_us, cost_nano, quantity_whole, quantity_nano,
    cursor_id, position, received_us, source, usage_id, team_id, user_id, agent_id,
    resource_type, metadata)
SELECT
    md5(number::text)::uuid, md5(day::text || '/' || one)::uuid, period, day, time_us,
    number % 1000000000, number % 9000, 0, 0, number, time_us,
    '', md5(number::text), 'team-' || lpad((one % 64)::text, 3, '0'),
    'user-' || lpad((one / 4)::text, 5, '0'), 'helpdesk', 'completion',
    '{{"completion_tokens":' || number % 1024
    || ',"model":"text-embedding-3","prompt_tokens":' || number % 8192 || '}}'
FROM {_EVENTS}
"""


class TooLittleRoom(Exception):
    """The disk of the database has less room than the rows would take."""

    def __init__(self, folder: str, rows: int, needed: int, free: int) -> None:
        super().__init__(
            f"{rows:,} stored events take some {needed / 1e9:.0f} GB, and {folder} has"
            f" {free / 1e9:.0f} GB free. Make room, or leave FULL=1 away."
        )


def check_room(url: str, rows: int) -> None:
    """Raises TooLittleRoom. Of a server elsewhere it knows nothing, and lets it pass."""
    store = Store(url)
    with store.engine.connect() as connection:
        folder = str(connection.exec_driver_sql("SHOW data_directory").scalar_one())
    store.close()
    nearest = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    needed, free = rows * _BYTES_A_ROW + _BYTES_BESIDE, shutil.disk_usage(nearest).free
    if os.path.exists(folder) and free < needed:
        raise TooLittleRoom(folder, rows, needed, free)


def preload(url: str, rows: int) -> Found:
    """Make the tables, and store that many events."""
    prepare(url)
    store = Store(url)
    autocommit = store.engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.exec_driver_sql("SET maintenance_work_mem = '512MB'")
        with _without_indexes(connection, "usage_record"):
            for numbers in _chunks(rows, _AT_ONCE):
                connection.execute(sa.text(_RECORDS), numbers)
        for numbers in _chunks(rows, SEGMENT_KEYS):
            _fill_segment(store, connection, numbers)
        connection.exec_driver_sql("VACUUM ANALYZE usage_record")
        connection.exec_driver_sql("CHECKPOINT")
    store.close()
    return {"rows": rows}


def _chunks(rows: int, size: int) -> Iterator[dict[str, int]]:
    for first in range(0, rows, size):
        yield {"first": first, "last": min(first + size, rows) - 1, "rows": rows}


def _fill_segment(store: Store, connection: sa.Connection, numbers: dict[str, int]) -> None:
    """Keys into the active segment, which is then sealed as ingest seals it, if it is full."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    with raw.cursor() as cursor:
        segment = active(cursor)
    with _without_indexes(connection, segment):
        keys = _KEYS.format(segment=segment, events=_EVENTS)
        connection.execute(sa.text(keys), numbers)
    connection.exec_driver_sql(f"VACUUM ANALYZE {segment}")
    with store.begin() as transaction:
        usage.begin_segment(transaction)


@contextmanager
def _without_indexes(connection: sa.Connection, table: str) -> Iterator[None]:
    """Fill a table without its indexes, which are made again when it is full."""
    makers = _drop_indexes(connection, table)
    yield
    for maker in makers:
        connection.exec_driver_sql(maker)


def _drop_indexes(connection: sa.Connection, table: str) -> list[str]:
    """Drop the indexes of a table; the statements that make them again."""
    rows = connection.exec_driver_sql(
        "SELECT i.relname AS index, c.conname AS key, pg_get_constraintdef(c.oid) AS definition,"
        " pg_get_indexdef(i.oid) AS statement, a.amname AS kind"
        " FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am a ON a.oid = i.relam"
        " LEFT JOIN pg_constraint c ON c.conindid = i.oid"
        " WHERE x.indrelid = %s::regclass ORDER BY i.relname",
        (table,),
    ).all()
    makers: list[str] = []
    for row in rows:
        if row.key is not None:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {row.key}")
            made = f"ALTER TABLE {table} ADD CONSTRAINT {row.key} {row.definition}"
            makers.append(f"{made} WITH (fillfactor = {_FULL_AT_RANDOM})")
        else:
            connection.exec_driver_sql(f"DROP INDEX {row.index}")
            full = f" WITH (fillfactor = {_FULL_AT_RANDOM})" if row.kind == "btree" else ""
            makers.append(row.statement + full)
        if row.kind == "btree":
            makers.append(f"ALTER INDEX {row.index} RESET (fillfactor)")
    return makers

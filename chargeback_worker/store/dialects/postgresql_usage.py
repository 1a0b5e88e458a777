"""Usage on PostgreSQL: COPY keys and records under a savepoint, stage on collision.

Why it is right: a unique index decides which of two workers that insert the same key at once is the
first (`postgresql_keys` says why that is enough). A violation rolls back to the savepoint and goes
through ON CONFLICT, and what was stored meanwhile is read in a later statement, which READ
COMMITTED shows. Keys and totals are written sorted, keys before totals, so that two workers wait
for each other in one direction.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice

import psycopg
from psycopg.types.numeric import Int8

from chargeback_worker.money import NANO
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.store.dialects.postgresql_copy import texts
from chargeback_worker.store.dialects.postgresql_keys import Cursor, Digests, active, look_up
from chargeback_worker.store.dialects.rows import (
    GRAIN_COLUMNS,
    RECORD_COLUMNS,
    SUM_COLUMNS,
    grain_row,
    labels_text,
    sum_row,
    upsert_totals,
)
from chargeback_worker.usage.total import UsageSum

_KEYS = "COPY {} (identity, content, period) FROM STDIN (FORMAT BINARY)"
_RECORDS = f"COPY usage_record ({', '.join((*RECORD_COLUMNS, *GRAIN_COLUMNS))}) FROM STDIN"
_SUMS = f"COPY staged_total ({', '.join((*GRAIN_COLUMNS, *SUM_COLUMNS))}) FROM STDIN"
_ADD_TO_TOTALS = upsert_totals(
    f"SELECT {', '.join((*GRAIN_COLUMNS, *SUM_COLUMNS))} FROM staged_total"
)

_ADD_FEW_TO_TOTALS = upsert_totals(
    "SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::text[],"
    f" %s::text[], %s::text[], %s::text[]{', %s::bigint[]' * len(SUM_COLUMNS)})",
    modulo="%%",
)
_FEW_SUMS = 100

_LINES_AT_ONCE = 5_000
_COPY_BEGINS = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS = b"\xff\xff"
_UUID = b"\0\0\0\x10"
_INT = b"\0\0\0\x04"
_KEY_ROW = b"\0\x03" + _UUID


def insert_records(cursor: Cursor, records: Sequence[NewRecord]) -> dict[bytes, bytes]:
    """See `Dialect.insert_records`."""
    segment = active(cursor)
    cursor.execute("SAVEPOINT straight")
    try:
        copy_keys(cursor, segment, records)
    except psycopg.errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT straight")
        stored = _stage_keys(cursor, segment, records)
        records = [record for record in records if record.event.identity not in stored]
    else:
        stored = {}
    cursor.execute("RELEASE SAVEPOINT straight")
    copy_records(cursor, records)
    return stored


def copy_keys(cursor: Cursor, table: str, records: Sequence[NewRecord]) -> None:
    """The keys of records into a table."""
    with cursor.copy(_KEYS.format(table)) as copy:
        copy.write(b"".join(_key_rows(records)))


def copy_records(cursor: Cursor, records: Sequence[NewRecord]) -> None:
    """The records themselves."""
    lines = _record_lines(records)
    with cursor.copy(_RECORDS) as copy:
        # Piece by piece: the server stores the one while we write the next.
        while piece := "".join(islice(lines, _LINES_AT_ONCE)):
            copy.write(piece.encode())


def add_to_totals(cursor: Cursor, sums: Sequence[UsageSum]) -> None:
    """See `Dialect.add_to_totals`."""
    if len(sums) <= _FEW_SUMS:
        # A staging table takes longer to fill, to empty and to commit than these to be added.
        cursor.execute(_ADD_FEW_TO_TOTALS, _columns(sums))
        return
    cursor.execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS staged_total (LIKE usage_total) ON COMMIT DELETE ROWS"
    )
    # Read as they were written, which is sorted: the planner has no reason to do otherwise.
    with cursor.copy(_SUMS) as copy:
        copy.write("".join(_sum_lines(sums)).encode())
    cursor.execute(_ADD_TO_TOTALS)
    cursor.execute("DELETE FROM staged_total")


def _columns(sums: Sequence[UsageSum]) -> list[Sequence[object]]:
    """The values of `GRAIN_COLUMNS` and `SUM_COLUMNS`, an array for each column."""
    keys, *columns = zip(*(grain_row(sum_) + sum_row(sum_) for sum_ in sums), strict=True)
    # Numbers of one size: each mixture of sizes would be prepared as a statement of its own.
    wide = ([Int8(v) if isinstance(v, int) else v for v in column] for column in columns)
    return [Digests(keys), *wide]


def _sum_lines(sums: Sequence[UsageSum]) -> Iterator[str]:
    for grain, sum_ in zip(_grains(sums), sums, strict=True):
        yield "\t".join((grain, *map(str, sum_row(sum_)))) + "\n"


def _grains(sums: Sequence[UsageSum]) -> Sequence[str]:
    """The fields of `GRAIN_COLUMNS`, tabs between them."""
    own = zip(
        texts([sum_.team for sum_ in sums]),
        texts([sum_.user for sum_ in sums]),
        texts([sum_.agent for sum_ in sums]),
        texts([sum_.resource_type for sum_ in sums]),
        texts([labels_text(sum_.labels) for sum_ in sums]),
        strict=True,
    )
    return [
        f"{sum_.key.hex()}\t{sum_.period}\t{sum_.day}\t{team}\t{user}\t{agent}\t{kind}\t{labels}"
        for sum_, (team, user, agent, kind, labels) in zip(sums, own, strict=True)
    ]


def _stage_keys(cursor: Cursor, segment: str, records: Sequence[NewRecord]) -> dict[bytes, bytes]:
    """Insert the keys that nobody has stored; return those stored meanwhile, with their content."""
    cursor.execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS staged_key"
        " (identity uuid, content uuid, period int) ON COMMIT DELETE ROWS"
    )
    copy_keys(cursor, "staged_key", records)
    cursor.execute(
        f"INSERT INTO {segment} (identity, content, period)"
        " SELECT identity, content, period FROM staged_key ORDER BY identity"
        " ON CONFLICT (identity) DO NOTHING RETURNING identity"
    )
    inserted = {row[0] for row in cursor.fetchall()}
    cursor.execute("DELETE FROM staged_key")
    taken = [r.event.identity for r in records if r.event.identity not in inserted]
    # A later statement of a READ COMMITTED transaction sees what the others have committed.
    stored = look_up(cursor, taken)
    assert len(stored) == len(taken), "a key was refused and is not stored"
    return stored


def _key_rows(records: Sequence[NewRecord]) -> Iterator[bytes]:
    """Keys in the binary format of COPY, sorted: each row begins with its identity."""
    periods = {record.total.period for record in records}
    ends = {period: _INT + struct.pack(">i", period) for period in periods}
    yield _COPY_BEGINS
    # Sorted as they are sent: to sort the records would go through memory by leaps, here and later.
    yield from sorted(
        [
            b"".join((_KEY_ROW, r.event.identity, _UUID, r.event.content, ends[r.total.period]))
            for r in records
        ]
    )
    yield _COPY_ENDS


def _record_lines(records: Sequence[NewRecord]) -> Iterator[str]:
    """Records as lines of COPY; what those of a total share is written once."""
    totals = {id(record.total): record.total for record in records}
    shared = dict(zip(totals, _grains(list(totals.values())), strict=True))
    events = [record.event for record in records]
    own = zip(
        texts([event.source for event in events]),
        texts([event.usage_id for event in events]),
        texts([event.resource_id for event in events]),
        texts([event.metadata for event in events]),
        strict=True,
    )
    for record, event, (source, usage_id, resource, metadata) in zip(
        records, events, own, strict=True
    ):
        whole, nano = divmod(event.quantity, NANO)
        yield (
            f"{event.identity.hex()}\t{event.time_us}\t{event.cost}\t{whole}\t{nano}"
            f"\t{record.cursor_id}\t{record.position}\t{record.received_us}"
            f"\t{source}\t{usage_id}\t{resource}\t{metadata}\t{shared[id(record.total)]}\n"
        )

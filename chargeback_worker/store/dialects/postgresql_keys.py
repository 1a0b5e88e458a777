"""Usage keys on PostgreSQL: one identity once for ever, in segments of which one takes new keys.

The keys are random, so that each new one changes another page of their index: once that is large,
every event costs a page of WAL and a read from disk. So the index is cut. `usage_key_7` inherits
from `usage_key`; the segment of the highest number is the active one, all others are sealed and
never change. Whoever reads `usage_key` reads all of them.

Why an identity is there once:
* in the active segment by its unique index, which two workers that insert the same key meet;
* in the sealed ones by the look-up before the insert. They hold what is seen there: a batch holds
  the lock of the segments shared from before its look-up to its end, and a segment is sealed under
  the exclusive lock, so that no key comes into it after anybody has looked;
* no key comes into a sealed one by mistake: it refuses inserts (a trigger), as does `usage_key`.

To look into each sealed segment would take longer the more there are. A worker that runs for long
puts their keys into a filter, segment by segment, and asks those that are in it only for the few
keys of which it does not say no. They never change, so that it never grows stale; a segment that
is not wholly in it is asked for every key. What was learned of one run of the server, of a database
or of a table is not trusted in another: it may have been taken back in time meanwhile.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader

from chargeback_worker.store.dialects.key_filter import KeyFilter

SEGMENT_KEYS = 4_000_000
"""About so many keys are in a segment: their index has some 130 MB."""

_KEY_BYTES = 68
_LOCK = 0x63626B72
_HOLD = "SELECT pg_advisory_xact_lock_shared(%s, %s)"
_OWN = "SELECT pg_advisory_xact_lock(%s, %s)"
_LOCK_TIMEOUT = "5s"
_ALL = 0
# The planner would rather read a table of a few million keys from end to end, or compile and spread
# over processes what are 20,000 steps through an index: each takes longer than the steps.
_PLANNED_FOR_MANY_KEYS = (
    "set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true)"
)
LOOK_UP = "SELECT identity, content FROM usage_key WHERE identity = ANY(%s)"
_LOOK_UP_IN = "SELECT identity, content FROM ONLY {} WHERE identity = ANY(%({})s)"
_SEGMENTS = (
    "SELECT relname::text, concat_ws('/', pg_postmaster_start_time()::text, relname, pg_class.oid,"
    " (SELECT oid FROM pg_database WHERE datname = current_database())) FROM pg_class"
    " WHERE pg_class.oid = 'usage_key'::regclass"
    " OR pg_class.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'usage_key'::regclass)"
    " ORDER BY nullif(substr(relname, 11), '')::int NULLS FIRST"
)
_ACTIVE = (
    "SELECT relname::text, pg_relation_size(inhrelid) FROM pg_inherits"
    " JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'usage_key'::regclass"
    " ORDER BY substr(relname, 11)::int DESC LIMIT 1"
)
# Some 10,000 keys.
_PAGES_AT_ONCE = 90
_PAGES = "SELECT pg_relation_size(%s) / current_setting('block_size')::int"
_LEARN = (
    "SELECT string_agg(uuid_send(identity), ''::bytea) FROM ONLY {}"
    " WHERE ctid >= '({},0)' AND ctid < '({},0)'"
)

_UUID_OID = 2950
_UUID_ARRAY_OID = 2951
_UUID_SIZE = b"\0\0\0\x10"

Cursor = psycopg.Cursor[Any]


def contents(
    cursor: Cursor, identities: Sequence[bytes], known: KeyFilter | None = None
) -> dict[bytes, bytes]:
    """The stored content of identities, in whatever segment; none is sealed until the end."""
    cursor.execute(f"{_HOLD}, {_PLANNED_FOR_MANY_KEYS}", (_LOCK, _ALL))
    if known is None or not known.covered:
        found = look_up(cursor, identities)
    else:
        found = _look_up_beside(cursor, identities, known)
    cursor.execute("SET LOCAL enable_seqscan = on")
    return found


def look_up(cursor: Cursor, identities: Sequence[bytes]) -> dict[bytes, bytes]:
    """The same by one statement that asks all segments."""
    cursor.execute(LOOK_UP, (Digests(identities),))
    return dict(cursor.fetchall())


def _look_up_beside(
    cursor: Cursor, identities: Sequence[bytes], known: KeyFilter
) -> dict[bytes, bytes]:
    """Ask covered segments for what may be in them, all others for everything."""
    statements = [
        _LOOK_UP_IN.format(segment.table, "some" if segment.known_as in known.covered else "all")
        for segment in _segments(cursor)
    ]
    some = Digests(known.perhaps(identities))
    cursor.execute(" UNION ALL ".join(statements), {"all": Digests(identities), "some": some})
    return dict(cursor.fetchall())


def learn(cursor: Cursor, known: KeyFilter) -> Iterator[None]:
    """Put the sealed segments into the filter that it does not cover yet, in small steps.

    Each step is a statement of its own on a connection that commits by itself.
    """
    for segment in _segments(cursor)[:-1]:
        if segment.known_as in known.covered:
            continue
        cursor.execute(_PAGES, (segment.table,))
        (pages,) = cursor.fetchone() or (0,)
        for page in range(0, pages, _PAGES_AT_ONCE):
            cursor.execute(_LEARN.format(segment.table, page, page + _PAGES_AT_ONCE))
            (identities,) = cursor.fetchone() or (None,)
            known.add(identities or b"")
            yield
        known.cover(segment.known_as)


def active(cursor: Cursor) -> str:
    """The table that new keys go to."""
    return _active(cursor)[0]


def _active(cursor: Cursor) -> tuple[str, int]:
    """That table and its size."""
    cursor.execute(_ACTIVE)
    found: tuple[str, int] | None = cursor.fetchone()
    assert found is not None, "keys have no segment"
    return found


class _Segment(NamedTuple):
    table: str
    known_as: str


def _segments(cursor: Cursor) -> list[_Segment]:
    """All tables of keys, in the order in which they were filled."""
    cursor.execute(_SEGMENTS)
    return [_Segment(*row) for row in cursor.fetchall()]


def is_full(cursor: Cursor) -> bool:
    """Whether the active segment holds enough, by its size."""
    _, size = _active(cursor)
    return size >= SEGMENT_KEYS * _KEY_BYTES


def begin_segment(cursor: Cursor) -> bool:
    """Seal the active segment and begin the next one, where it is full; whether it was.

    Waits for all batches under way, and holds off new ones for as long as a table takes to make.
    """
    cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    cursor.execute(_OWN, (_LOCK, _ALL))
    # Another worker may have been here first: what was seen before the lock is not trusted.
    if not is_full(cursor):
        return False
    number = int(active(cursor).removeprefix("usage_key_")) + 1
    cursor.execute(MADE.format(number))
    cursor.execute(_GUARD)
    return True


class Digests(list[bytes]):
    """Digests that are sent as one binary array of uuid, without an object for each."""


class _DigestsDumper(Dumper):
    format = pq.Format.BINARY
    oid = _UUID_ARRAY_OID

    def dump(self, obj: list[bytes]) -> Buffer:
        head = struct.pack(">iiiii", 1 if obj else 0, 0, _UUID_OID, len(obj), 1)
        if not obj:
            return head[:12]
        return head + _UUID_SIZE + _UUID_SIZE.join(obj)


class _DigestLoader(Loader):
    format = pq.Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def digest_cursor(connection: "psycopg.Connection[Any]") -> Cursor:
    """A cursor that answers in binary, and knows digests."""
    cursor = connection.cursor(binary=True)
    cursor.adapters.register_dumper(Digests, _DigestsDumper)
    cursor.adapters.register_loader("uuid", _DigestLoader)
    return cursor


MADE = "CREATE TABLE usage_key_{} (PRIMARY KEY (identity)) INHERITS (usage_key)"
_GUARD = "SELECT guard_usage_key_segments()"
# Triggers are not inherited. Those that are there are left: to make one anew waits for all readers.
_GUARD_SEGMENTS = """
CREATE OR REPLACE FUNCTION guard_usage_key_segments() RETURNS void LANGUAGE plpgsql AS $guard$
DECLARE
  segment record;
  event text;
BEGIN
  FOR segment IN
    SELECT inhrelid::regclass AS name, inhrelid AS id,
      substr(relname, 11)::int = max(substr(relname, 11)::int) OVER () AS takes_keys
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'usage_key'::regclass
    UNION ALL SELECT 'usage_key'::regclass, 'usage_key'::regclass::oid, false
  LOOP
    FOREACH event IN ARRAY ARRAY['update', 'delete', 'truncate', 'insert'] LOOP
      CONTINUE WHEN event = 'insert' AND segment.takes_keys;
      CONTINUE WHEN EXISTS (SELECT 1 FROM pg_trigger
        WHERE tgrelid = segment.id AND tgname = 'guard_usage_key_kept_on_' || event);
      EXECUTE 'CREATE TRIGGER guard_usage_key_kept_on_' || event || ' BEFORE ' || event
        || ' ON ' || segment.name || ' FOR EACH '
        || CASE WHEN event IN ('update', 'delete') THEN 'ROW' ELSE 'STATEMENT' END
        || ' EXECUTE FUNCTION guard_usage_key_kept_on_' || event || '()';
    END LOOP;
  END LOOP;
END $guard$
"""
_SEALED = """
CREATE OR REPLACE FUNCTION guard_usage_key_kept_on_insert() RETURNS trigger LANGUAGE plpgsql
AS $guard$ BEGIN RAISE EXCEPTION 'a sealed segment of usage_key takes no more keys'
USING ERRCODE = 'raise_exception'; END $guard$
"""
GUARD_STATEMENTS = (_SEALED, _GUARD_SEGMENTS, _GUARD)
"""Run after those of `guards`, which make the other functions anew."""

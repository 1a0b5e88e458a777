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
* in a segment that was sealed by mistake: it refuses inserts (a trigger), as does `usage_key`.
"""

import struct
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader

SEGMENT_KEYS = 4_000_000
"""About so many keys are in a segment: their index has some 130 MB."""

_KEY_BYTES = 68
_LOCK = 0x63626B72
_LOCK_TIMEOUT = "5s"
_ALL = 0
# The planner would rather read a table of a few million keys from end to end, or compile and spread
# over processes what are 20,000 steps through an index: each takes longer than the steps.
_PLANNED_FOR_MANY_KEYS = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true)"
)
LOOK_UP = "SELECT identity, content FROM usage_key WHERE identity = ANY(%s)"
_ACTIVE = (
    "SELECT max(substr(relname, 11)::int) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = 'usage_key'::regclass"
)

_UUID_OID = 2950
_UUID_ARRAY_OID = 2951
_UUID_SIZE = b"\0\0\0\x10"

Cursor = psycopg.Cursor[Any]


def contents(cursor: Cursor, identities: Sequence[bytes]) -> dict[bytes, bytes]:
    """The stored content of identities, in whatever segment; none is sealed until the end."""
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", (_LOCK, _ALL))
    cursor.execute(_PLANNED_FOR_MANY_KEYS)
    found = look_up(cursor, identities)
    cursor.execute("SET LOCAL enable_seqscan = on")
    return found


def look_up(cursor: Cursor, identities: Sequence[bytes]) -> dict[bytes, bytes]:
    """The same as a statement of its own."""
    cursor.execute(LOOK_UP, (Digests(identities),))
    return dict(cursor.fetchall())


def active(cursor: Cursor) -> str:
    """The table that new keys go to."""
    cursor.execute(_ACTIVE)
    (number,) = cursor.fetchone() or (None,)
    return f"usage_key_{number}"


def is_full(cursor: Cursor) -> bool:
    """Whether the active segment holds enough, by its size."""
    cursor.execute("SELECT pg_relation_size(%s)", (active(cursor),))
    (size,) = cursor.fetchone() or (0,)
    return bool(size >= SEGMENT_KEYS * _KEY_BYTES)


def begin_segment(cursor: Cursor) -> bool:
    """Seal the active segment and begin the next one, where it is full; whether it was.

    Waits for all batches under way, and holds off new ones for as long as a table takes to make.
    """
    cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCK, _ALL))
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

"""What the doors have counted, against the rows that are there and the positions read."""

import hashlib
import zlib

import msgspec

from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.store import cursors, pruned, quarantine, recount, tables
from chargeback_worker.store.cursors import Cursor, Door, Tally
from chargeback_worker.usage.digests import identity_digest

_MOVED = "A cursor or its tally was changed by hand; see: chargeback offsets show, chargeback audit"
_REMOVED = "Rows were added or removed by hand; restore them from a backup."


def tallies(found: Comparison) -> None:
    """Accepted, conflict and quarantined are as many as there are rows; nothing read is missing.

    Accepted are also those whose records were dropped after retention.records.
    """
    transaction = found.transaction
    accepted = pruned.accepted_by_cursor(transaction)
    conflict = recount.by_cursor(transaction, tables.usage_conflict)
    quarantined = recount.by_cursor(transaction, tables.quarantine)
    listed = cursors.listed(transaction)
    for cursor in listed:
        found.rows += 1
        name, key = _name(cursor), cursor.cursor_id
        tally = cursor.tally
        found.equal(f"{name}: accepted", accepted[key], tally.accepted, _REMOVED)
        found.equal(f"{name}: conflict", conflict.get(key, 0), tally.conflict, _REMOVED)
        found.equal(f"{name}: quarantined", quarantined.get(key, 0), tally.quarantined, _REMOVED)
        if cursor.kind in (Door.TOPIC, Door.FILE):
            passed = cursor.next_position - cursor.first_position
            found.equal(f"{name}: positions", passed, tally.consumed + tally.skipped, _MOVED)
    _replayed(found, sum((c.tally for c in listed if c.kind is Door.REPLAY), Tally()))


def places(found: Comparison) -> None:
    """Each row stands at a position that its cursor has read, and no two at the same one."""
    names = {cursor.cursor_id: _name(cursor) for cursor in cursors.listed(found.transaction)}
    found.rows = len(names)
    for row in recount.misplaced(found.transaction):
        where = names.get(row.cursor_id, f"cursor {row.cursor_id}")
        found.differ(
            f"row of {row.table} at {where}, {row.position}",
            "a position that was read",
            "one that was not" if row.cursor_id in names else "no such cursor",
            _MOVED,
        )
    for row in recount.placed_twice(found.transaction):
        found.differ(f"{names[row.cursor_id]}, {row.position}", "one event", f"{row.rows}", _MOVED)


def conflicts(found: Comparison) -> None:
    """Each conflict has the identity of a stored event, and other content."""
    for row in recount.conflicts(found.transaction):
        found.rows += 1
        name = f"conflict {row.conflict_id} of {row.source!r}/{row.usage_id!r}"
        identity = identity_digest(row.source, row.usage_id)
        found.equal(f"{name}: identity", identity.hex(), row.identity.hex(), _REMOVED)
        if row.key_content is None:
            found.differ(name, "an event that stands", "none of that identity", _REMOVED)
        elif row.key_content == row.content:
            found.differ(name, "other content", "that of the event that stands", _REMOVED)


def messages(found: Comparison) -> None:
    """Each quarantined message that is kept whole is what was refused, byte by byte."""
    for row in recount.kept_messages(found.transaction):
        found.rows += 1
        name = f"quarantined event {row.quarantine_id}"
        try:
            value = quarantine.unpack(row.payload, 0).value or b""
        except (zlib.error, msgspec.MsgspecError, ValueError, TypeError):
            found.differ(name, "a message", "bytes that cannot be read", _REMOVED)
            continue
        digest = hashlib.blake2b(value, digest_size=16).hexdigest()
        found.equal(f"{name}: digest", digest, row.digest.hex(), _REMOVED)


def _replayed(found: Comparison, tally: Tally) -> None:
    ended = recount.replayed(found.transaction)
    for outcome in ("accepted", "duplicate", "conflict"):
        counted, stored = ended.pop(outcome, 0), getattr(tally, outcome)
        found.equal(f"the replay: {outcome}", counted, stored, _REMOVED)
    for outcome, rows in ended.items():
        found.differ("the replay", "accepted, duplicate or conflict", f"{rows} {outcome}", _REMOVED)


def _name(cursor: Cursor) -> str:
    match cursor.kind:
        case Door.TOPIC:
            retired = " (put away)" if cursor.retired else ""
            return f"{cursor.name}:{cursor.partition}{retired}"
        case Door.FILE:
            return f"file {cursor.name[:12]}"
        case kind:
            return f"{kind.value} {cursor.name}"

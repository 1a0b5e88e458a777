"""How far each door has come and what it has counted: partitions, files, the replay, HTTP.

A cursor's row is moved by compare-and-set in the very transaction that writes what was read, so
whoever moves it owns the events between its old position and its new one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from chargeback_worker.errors import Conflict
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import ingest_cursor as table


class Door(StrEnum):
    """Where events come in; `name` of the cursor is the topic, or the digest of the file."""

    TOPIC = "topic"
    FILE = "file"
    REPLAY = "replay"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Tally:
    """How the events of one door ended; positions without an event are `skipped`."""

    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    quarantined: int = 0
    skipped: int = 0

    @property
    def consumed(self) -> int:
        return self.accepted + self.duplicate + self.conflict + self.quarantined

    def outcomes(self) -> dict[str, int]:
        """How many events ended in which way, by name."""
        return {
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "conflict": self.conflict,
            "quarantined": self.quarantined,
        }

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Tally)))


@dataclass(frozen=True, slots=True)
class Cursor:
    """One row. Positions are offsets, or lines counted from 0; `next_position` is read next."""

    cursor_id: int
    kind: Door
    name: str
    partition: int
    topic_id: str
    retired: bool
    first_position: int
    next_position: int
    tally: Tally
    attempts: int
    suspect_position: int | None
    suspect_attempts: int
    stopped: str | None
    updated_us: int


# Made once: each transaction of ingest executes one of them for each of its cursors.
_COUNT = (
    sa.update(table)
    .where(table.c.cursor_id == sa.bindparam("cursor"))
    .values(
        {
            **{f.name: table.c[f.name] + sa.bindparam(f"{f.name}_more") for f in fields(Tally)},
            "updated_us": sa.bindparam("now_us"),
        }
    )
)
_MOVE = _COUNT.where(
    table.c.next_position == sa.bindparam("expected"), table.c.retired == 0
).values(
    next_position=sa.bindparam("new"),
    attempts=0,
    suspect_position=None,
    suspect_attempts=0,
    stopped=None,
)


class PositionTaken(Conflict):
    """Somebody else has moved the cursor: the batch is theirs."""

    def __init__(self, cursor: str, expected: int) -> None:
        super().__init__(
            f"{cursor} no longer stands at {expected}: another worker has taken it.",
            "Nothing was written; read its position again.",
        )


def find(
    transaction: Transaction, kind: Door, name: str, partition: int = 0, topic_id: str = ""
) -> Cursor | None:
    """The cursor in use of that place, or None."""
    row = transaction.execute(
        sa.select(table).where(
            table.c.kind == kind.value,
            table.c.name == name,
            table.c.partition == partition,
            table.c.topic_id == topic_id,
            table.c.retired == 0,
        )
    ).one_or_none()
    return _cursor(row) if row else None


def make(
    transaction: Transaction,
    kind: Door,
    name: str,
    partition: int = 0,
    *,
    topic_id: str = "",
    first_position: int = 0,
    now_us: int,
) -> Cursor:
    """The cursor of that place, made if it is not there yet; two that make it get the same one."""
    found = find(transaction, kind, name, partition, topic_id)
    if found is None:
        values = {
            "kind": kind.value,
            "name": name,
            "partition": partition,
            "topic_id": topic_id,
            "first_position": first_position,
            "next_position": first_position,
            "updated_us": now_us,
        }
        columns = ", ".join(values)
        marks = ", ".join(f":{column}" for column in values)
        transaction.execute(
            sa.text(
                f"INSERT INTO ingest_cursor ({columns}) VALUES ({marks})"
                " ON CONFLICT (kind, name, partition, topic_id) DO NOTHING"
            ),
            values,
        )
        found = find(transaction, kind, name, partition, topic_id)
    assert found is not None
    return found


def advance(
    transaction: Transaction,
    cursor_id: int,
    tally: Tally,
    *,
    expected: int | None,
    new: int | None,
    now_us: int,
) -> None:
    """Add to the tally and, where `expected` is given, move from there to `new`.

    A commit that moves the cursor clears what was suspected of it. Raises PositionTaken.
    """
    values = {f"{outcome}_more": number for outcome, number in asdict(tally).items()}
    values |= {"cursor": cursor_id, "now_us": now_us}
    statement = _COUNT
    if expected is not None:
        assert new is not None
        assert new >= expected, (expected, new)
        statement = _MOVE
        values |= {"expected": expected, "new": new}
    if transaction.execute(statement, values).rowcount != 1:
        raise PositionTaken(f"cursor {cursor_id}", expected or 0)


def take(transaction: Transaction, cursor_id: int, *, counts: bool = True) -> Cursor:
    """Begin to read on from this cursor, one more attempt if it `counts`; returns it as it is now.

    What it was stopped for is found again, or it is no longer so.
    """
    transaction.execute(
        sa.update(table)
        .where(table.c.cursor_id == cursor_id)
        .values(attempts=table.c.attempts + int(counts), stopped=None)
    )
    return get(transaction, cursor_id)


def suspect(transaction: Transaction, cursor_id: int, position: int) -> int:
    """Note that the event at `position` is tried by itself; returns how often it has been."""
    again = sa.case((table.c.suspect_position == position, table.c.suspect_attempts + 1), else_=1)
    transaction.execute(
        sa.update(table)
        .where(table.c.cursor_id == cursor_id)
        .values(suspect_attempts=again, suspect_position=position)
    )
    return get(transaction, cursor_id).suspect_attempts


def take_back_try(transaction: Transaction, cursor_id: int) -> None:
    """The last try noted of a single event did not end because of that event."""
    transaction.execute(
        sa.update(table)
        .where(table.c.cursor_id == cursor_id, table.c.suspect_attempts > 0)
        .values(suspect_attempts=table.c.suspect_attempts - 1)
    )


def stop(transaction: Transaction, cursor_id: int, reason: str | None) -> None:
    """Note why reading stopped at this cursor (None: it goes on)."""
    transaction.execute(
        sa.update(table).where(table.c.cursor_id == cursor_id).values(stopped=reason)
    )


def retire(transaction: Transaction, topic: str, current_topic_id: str) -> int:
    """Put away the cursors of a topic's former incarnations; returns how many.

    Their ids are made theirs alone, so that an incarnation that comes back is counted anew.
    """
    return transaction.execute(
        sa.update(table)
        .where(
            table.c.kind == Door.TOPIC.value,
            table.c.name == topic,
            table.c.topic_id != current_topic_id,
            table.c.retired == 0,
        )
        .values(retired=1, topic_id=table.c.topic_id + "~" + sa.cast(table.c.cursor_id, sa.Text))
    ).rowcount


def put_away(transaction: Transaction, cursor: Cursor) -> None:
    """Retire one cursor whose place is counted anew by another; its tally stands."""
    transaction.execute(
        sa.update(table)
        .where(table.c.cursor_id == cursor.cursor_id)
        .values(retired=1, topic_id=f"{cursor.topic_id}~{cursor.cursor_id}")
    )


def identify(transaction: Transaction, topic: str, topic_id: str) -> None:
    """Give the id of a topic to cursors that were made while it was not known."""
    transaction.execute(
        sa.update(table)
        .where(table.c.kind == Door.TOPIC.value, table.c.name == topic, table.c.topic_id == "")
        .values(topic_id=topic_id)
    )


def get(transaction: Transaction, cursor_id: int) -> Cursor:
    row = transaction.execute(sa.select(table).where(table.c.cursor_id == cursor_id)).one()
    return _cursor(row)


def listed(transaction: Transaction, kind: Door | None = None) -> Sequence[Cursor]:
    """All cursors, retired ones too, by kind, name and partition."""
    statement = sa.select(table).order_by(
        table.c.kind, table.c.name, table.c.partition, table.c.cursor_id
    )
    if kind is not None:
        statement = statement.where(table.c.kind == kind.value)
    return [_cursor(row) for row in transaction.execute(statement)]


def count_conflicts(transaction: Transaction) -> int:
    """Events of all doors whose id was stored before with other content."""
    counted = transaction.execute(sa.select(sa.func.sum(table.c.conflict))).scalar_one()
    return int(counted or 0)


def furthest(transaction: Transaction, topic: str) -> dict[int, int]:
    """How far each partition of a topic was ever read, by a count of it that was begun anew too.

    What was read of former incarnations of the topic counts only before the present one is read.
    """
    known = [cursor for cursor in listed(transaction, Door.TOPIC) if cursor.name == topic]
    present = {cursor.partition: cursor.topic_id for cursor in known if not cursor.retired}
    reached: dict[int, int] = {}
    for cursor in known:
        # A cursor that was put away has its own number after the id.
        topic_id = cursor.topic_id.partition("~")[0]
        if present.get(cursor.partition, topic_id) == topic_id:
            before = reached.get(cursor.partition, 0)
            reached[cursor.partition] = max(before, cursor.next_position)
    return reached


def _cursor(row: sa.Row[Any]) -> Cursor:
    return Cursor(
        row.cursor_id,
        Door(row.kind),
        row.name,
        row.partition,
        row.topic_id,
        bool(row.retired),
        row.first_position,
        row.next_position,
        Tally(row.accepted, row.duplicate, row.conflict, row.quarantined, row.skipped),
        row.attempts,
        row.suspect_position,
        row.suspect_attempts,
        row.stopped,
        row.updated_us,
    )

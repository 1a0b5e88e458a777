"""Refused events, kept with their bytes and the reason until replayed or dismissed."""

import hashlib
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.errors import Conflict, NotFound
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import ingest_cursor
from chargeback_worker.store.tables import quarantine as table
from chargeback_worker.usage.event import RawEvent, RefusedEvent

HEAD_BYTES = 4096
_REPLAYABLE = (table.c.state == "held", table.c.replayable == 1)


class Held(StrEnum):
    HELD = "held"
    REPLAYED = "replayed"
    DISMISSED = "dismissed"


class QuarantineUnknown(NotFound):
    def __init__(self, quarantine_id: int) -> None:
        super().__init__(
            f"There is no quarantined event {quarantine_id}.",
            "List them: chargeback quarantine list",
        )


class AlreadyResolved(Conflict):
    def __init__(self, quarantine_id: int, state: str) -> None:
        super().__init__(f"The quarantined event {quarantine_id} is already {state}.")


class NotReplayable(Conflict):
    def __init__(self, quarantine_id: int) -> None:
        super().__init__(
            f"The quarantined event {quarantine_id} was too large to be kept whole.",
            "Send it again from where it came, then dismiss it here.",
        )


@dataclass(frozen=True, slots=True)
class Quarantined:
    """`raw` is the whole message while `replayable`, else its head.

    It is None once it was erased, and in lists, which do not read it.
    """

    quarantine_id: int
    door: str
    name: str
    partition: int
    position: int
    reason: str
    detail: str
    received_us: int
    size_bytes: int
    digest: bytes
    raw: RawEvent | None
    replayable: bool
    state: Held
    outcome: str | None
    resolved_us: int | None


def pack(raw: RawEvent) -> bytes:
    """A message as it is kept: its value, headers and key, compressed."""
    return zlib.compress(msgspec.msgpack.encode([raw.value, list(raw.headers), raw.key]))


def unpack(payload: bytes, position: int) -> RawEvent:
    value, headers, key = msgspec.msgpack.decode(zlib.decompress(payload))
    return RawEvent(value, tuple((name, text) for name, text in headers), key, position)


def insert(
    transaction: Transaction,
    refused: Iterable[tuple[int, RawEvent, RefusedEvent]],
    *,
    bytes_max: int,
    received_us: int,
) -> None:
    """Keep refused events of (cursor id, message, refusal); larger ones only by digest and head."""
    rows = [
        _row(cursor_id, raw, refusal, bytes_max) | {"received_us": received_us}
        for cursor_id, raw, refusal in refused
    ]
    if rows:
        transaction.execute(sa.insert(table), rows)


def _row(cursor_id: int, raw: RawEvent, refusal: RefusedEvent, bytes_max: int) -> dict[str, Any]:
    value = raw.value or b""
    size = len(value) + sum(len(name) + len(text or b"") for name, text in raw.headers)
    whole = size <= bytes_max
    kept = raw if whole else msgspec.structs.replace(raw, value=value[:HEAD_BYTES], headers=())
    return {
        "cursor_id": cursor_id,
        "position": raw.position,
        "reason": refusal.reason.value,
        "detail": refusal.detail,
        "size_bytes": size,
        "digest": hashlib.blake2b(value, digest_size=16).digest(),
        "payload": pack(kept),
        "replayable": int(whole),
        "state": Held.HELD.value,
    }


def listed(
    transaction: Transaction,
    *,
    state: Held | None = Held.HELD,
    reason: str | None = None,
    limit: int = 200,
    after: int | None = None,
) -> Sequence[Quarantined]:
    """Newest first; `after` is the last id of the page before."""
    columns = [column for column in table.c if column is not table.c.payload]
    statement = _select(*columns).order_by(table.c.quarantine_id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(table.c.state == state.value)
    if reason is not None:
        statement = statement.where(table.c.reason == reason)
    if after is not None:
        statement = statement.where(table.c.quarantine_id < after)
    return [_quarantined(row) for row in transaction.execute(statement)]


def get(transaction: Transaction, quarantine_id: int) -> Quarantined:
    """Raises QuarantineUnknown."""
    row = transaction.execute(
        _select(*table.c).where(table.c.quarantine_id == quarantine_id)
    ).one_or_none()
    if row is None:
        raise QuarantineUnknown(quarantine_id)
    return _quarantined(row)


def count_replayable(transaction: Transaction) -> int:
    """How many could be tried again now."""
    return transaction.connection.execute(
        sa.select(sa.func.count()).where(*_REPLAYABLE)
    ).scalar_one()


def next_replayable(
    transaction: Transaction,
    *,
    after: int = 0,
    among: Collection[int] | None = None,
    events_max: int,
    bytes_max: int,
) -> list[RawEvent]:
    """The oldest events held behind the id `after` (`among` some), each at its id as position.

    No more than `events_max`, and no more than `bytes_max` together, but one at least.
    """
    sizes = (
        sa.select(table.c.quarantine_id, table.c.size_bytes)
        .where(*_REPLAYABLE, table.c.quarantine_id > after)
        .order_by(table.c.quarantine_id)
        .limit(events_max)
    )
    if among is not None:
        sizes = sizes.where(_one_of(transaction, among))
    taken: list[int] = []
    size = 0
    for row in transaction.execute(sizes):
        size += row.size_bytes
        if taken and size > bytes_max:
            break
        taken.append(row.quarantine_id)
    if not taken:
        return []
    rows = transaction.execute(
        sa.select(table.c.quarantine_id, table.c.payload)
        .where(_one_of(transaction, taken))
        .order_by(table.c.quarantine_id)
    )
    return [unpack(row.payload, row.quarantine_id) for row in rows]


def set_replayed(
    transaction: Transaction, quarantine_ids: Sequence[int], outcome: str, now_us: int
) -> None:
    """Raises AlreadyResolved where somebody else was first with one of them."""
    _resolve(transaction, quarantine_ids, state=Held.REPLAYED, outcome=outcome, now_us=now_us)


def set_refused_again(transaction: Transaction, refused: Mapping[int, RefusedEvent]) -> None:
    """Note the reasons of today for events that are still refused."""
    rows = [
        {"number": number, "reason": refusal.reason.value, "detail": refusal.detail}
        for number, refusal in refused.items()
    ]
    if rows:
        transaction.execute(
            sa.text(
                "UPDATE quarantine SET reason = :reason, detail = :detail"
                " WHERE quarantine_id = :number AND state = 'held'"
            ),
            rows,
        )


def dismiss(transaction: Transaction, quarantine_id: int, now_us: int) -> None:
    """Erase the bytes; digest and reason stay. Raises AlreadyResolved."""
    _resolve(transaction, [quarantine_id], state=Held.DISMISSED, outcome="dismissed", now_us=now_us)
    transaction.execute(
        sa.update(table)
        .where(table.c.quarantine_id == quarantine_id)
        .values(payload=None, replayable=0)
    )


def count_held(transaction: Transaction) -> int:
    return transaction.connection.execute(
        sa.select(sa.func.count()).where(table.c.state == Held.HELD.value)
    ).scalar_one()


def _resolve(
    transaction: Transaction,
    quarantine_ids: Sequence[int],
    *,
    state: Held,
    outcome: str,
    now_us: int,
) -> None:
    resolved = transaction.execute(
        sa.update(table)
        .where(_one_of(transaction, quarantine_ids), table.c.state == Held.HELD.value)
        .values(state=state.value, outcome=outcome, resolved_us=now_us)
        .returning(table.c.quarantine_id)
    )
    others = set(quarantine_ids).difference(resolved.scalars())
    if others:
        first = min(others)
        raise AlreadyResolved(first, get(transaction, first).state)


def _one_of(transaction: Transaction, quarantine_ids: Collection[int]) -> sa.ColumnElement[bool]:
    """Whether it is one of any number of ids."""
    ids = transaction.dialect.table_of([table.c.quarantine_id], [(n,) for n in quarantine_ids])
    return table.c.quarantine_id.in_(sa.select(ids.c.quarantine_id))


def _select(*columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(
        *columns, ingest_cursor.c.kind, ingest_cursor.c.name, ingest_cursor.c.partition
    ).join_from(table, ingest_cursor, ingest_cursor.c.cursor_id == table.c.cursor_id)


def _quarantined(row: sa.Row[Any]) -> Quarantined:
    payload = getattr(row, "payload", None)
    return Quarantined(
        row.quarantine_id,
        row.kind,
        row.name,
        row.partition,
        row.position,
        row.reason,
        row.detail,
        row.received_us,
        row.size_bytes,
        row.digest,
        unpack(payload, row.position) if payload is not None else None,
        bool(row.replayable),
        Held(row.state),
        row.outcome,
        row.resolved_us,
    )

"""Usage keys and records: what makes an event count once, and what it was."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.money import NANO
from chargeback_worker.store import Transaction
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.store.tables import usage_conflict as conflict
from chargeback_worker.store.tables import usage_key, usage_record
from chargeback_worker.usage.event import UsageEvent


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A usage record as it is stored; `labels` in the order of the grain."""

    event: UsageEvent
    period: int
    total_key: bytes
    cursor_id: int
    position: int
    received_us: int


@dataclass(frozen=True, slots=True)
class Conflicting:
    """An event that has the identity of a stored one and other content."""

    event: UsageEvent
    cursor_id: int
    position: int
    payload: bytes


def contents(transaction: Transaction, identities: Iterable[bytes]) -> dict[bytes, bytes]:
    """The content digests of those identities that are stored."""
    wanted = sorted(set(identities))
    return transaction.dialect.contents(transaction.connection, wanted) if wanted else {}


def insert(transaction: Transaction, records: Iterable[NewRecord]) -> dict[bytes, bytes]:
    """Insert keys and records, each identity once.

    Returns the identities that another transaction had stored meanwhile, with their content; those
    were not inserted. Sorted here: two workers that wait for each other do so in one order.
    """
    ordered = sorted(records, key=_by_identity)
    return transaction.dialect.insert_records(transaction.connection, ordered) if ordered else {}


def _by_identity(record: NewRecord) -> bytes:
    return record.event.identity


def insert_conflicts(
    transaction: Transaction, rows: Sequence[Conflicting], received_us: int
) -> None:
    """Keep conflicting events; the first of an identity stands."""
    if rows:
        transaction.execute(
            sa.insert(conflict),
            [
                {
                    "identity": row.event.identity,
                    "content": row.event.content,
                    "source": row.event.source,
                    "usage_id": row.event.usage_id,
                    "cursor_id": row.cursor_id,
                    "position": row.position,
                    "received_us": received_us,
                    "payload": row.payload,
                }
                for row in rows
            ],
        )


def records(
    transaction: Transaction, *conditions: sa.ColumnElement[bool]
) -> Iterator[StoredRecord]:
    """Stored records with their content digest, in chunks, in no order."""
    statement = (
        sa.select(usage_record, usage_key.c.content)
        .join_from(
            usage_record, usage_key, usage_key.c.identity == usage_record.c.identity, isouter=True
        )
        .where(*conditions)
        .execution_options(yield_per=5_000)
    )
    for row in transaction.connection.execute(statement):
        yield _record(row)


def of_total(transaction: Transaction, key: bytes, limit: int) -> list[StoredRecord]:
    """The first records of a total, by usage id."""
    statement = (
        sa.select(usage_record, usage_key.c.content)
        .join_from(usage_record, usage_key, usage_key.c.identity == usage_record.c.identity)
        .where(usage_record.c.total_key == key)
        .order_by(usage_record.c.usage_id, usage_record.c.source)
        .limit(limit)
    )
    return [_record(row) for row in transaction.execute(statement)]


def _record(row: sa.Row[Any]) -> StoredRecord:
    event = UsageEvent(
        source=row.source,
        usage_id=row.usage_id,
        time_us=row.time_us,
        day=row.day,
        team=row.team_id,
        user=row.user_id,
        agent=row.agent_id,
        resource_type=row.resource_type,
        quantity=row.quantity_whole * NANO + row.quantity_nano,
        cost=row.cost_nano,
        labels=read_labels(row.labels),
        resource_id=row.resource_id,
        metadata=row.metadata,
        identity=row.identity,
        content=row.content or b"",
    )
    return StoredRecord(
        event, row.period, row.total_key, row.cursor_id, row.position, row.received_us
    )


def read_labels(text: str | None) -> tuple[str | None, ...]:
    """Labels from the JSON list they are stored as."""
    return tuple(msgspec.json.decode(text, type=list[str | None])) if text else ()

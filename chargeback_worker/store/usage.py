"""Usage keys and records: what makes an event count once, and what is kept of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from chargeback_worker.store import Transaction
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.store.tables import usage_conflict as conflict
from chargeback_worker.usage.event import UsageEvent


@dataclass(frozen=True, slots=True)
class Conflicting:
    """An event that has the identity of a stored one and other content."""

    event: UsageEvent
    cursor_id: int
    position: int
    payload: bytes


def contents(transaction: Transaction, identities: Iterable[bytes]) -> dict[bytes, bytes]:
    """The content digests of those identities that are stored."""
    wanted = list(identities)
    return transaction.dialect.contents(transaction.connection, wanted) if wanted else {}


def insert(transaction: Transaction, records: Sequence[NewRecord]) -> dict[bytes, bytes]:
    """Insert keys and records, each identity once.

    Returns the identities that another transaction had stored meanwhile, with their content; those
    were not inserted.
    """
    return transaction.dialect.insert_records(transaction.connection, records) if records else {}


def segment_is_full(transaction: Transaction) -> bool:
    """Whether `begin_segment` is due, for the sake of speed; nothing is wrong until then."""
    return transaction.dialect.key_segment_is_full(transaction.connection)


def begin_segment(transaction: Transaction) -> bool:
    """Keep new keys apart from those there are, if it is still due; in a transaction of its own."""
    return transaction.dialect.begin_key_segment(transaction.connection)


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


def read_labels(text: str | None) -> tuple[str | None, ...]:
    """Labels from the JSON list they are stored as."""
    return tuple(msgspec.json.decode(text, type=list[str | None])) if text else ()

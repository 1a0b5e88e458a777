"""Messages for the invoices topic: written with what they tell of, sent and marked later."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.invoicing.message import MessageType, OutboxMessage
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.rows import KEYS_AT_ONCE, chunks, insert_many
from chargeback_worker.store.tables import outbox as table
from chargeback_worker.store.tables import outbox_sequence as sequence

ROUND_BYTES_MAX = 64 * 1024 * 1024
_FETCHED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that may be sent now."""

    message_id: int
    message: OutboxMessage
    invoice_id: str | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """Where the broker has stored a message."""

    message_id: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Written:
    """A message as it was written: where it arrived, if that is known, and the digest of its
    bytes."""

    place: tuple[int, int] | None
    digest: bytes

    def says(self, payload: bytes | None) -> bool:
        return self.digest == sha256(payload or b"").digest()


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has not been published; `parked` counts receivers whose messages wait for a person."""

    messages: int
    parked: int
    oldest_us: int | None


def next_seqs(transaction: Transaction, keys: Collection[str]) -> dict[str, int]:
    """The next `seq` of each key, given out; what comes of it is ours until the end."""
    seqs: dict[str, int] = {}
    for chunk in chunks(sorted(set(keys)), KEYS_AT_ONCE):
        seqs |= transaction.dialect.count_up(transaction.connection, sequence, chunk)
    return seqs


def last_seqs(transaction: Transaction, keys: Collection[str]) -> dict[str, int]:
    """The last `seq` given out to each of these keys, where any was."""
    found: dict[str, int] = {}
    for chunk in chunks(sorted(set(keys)), KEYS_AT_ONCE):
        named = transaction.dialect.among(sequence.c.key, chunk)
        rows = transaction.execute(sa.select(sequence).where(named))
        found |= {row.key: row.last for row in rows}
    return found


def raise_seqs(transaction: Transaction, least: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Give out no `seq` of those keys up to that again; of those that were lower, from where to
    where they were raised."""
    last = last_seqs(transaction, least)
    raised = {key: (last.get(key, 0), seq) for key, seq in least.items() if last.get(key, 0) < seq}
    if raised:
        transaction.execute(
            sa.text(
                "INSERT INTO outbox_sequence (key, last) VALUES (:key, :last)"
                " ON CONFLICT (key) DO UPDATE SET last = excluded.last"
            ),
            [{"key": key, "last": last} for key, (_, last) in raised.items()],
        )
    return raised


def insert(
    transaction: Transaction,
    period: Period,
    revision: int,
    messages: Iterable[tuple[OutboxMessage, str | None]],
    now_us: int,
) -> None:
    """Messages in the order given, each with the invoice it tells of."""
    insert_many(
        transaction,
        table,
        (
            {
                "ce_id": message.ce_id,
                "key": message.key,
                "seq": message.seq,
                "type": message.type.value,
                "headers": msgspec.json.encode(message.headers).decode(),
                "payload": message.payload,
                "period": period.number,
                "revision": revision,
                "invoice_id": invoice_id,
                "created_us": now_us,
            }
            for message, invoice_id in messages
        ),
    )


def heads(transaction: Transaction, limit: int) -> list[Waiting]:
    """The first unpublished message of each key, of up to `limit` keys and 64 MiB.

    A key whose first one is parked has none. What closes a period waits until every invoice that
    the close issued has arrived, and also for a round that has room for it: to look for such
    invoices while most are still to be sent would take longer than to send some.
    """
    closing = table.c.type == MessageType.PERIOD_CLOSED.value
    found, whole = _read(transaction, _first_of_keys(~closing, limit=limit), 0)
    if whole and len(found) < limit:
        size = sum(len(row.message.payload) for row in found)
        ending = _first_of_keys(closing, ~_not_all_arrived(), limit=limit - len(found))
        found = _read(transaction, ending, size)[0] + found
    return found


def _first_of_keys(*conditions: sa.ColumnElement[bool], limit: int | None) -> sa.Select[Any]:
    earlier = table.alias("earlier")
    behind = sa.exists().where(
        earlier.c.key == table.c.key,
        earlier.c.seq < table.c.seq,
        earlier.c.published_us.is_(None),
    )
    return (
        sa.select(table)
        .where(table.c.published_us.is_(None), table.c.parked.is_(None), ~behind, *conditions)
        .order_by(table.c.key)
        .limit(limit)
        .execution_options(yield_per=_FETCHED_AT_ONCE)
    )


def _not_all_arrived() -> sa.ColumnElement[bool]:
    issued = table.alias("issued")
    return sa.exists().where(
        issued.c.published_us.is_(None),
        issued.c.period == table.c.period,
        issued.c.revision == table.c.revision,
        issued.c.type == MessageType.INVOICE_ISSUED.value,
        issued.c.message_id < table.c.message_id,
    )


def _read(
    transaction: Transaction, statement: sa.Select[Any], size: int
) -> tuple[list[Waiting], bool]:
    """What fits into a round that holds `size` bytes already, and whether that is all."""
    found: list[Waiting] = []
    with transaction.connection.execute(statement) as rows:
        for row in rows:
            if size and size + len(row.payload) > ROUND_BYTES_MAX:
                return found, False
            size += len(row.payload)
            found.append(_waiting(row))
    return found, True


def mark_published(transaction: Transaction, arrived: Sequence[Arrived], now_us: int) -> None:
    """Note where messages have arrived, in one statement."""
    if not arrived:
        return
    columns = (table.c.message_id, table.c.topic_partition, table.c.topic_offset)
    rows = [(message.message_id, message.partition, message.offset) for message in arrived]
    places = transaction.dialect.table_of(columns, rows)
    transaction.execute(
        sa.update(table)
        .where(table.c.message_id == places.c.message_id, table.c.published_us.is_(None))
        .values(
            published_us=now_us,
            topic_partition=places.c.topic_partition,
            topic_offset=places.c.topic_offset,
        )
    )


def park(transaction: Transaction, refused: Mapping[int, str]) -> None:
    """Hold back messages that the broker refuses for ever, and so all that follow on their key."""
    for message_id, reason in refused.items():
        transaction.execute(
            sa.update(table).where(table.c.message_id == message_id).values(parked=reason)
        )


def find(transaction: Transaction, ce_ids: Collection[str]) -> dict[str, Written]:
    """Those messages of these ids that were written here."""
    found: dict[str, Written] = {}
    columns = (table.c.ce_id, table.c.payload, table.c.topic_partition, table.c.topic_offset)
    for chunk in chunks(sorted(set(ce_ids)), KEYS_AT_ONCE):
        named = transaction.dialect.among(table.c.ce_id, chunk)
        for row in transaction.execute(sa.select(*columns).where(named)):
            known = row.topic_offset is not None
            place = (row.topic_partition, row.topic_offset) if known else None
            found[row.ce_id] = Written(place, sha256(row.payload).digest())
    return found


def has_published(transaction: Transaction) -> bool:
    """Whether any message is known to have arrived."""
    found = sa.select(table.c.message_id).where(table.c.published_us.is_not(None)).limit(1)
    return transaction.execute(found).first() is not None


def backlog(transaction: Transaction) -> Backlog:
    row = transaction.execute(
        sa.select(
            sa.func.count().label("messages"),
            sa.func.count(table.c.parked).label("parked"),
            sa.func.min(table.c.created_us).label("oldest_us"),
        ).where(table.c.published_us.is_(None))
    ).one()
    return Backlog(row.messages, row.parked, row.oldest_us)


def oldest_ready_us(transaction: Transaction) -> int | None:
    """When the oldest of the messages was written that nothing but the publisher keeps back."""
    closing = table.c.type == MessageType.PERIOD_CLOSED.value
    ready = _first_of_keys(sa.or_(~closing, ~_not_all_arrived()), limit=None).subquery()
    found: int | None = transaction.execute(sa.select(sa.func.min(ready.c.created_us))).scalar()
    return found


def unpublished(transaction: Transaction) -> dict[tuple[Period, int], tuple[int, int]]:
    """By period and revision: how many messages wait, and how many of them are parked."""
    rows = transaction.execute(
        sa.select(
            table.c.period,
            table.c.revision,
            sa.func.count().label("messages"),
            sa.func.count(table.c.parked).label("parked"),
        )
        .where(table.c.published_us.is_(None))
        .group_by(table.c.period, table.c.revision)
    )
    return {
        (Period.from_number(row.period), row.revision): (row.messages, row.parked) for row in rows
    }


def _waiting(row: sa.Row[Any]) -> Waiting:
    headers = msgspec.json.decode(row.headers, type=tuple[tuple[str, str], ...])
    message = OutboxMessage(
        row.ce_id, row.key, row.seq, MessageType(row.type), headers, bytes(row.payload)
    )
    return Waiting(row.message_id, message, row.invoice_id)

"""Whose messages wait to be published, and which of these receivers the broker refuses one of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.rows import KEYS_AT_ONCE, chunks
from chargeback_worker.store.tables import invoice
from chargeback_worker.store.tables import outbox as table


@dataclass(frozen=True, slots=True)
class WaitingKey:
    """A key with its first message that is not published; `messages` counts those behind it too.

    `reason` is why the broker refuses that one: the key is parked. None while it may be sent.
    """

    key: str
    messages: int
    message_id: int
    seq: int
    type: MessageType
    ce_id: str
    period: Period
    revision: int
    invoice_number: str | None
    size_bytes: int
    created_us: int
    reason: str | None


def listed(
    transaction: Transaction,
    *,
    parked: bool = False,
    limit: int | None = None,
    after: str | None = None,
) -> Sequence[WaitingKey]:
    """In the order of keys; where asked for, those alone that are `parked`. `after` is the last key
    of the page before."""
    unpublished = table.c.published_us.is_(None)
    waiting = (
        sa.select(
            table.c.key.label("key"),
            sa.func.min(table.c.seq).label("first"),
            sa.func.count().label("messages"),
        )
        .where(unpublished)
        .group_by(table.c.key)
    )
    if parked:
        waiting = waiting.having(sa.func.count(table.c.parked) > 0)
    if after is not None:
        waiting = waiting.where(table.c.key > after)
    found = waiting.order_by(table.c.key).limit(limit).subquery()
    first = [column for column in table.c if column.name not in ("headers", "payload")]
    size = sa.func.length(table.c.payload).label("size_bytes")
    statement = (
        sa.select(*first, size, found.c.messages, invoice.c.number)
        .join(found, (found.c.key == table.c.key) & (found.c.first == table.c.seq))
        .outerjoin(invoice, invoice.c.invoice_id == table.c.invoice_id)
        .order_by(table.c.key)
    )
    return [_waiting(row) for row in transaction.execute(statement)]


def refusal(transaction: Transaction, invoice_id: str) -> str | None:
    """Why the broker refuses a message of an invoice, or one that those of the invoice wait for."""
    of_invoice = sa.select(table.c.key).where(
        table.c.invoice_id == invoice_id, table.c.published_us.is_(None)
    )
    refused = sa.select(table.c.parked).where(
        table.c.key.in_(of_invoice), table.c.published_us.is_(None), table.c.parked.is_not(None)
    )
    return transaction.execute(refused).scalars().first()


def release(
    transaction: Transaction, keys: Collection[str] | None = None
) -> Sequence[tuple[str, str, str]]:
    """Let parked keys, or those of them that are named, be sent again from where they stand.

    Returns of each the key, the id of the message that was refused, and why.
    """
    standing = sa.select(table.c.message_id, table.c.key, table.c.ce_id, table.c.parked).where(
        table.c.published_us.is_(None), table.c.parked.is_not(None)
    )
    # Whoever releases the same at once finds nothing left to do.
    statement = standing.order_by(table.c.key).with_for_update()
    rows = transaction.execute(statement).all()
    if keys is not None:
        rows = [row for row in rows if row.key in keys]
    for some in chunks(rows, KEYS_AT_ONCE):
        transaction.execute(
            sa.update(table)
            .where(table.c.message_id.in_([row.message_id for row in some]))
            .values(parked=None)
        )
    return [(row.key, row.ce_id, row.parked) for row in rows]


def _waiting(row: sa.Row[Any]) -> WaitingKey:
    return WaitingKey(
        row.key,
        row.messages,
        row.message_id,
        row.seq,
        MessageType(row.type),
        row.ce_id,
        Period.from_number(row.period),
        row.revision,
        row.number,
        row.size_bytes,
        row.created_us,
        row.parked,
    )

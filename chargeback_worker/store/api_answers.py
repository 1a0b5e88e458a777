"""What was answered to a request with an Idempotency-Key, to be answered again."""

from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import api_answer as table

_FORGOTTEN_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """`digest` is that of the request."""

    digest: bytes
    status: int
    headers: dict[str, str]
    body: bytes


def find(transaction: Transaction, owner: str, key: str, since_us: int) -> StoredAnswer | None:
    """What that owner was answered under that key, unless it is older than that."""
    row = transaction.execute(
        sa.select(table).where(
            table.c.owner == owner, table.c.key == key, table.c.created_us >= since_us
        )
    ).one_or_none()
    if row is None:
        return None
    headers = msgspec.json.decode(row.headers, type=dict[str, str])
    return StoredAnswer(bytes(row.digest), row.status, headers, bytes(row.body))


def keep(
    transaction: Transaction,
    owner: str,
    key: str,
    answer: StoredAnswer,
    *,
    now_us: int,
    since_us: int,
) -> None:
    """Keep it, also in place of one that is older than `since_us`; another that was first stays."""
    transaction.execute(
        sa.text(
            "INSERT INTO api_answer (owner, key, digest, status, headers, body, created_us)"
            " VALUES (:owner, :key, :digest, :status, :headers, :body, :now_us)"
            " ON CONFLICT (owner, key) DO UPDATE SET digest = excluded.digest,"
            " status = excluded.status, headers = excluded.headers, body = excluded.body,"
            " created_us = excluded.created_us WHERE api_answer.created_us < :since_us"
        ),
        {
            "owner": owner,
            "key": key,
            "digest": answer.digest,
            "status": answer.status,
            "headers": msgspec.json.encode(answer.headers).decode(),
            "body": answer.body,
            "now_us": now_us,
            "since_us": since_us,
        },
    )


def forget(transaction: Transaction, before_us: int) -> None:
    """Delete some of the answers that are older than that."""
    old = (
        sa.select(table.c.owner, table.c.key)
        .where(table.c.created_us < before_us)
        .order_by(table.c.created_us)
        .limit(_FORGOTTEN_AT_ONCE)
    )
    for row in transaction.execute(old).all():
        transaction.execute(
            sa.delete(table).where(table.c.owner == row.owner, table.c.key == row.key)
        )


def forget_all(transaction: Transaction) -> None:
    """Delete all of them, whatever they hold."""
    transaction.execute(sa.delete(table))

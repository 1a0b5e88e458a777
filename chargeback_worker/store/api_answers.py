"""What was answered to a request with an Idempotency-Key, to be answered again."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Answered(NamedTuple):
    """An answer and what it is found by: a key of its owner."""

    owner: str
    key: str
    answer: StoredAnswer


# Made once: each request that may be repeated asks.
_FIND = sa.select(table).where(
    sa.tuple_(table.c.owner, table.c.key).in_(sa.bindparam("names", expanding=True)),
    table.c.created_us >= sa.bindparam("since_us"),
)
_KEEP = sa.text(
    "INSERT INTO api_answer (owner, key, digest, status, headers, body, created_us)"
    " VALUES (:owner, :key, :digest, :status, :headers, :body, :now_us)"
    " ON CONFLICT (owner, key) DO UPDATE SET digest = excluded.digest,"
    " status = excluded.status, headers = excluded.headers, body = excluded.body,"
    " created_us = excluded.created_us WHERE api_answer.created_us < :since_us"
)


def find(
    transaction: Transaction, names: Collection[tuple[str, str]], since_us: int
) -> dict[tuple[str, str], StoredAnswer]:
    """What was answered under those owners and keys, unless it is older than that."""
    found = transaction.execute(_FIND, {"names": list(names), "since_us": since_us})
    return {(row.owner, row.key): _read(row) for row in found}


def _read(row: sa.Row[Any]) -> StoredAnswer:
    headers = msgspec.json.decode(row.headers, type=dict[str, str])
    return StoredAnswer(bytes(row.digest), row.status, headers, bytes(row.body))


def keep(
    transaction: Transaction, answered: Iterable[Answered], *, now_us: int, since_us: int
) -> None:
    """Keep them, also in place of some older than `since_us`; another that was first stays."""
    rows = [
        {
            "owner": owner,
            "key": key,
            "digest": answer.digest,
            "status": answer.status,
            "headers": msgspec.json.encode(answer.headers).decode(),
            "body": answer.body,
            "now_us": now_us,
            "since_us": since_us,
        }
        # In one order, so that two who keep the same ones wait in one direction.
        for owner, key, answer in sorted(answered, key=_name)
    ]
    transaction.execute(_KEEP, rows)


def _name(answered: Answered) -> tuple[str, str]:
    return answered.owner, answered.key


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

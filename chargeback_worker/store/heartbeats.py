"""When each role of each running process was last heard of, for all processes to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import heartbeat as table


@dataclass(frozen=True, slots=True)
class Heartbeat:
    instance: str
    role: str
    started_us: int
    at_us: int
    detail: str


def write(
    transaction: Transaction, instance: str, roles: Mapping[str, str], started_us: int
) -> None:
    """A row per role, at the database's time; `roles` says what each waits for, or nothing."""
    now_us = transaction.now_us()
    transaction.execute(
        sa.text(
            "INSERT INTO heartbeat (instance, role, started_us, at_us, detail)"
            " VALUES (:instance, :role, :started_us, :at_us, :detail)"
            " ON CONFLICT (instance, role) DO UPDATE SET"
            " at_us = excluded.at_us, detail = excluded.detail"
        ),
        [
            {
                "instance": instance,
                "role": role,
                "started_us": started_us,
                "at_us": now_us,
                "detail": detail,
            }
            for role, detail in roles.items()
        ],
    )


def remove(transaction: Transaction, instance: str) -> None:
    """The rows of one that ends."""
    transaction.execute(sa.delete(table).where(table.c.instance == instance))


def forget(transaction: Transaction, silent_since_us: int) -> None:
    """The rows of those that were last heard of before that."""
    transaction.execute(sa.delete(table).where(table.c.at_us < silent_since_us))


def listed(transaction: Transaction) -> Sequence[Heartbeat]:
    rows = transaction.execute(sa.select(table).order_by(table.c.role, table.c.instance))
    return [
        Heartbeat(row.instance, row.role, row.started_us, row.at_us, row.detail) for row in rows
    ]

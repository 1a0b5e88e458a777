"""Leases: who may do a thing alone, and until when, on the database's clock.

`epoch` grows with each change of owner, so that one who wakes up late is told apart from itself.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import lease as table

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    owner: str
    epoch: int


def take(transaction: Transaction, name: str, owner: str, lasting_s: float) -> Lease | None:
    """The lease, taken or made longer; None while another owner's has not lapsed.

    `owner` must be the name of one thread of one process, and of no other.
    """
    now_us = transaction.now_us()
    epoch = transaction.execute(
        sa.text(
            "INSERT INTO lease (name, owner, until_us, epoch) VALUES (:name, :owner, :until_us, 1)"
            " ON CONFLICT (name) DO UPDATE SET owner = excluded.owner,"
            " until_us = excluded.until_us,"
            " epoch = lease.epoch + CASE WHEN lease.owner = excluded.owner THEN 0 ELSE 1 END"
            " WHERE lease.owner = excluded.owner OR lease.until_us <= :now_us"
            " RETURNING epoch"
        ),
        {
            "name": name,
            "owner": owner,
            "until_us": now_us + round(lasting_s * _SECOND_US),
            "now_us": now_us,
        },
    ).scalar()
    return None if epoch is None else Lease(name, owner, epoch)


def hold(transaction: Transaction, lease: Lease, lasting_s: float) -> bool:
    """Whether it is still ours and now lasts longer; if so, until the end of this transaction."""
    until_us = transaction.now_us() + round(lasting_s * _SECOND_US)
    changed = transaction.execute(_ours(sa.update(table), lease).values(until_us=until_us))
    return changed.rowcount == 1


def release(transaction: Transaction, lease: Lease) -> None:
    """Let the next one have it at once."""
    transaction.execute(_ours(sa.update(table), lease).values(until_us=0))


def _ours(statement: sa.Update, lease: Lease) -> sa.Update:
    return statement.where(
        table.c.name == lease.name, table.c.owner == lease.owner, table.c.epoch == lease.epoch
    )

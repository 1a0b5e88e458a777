"""Damage done to books by hand, past the guards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import sqlalchemy as sa

from chargeback_worker.store import Store, Transaction
from chargeback_worker.store.tables import outbox


class Damage(NamedTuple):
    """What is done; the checks that name it, all of them; and a part of one subject they name."""

    do: Callable[[Transaction], None]
    named_by: str
    subject: str = ""


@contextmanager
def unguarded(store: Store) -> Iterator[Transaction]:
    """A transaction in which no trigger fires and no key of another table is looked up.

    It is rolled back at the end, so that the next one finds the books as they were.
    """
    with suppress(_Undo), store.begin() as transaction:
        _take_guards_away(transaction)
        yield transaction
        raise _Undo


@contextmanager
def unguarded_for_good(store: Store) -> Iterator[Transaction]:
    """The same, and what is done stays; the guards are there again afterwards."""
    with store.begin() as transaction:
        _take_guards_away(transaction)
        yield transaction
        if store.dialect.name == "sqlite":
            for statement in store.dialect.guard_statements():
                transaction.connection.exec_driver_sql(statement)


def _take_guards_away(transaction: Transaction) -> None:
    connection = transaction.connection
    if transaction.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    else:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        triggers = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        )
        for trigger in triggers.all():
            connection.exec_driver_sql(f"DROP TRIGGER {trigger.name}")


class _Undo(Exception):
    pass


def sql(*statements: str) -> Callable[[Transaction], None]:
    """Statements that both databases understand, each of which must change something."""

    def do(transaction: Transaction) -> None:
        for statement in statements:
            changed = transaction.execute(sa.text(statement.replace(":", r"\:")))
            assert changed.rowcount > 0, f"nothing was damaged by {statement}"

    return do


def payload(old: bytes, new: bytes) -> Callable[[Transaction], None]:
    """Other bytes in the first message that tells of an invoice."""

    def do(transaction: Transaction) -> None:
        told = outbox.select().where(outbox.c.invoice_id.is_not(None))
        row = transaction.execute(told.order_by(outbox.c.message_id)).first()
        assert row is not None
        altered = bytes(row.payload).replace(old, new, 1)
        assert altered != row.payload
        transaction.execute(
            outbox.update().where(outbox.c.message_id == row.message_id).values(payload=altered)
        )

    return do

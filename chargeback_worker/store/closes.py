"""One row for each close that was done: what it booked, and how much of that was invoiced."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chargeback_worker.period import Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.rows import amount_columns, read_amount
from chargeback_worker.store.tables import period_close as table


@dataclass(frozen=True, slots=True)
class Close:
    """`booked` is exact; `invoiced` and `unallocated` are whole cents in nano-dollars."""

    period: Period
    revision: int
    closed_us: int
    actor: str
    booked: int
    invoiced: int
    unallocated: int
    invoices: int
    forced: bool = False
    reason: str | None = None


def insert(transaction: Transaction, close: Close) -> None:
    transaction.execute(
        sa.insert(table).values(
            period=close.period.number,
            revision=close.revision,
            closed_us=close.closed_us,
            actor=close.actor,
            **amount_columns("booked", close.booked),
            **amount_columns("invoiced", close.invoiced),
            **amount_columns("unallocated", close.unallocated),
            invoices=close.invoices,
            forced=int(close.forced),
            reason=close.reason,
        )
    )


def last(transaction: Transaction, period: Period) -> Close | None:
    """The last close of a period; None if it never was closed."""
    statement = (
        sa.select(table)
        .where(table.c.period == period.number)
        .order_by(table.c.revision.desc())
        .limit(1)
    )
    row = transaction.execute(statement).one_or_none()
    return None if row is None else _close(row)


def find(transaction: Transaction, period: Period, revision: int) -> Close | None:
    """One close of a period; None where there was no such."""
    statement = sa.select(table).where(
        table.c.period == period.number, table.c.revision == revision
    )
    row = transaction.execute(statement).one_or_none()
    return None if row is None else _close(row)


def listed(transaction: Transaction) -> Sequence[Close]:
    """All closes by period and revision."""
    statement = sa.select(table).order_by(table.c.period, table.c.revision)
    return [_close(row) for row in transaction.execute(statement)]


def _close(row: sa.Row[Any]) -> Close:
    return Close(
        Period.from_number(row.period),
        row.revision,
        row.closed_us,
        row.actor,
        read_amount(row, "booked"),
        read_amount(row, "invoiced"),
        read_amount(row, "unallocated"),
        row.invoices,
        bool(row.forced),
        row.reason,
    )

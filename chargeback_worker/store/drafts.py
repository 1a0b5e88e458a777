"""Drafts of months that still take usage: projections, made anew whenever somebody asks."""

import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.build import Drafted
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.period import Period, from_us
from chargeback_worker.store import Transaction, billed, invoices
from chargeback_worker.store.tables import invoice as table
from chargeback_worker.store.tables import invoice_line as line_table


def hold(transaction: Transaction, period: Period) -> None:
    """Let nobody else make drafts of a month, run its rules, or begin to close it until this
    transaction ends. Ingest goes on beside it, also where a close waits for it."""
    # No month has a number below 0.
    transaction.dialect.own_period(transaction.connection, -period.number)


def drafted(transaction: Transaction, period: Period, revision: int) -> dict[Pair, Drafted]:
    """What there is of the invoices of a close that is not done, by receiver."""
    rows = transaction.execute(
        sa.select(
            table.c.team_id, table.c.user_id, table.c.status, table.c.ordinal, table.c.created_us
        )
        .where(table.c.period == period.number, table.c.revision == revision, table.c.final == 0)
        .order_by(table.c.ordinal)
    )
    return {
        Pair(row.team_id, row.user_id): Drafted(row.ordinal, from_us(row.created_us))
        if row.status == Status.DRAFT.value
        else Drafted(row.ordinal + 1)
        for row in rows
    }


def billing(transaction: Transaction, period: Period, share: Pair) -> set[Pair]:
    """Whose drafts bill a part of a user's share; they may have been made a while ago."""
    rows = transaction.execute(
        sa.select(table.c.team_id, table.c.user_id).where(
            table.c.period == period.number,
            table.c.status == Status.DRAFT.value,
            table.c.final == 0,
            billed.bears(share),
        )
    )
    return {Pair(row.team_id, row.user_id) for row in rows}


def replace(transaction: Transaction, draft: Invoice) -> bool:
    """Store a draft in place of the one there was; whether there was one."""
    there = _delete(transaction, table.c.invoice_id == draft.invoice_id)
    invoices.insert(transaction, [draft])
    return there


def drop(transaction: Transaction, period: Period, revision: int) -> None:
    """Take away all of a close that now writes what is final; cancelled ones stay."""
    _delete(transaction, (table.c.period == period.number) & (table.c.revision == revision))


def _delete(transaction: Transaction, condition: sa.ColumnElement[bool]) -> bool:
    drafts = (table.c.status == Status.DRAFT.value) & (table.c.final == 0) & condition
    ids = sa.select(table.c.invoice_id).where(drafts)
    transaction.execute(sa.delete(line_table).where(line_table.c.invoice_id.in_(ids)))
    return bool(transaction.execute(sa.delete(table).where(drafts)).rowcount)

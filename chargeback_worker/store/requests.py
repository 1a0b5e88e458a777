"""Invoices that somebody asked for, with what they are to have otherwise than usual."""

import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import invoice_request as table

RECEIVER_BYTES_MAX = 2_400
"""Of a receiver's key in UTF-8. Receivers are found by indexes, and an entry of one may have 2,704
bytes where that is least, of which some are the month's and the entry's own. The key of a team or a
user alone is never as long as this; that of a user in a team may be."""


def put(transaction: Transaction, period: Period, asked: Requested, now_us: int) -> None:
    """Keep a request; what it leaves open stays as it was asked for before."""
    transaction.execute(
        sa.text(
            "INSERT INTO invoice_request"
            " (period, receiver, team_id, user_id, tax_rate, due_days, created_us)"
            " VALUES (:period, :receiver, :team, :user, :tax_rate, :due_days, :now_us)"
            " ON CONFLICT (period, receiver) DO UPDATE SET"
            " tax_rate = COALESCE(excluded.tax_rate, invoice_request.tax_rate),"
            " due_days = COALESCE(excluded.due_days, invoice_request.due_days)"
        ),
        {
            "period": period.number,
            "receiver": asked.receiver.key,
            "team": asked.receiver.team,
            "user": asked.receiver.user,
            "tax_rate": asked.tax_rate_nano,
            "due_days": asked.due_days,
            "now_us": now_us,
        },
    )


def drop(transaction: Transaction, period: Period, receiver: Pair) -> None:
    """Forget a request: its draft was cancelled."""
    transaction.execute(
        sa.delete(table).where(table.c.period == period.number, table.c.receiver == receiver.key)
    )


def of_days(transaction: Transaction, days: BillingRange) -> tuple[Requested, ...]:
    """The requests of a month; none of any other days, as only months are billed."""
    period = Period.of(days.start)
    if days != period.days():
        return ()
    rows = transaction.execute(
        sa.select(table).where(table.c.period == period.number).order_by(table.c.receiver)
    )
    return tuple(
        Requested(Pair(row.team_id, row.user_id), row.tax_rate, row.due_days) for row in rows
    )

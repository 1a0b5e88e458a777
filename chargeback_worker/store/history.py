"""In which order closes were done, and what each booked of one thing."""

from dataclasses import dataclass

import sqlalchemy as sa

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.parts import of_key
from chargeback_worker.store.rows import read_amount
from chargeback_worker.store.tables import booking, invoice, outbox, period_close


@dataclass(frozen=True, slots=True, order=True)
class ClosePlace:
    """One close, by its period and revision."""

    period: Period
    revision: int


@dataclass(frozen=True, slots=True)
class BookedOnce:
    """What one close booked of a rule version, pair and resource type of an origin month.

    `invoice_number` is of the invoice that carries it, None where there is none.
    """

    place: ClosePlace
    cost: int
    invoice_number: str | None


def places(transaction: Transaction) -> list[ClosePlace]:
    """All closes in the order in which they were done, which is not that of their months.

    They are announced in this order. One whose message is not there any more comes before all that
    have theirs, by its time.
    """
    announced = outbox.c.message_id.label("message_id")
    rows = transaction.execute(
        sa.select(period_close.c.period, period_close.c.revision, announced)
        .outerjoin_from(
            period_close,
            outbox,
            sa.and_(
                outbox.c.type == MessageType.PERIOD_CLOSED.value,
                outbox.c.period == period_close.c.period,
                outbox.c.revision == period_close.c.revision,
            ),
        )
        .order_by(
            sa.func.coalesce(announced, 0),
            period_close.c.closed_us,
            period_close.c.period,
            period_close.c.revision,
        )
    )
    return [ClosePlace(Period.from_number(row.period), row.revision) for row in rows]


def booked(transaction: Transaction, origin: Period, key: PartKey) -> list[BookedOnce]:
    """What each close booked of it, by period and revision of the close."""
    rows = transaction.execute(
        sa.select(booking)
        .where(
            booking.c.origin_period == origin.number,
            *of_key(booking, key),
        )
        .order_by(booking.c.billing_period, booking.c.revision)
    )
    found = []
    for row in rows.all():
        place = ClosePlace(Period.from_number(row.billing_period), row.revision)
        number = _number(transaction, place, row.receiver)
        found.append(BookedOnce(place, read_amount(row, "cost"), number))
    return found


def _number(transaction: Transaction, place: ClosePlace, receiver: str | None) -> str | None:
    """Of the receiver's invoice of a close, the last one where it was replaced."""
    number: str | None = transaction.execute(
        sa.select(invoice.c.number)
        .where(
            invoice.c.receiver == receiver,
            invoice.c.period == place.period.number,
            invoice.c.revision == place.revision,
        )
        .order_by(invoice.c.ordinal.desc())
        .limit(1)
    ).scalar()
    return number

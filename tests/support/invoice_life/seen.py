"""All that a store holds of months, invoices, bookings and messages, read after each step."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.store import Store, Transaction, closes, invoices, periods
from chargeback_worker.store.closes import Close
from chargeback_worker.store.periods import PeriodRow
from chargeback_worker.store.tables import audit, booking, outbox

Place = tuple[Period, int]
"""A close, by its period and revision."""


@dataclass(frozen=True)
class Told:
    """A message. `status` is what it says of its invoice; None where it tells of a close."""

    message_id: int
    key: str
    seq: int
    type: MessageType
    invoice_id: str | None
    place: Place
    status: str | None
    published: bool
    parked: bool


@dataclass(frozen=True)
class Seen:
    """`booked` sums by billing period and origin, `borne` by close and receiver's key."""

    months: Mapping[Period, PeriodRow]
    closes: Mapping[Place, Close]
    invoices: Mapping[str, Invoice]
    booked: Mapping[tuple[Period, Period], int]
    borne: Mapping[tuple[Period, int, str | None], int]
    messages: Sequence[Told]
    audited: Sequence[str]

    def final(self, period: Period) -> list[Invoice]:
        """What closes of a month billed, by revision and receiver, the last one last."""
        found = [row for row in self.invoices.values() if row.period == period and row.final]
        return sorted(found, key=lambda row: (row.revision, row.receiver.sort_key, row.ordinal))

    def named(self, name: str) -> Invoice:
        (found,) = (row for row in self.invoices.values() if row.invoice_number == name)
        return found


def look(store: Store) -> Seen:
    with store.read() as transaction:
        rows = periods.listed(transaction)
        return Seen(
            {row.period: row for row in rows},
            {(close.period, close.revision): close for close in closes.listed(transaction)},
            {row.invoice_id: row for row in invoices.listed(transaction, limit=10_000)},
            *_bookings(transaction),
            _messages(transaction),
            list(transaction.execute(sa.select(audit.c.action).order_by("audit_id")).scalars()),
        )


def _bookings(
    transaction: Transaction,
) -> tuple[Mapping[tuple[Period, Period], int], Mapping[tuple[Period, int, str | None], int]]:
    by_origin = defaultdict[tuple[Period, Period], int](int)
    by_receiver = defaultdict[tuple[Period, int, str | None], int](int)
    for row in transaction.execute(sa.select(booking)):
        period, origin = map(Period.from_number, (row.billing_period, row.origin_period))
        cost = row.cost_whole * NANO + row.cost_nano
        by_origin[period, origin] += cost
        by_receiver[period, row.revision, row.receiver] += cost
    return by_origin, by_receiver


def _messages(transaction: Transaction) -> list[Told]:
    return [
        Told(
            row.message_id,
            row.key,
            row.seq,
            MessageType(row.type),
            row.invoice_id,
            (Period.from_number(row.period), row.revision),
            json.loads(bytes(row.payload)).get("status"),
            row.published_us is not None,
            row.parked is not None,
        )
        for row in transaction.execute(sa.select(outbox).order_by(outbox.c.message_id))
    ]

"""What the tests of closes ask of a store, in one line each."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import encode, invoice_document
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.close import CloseResult, close
from chargeback_worker.store import Store, invoices, periods
from chargeback_worker.store.audit import Act
from chargeback_worker.store.periods import PeriodRow
from chargeback_worker.store.tables import outbox

NOW_US = to_us(datetime(2026, 11, 22, 12, tzinfo=UTC))
TERMS = Snapshot()
SEPTEMBER, OCTOBER, NOVEMBER = Period(2026, 9), Period(2026, 10), Period(2026, 11)
AFTER_NOVEMBER_US = to_us(datetime(2026, 12, 3, tzinfo=UTC))


def act(now_us: int = NOW_US, reason: str | None = None) -> Act:
    return Act("tester", now_us, reason)


def closed(
    store: Store, period: Period = OCTOBER, *, now_us: int = NOW_US, owner: str = "closer"
) -> CloseResult:
    return close(store, period, TERMS, act(now_us), owner=owner)


def period_row(store: Store, period: Period = OCTOBER) -> PeriodRow:
    with store.read() as transaction:
        row = periods.find(transaction, period)
    assert row is not None
    return row


def issued(store: Store, period: Period = OCTOBER) -> list[Invoice]:
    with store.read() as transaction:
        return invoices.of_period(transaction, period)


def written(store: Store) -> dict[str, Any]:
    """Every invoice and message, byte for byte."""
    with store.read() as transaction:
        months = [row.period for row in periods.listed(transaction)]
        messages = transaction.execute(
            sa.select(outbox.c.ce_id, outbox.c.key, outbox.c.seq, outbox.c.headers)
            .add_columns(outbox.c.payload)
            .order_by(outbox.c.message_id)
        ).all()
    return {
        "invoices": [
            encode(invoice_document(row)) for month in months for row in issued(store, month)
        ],
        "messages": [tuple(message) for message in messages],
    }


def count(store: Store, table: sa.Table) -> int:
    with store.read() as transaction:
        return int(transaction.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def set_lease(store: Store, period: Period, lasting_s: float) -> None:
    """Let the lease of whoever is closing end that far from now."""
    with store.begin() as transaction:
        row = periods.find(transaction, period)
        assert row is not None
        assert row.lease_owner is not None
        until_us = transaction.now_us() + round(lasting_s * 1_000_000)
        assert periods.extend_lease(transaction, period, row.lease_owner, until_us)


def stored_now_us(store: Store) -> int:
    """The database's clock."""
    with store.read() as transaction:
        return transaction.now_us()

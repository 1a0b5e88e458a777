"""What closes have written, as `verify` reads it: booked sums, snapshots, numbers, messages."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chargeback_worker.period import Period
from chargeback_worker.store import Transaction, sums
from chargeback_worker.store import audit as audits
from chargeback_worker.store.tables import (
    audit,
    booking,
    invoice,
    invoice_line,
    invoice_series,
    outbox,
    outbox_sequence,
    snapshot,
)


@dataclass(frozen=True, slots=True)
class BookedSum:
    """The sum of one close for one origin month."""

    period: Period
    revision: int
    origin: Period
    cost: int
    rows: int


def booked(transaction: Transaction) -> list[BookedSum]:
    """All bookings, summed by close and origin month, in that order."""
    by = (booking.c.billing_period, booking.c.revision, booking.c.origin_period)
    rows = transaction.execute(
        sa.select(*by, *sums.of_amount(booking, "cost"), sa.func.count().label("rows"))
        .group_by(*by)
        .order_by(*by)
    )
    return [
        BookedSum(
            Period.from_number(row.billing_period),
            row.revision,
            Period.from_number(row.origin_period),
            sums.read_amount(row, "cost"),
            row.rows,
        )
        for row in rows
    ]


def snapshot_places(transaction: Transaction) -> list[tuple[Period, int]]:
    """Of which closes there are snapshots."""
    rows = transaction.execute(
        sa.select(snapshot.c.period, snapshot.c.revision).order_by(
            snapshot.c.period, snapshot.c.revision
        )
    )
    return [(Period.from_number(row.period), row.revision) for row in rows]


def snapshot_of(
    transaction: Transaction, period: Period, revision: int
) -> tuple[str, bytes] | None:
    """The text of a close's snapshot and the digest stored beside it."""
    row = transaction.execute(
        sa.select(snapshot.c.content, snapshot.c.digest).where(
            snapshot.c.period == period.number, snapshot.c.revision == revision
        )
    ).one_or_none()
    return None if row is None else (row.content, row.digest)


def audited_closes(transaction: Transaction) -> dict[str, int]:
    """How many closes the audit holds, by its subject."""
    rows = transaction.execute(
        sa.select(audit.c.subject, sa.func.count().label("rows"))
        .where(audit.c.action == "close")
        .group_by(audit.c.subject)
    )
    return {row.subject: row.rows for row in rows}


def invoice_periods(transaction: Transaction) -> list[Period]:
    """The months that have invoices."""
    rows = transaction.execute(sa.select(invoice.c.period).distinct().order_by(invoice.c.period))
    return [Period.from_number(row.period) for row in rows]


def statuses(transaction: Transaction) -> Iterator[tuple[str, str]]:
    """Number (or id) and status of every invoice."""
    name = sa.func.coalesce(invoice.c.number, invoice.c.invoice_id).label("name")
    for row in transaction.execute(sa.select(name, invoice.c.status)):
        yield row.name, row.status


def numbers(transaction: Transaction) -> dict[Period, list[str]]:
    """The invoice numbers of each month in their order; drafts have none."""
    rows = transaction.execute(
        sa.select(invoice.c.period, invoice.c.number)
        .where(invoice.c.number.is_not(None))
        .order_by(invoice.c.period, sa.func.length(invoice.c.number), invoice.c.number)
    )
    found: dict[Period, list[str]] = {}
    for row in rows:
        found.setdefault(Period.from_number(row.period), []).append(row.number)
    return found


def last_numbers(transaction: Transaction) -> dict[Period, int]:
    """The last number given out of each month's series."""
    rows = transaction.execute(sa.select(invoice_series))
    return {Period.from_number(row.period): row.last for row in rows}


def lines_without_invoice(transaction: Transaction) -> list[str]:
    """The ids that lines name and no invoice has."""
    rows = transaction.execute(
        sa.select(invoice_line.c.invoice_id)
        .where(~sa.exists().where(invoice.c.invoice_id == invoice_line.c.invoice_id))
        .distinct()
    )
    return [row.invoice_id for row in rows]


@dataclass(frozen=True, slots=True)
class Raised:
    """What resumes have left out, by month or by key: from after the first to the last."""

    numbers: dict[Period, list[tuple[int, int]]]
    seqs: dict[str, list[tuple[int, int]]]


def raised(transaction: Transaction) -> Raised:
    """The numbers and `seq` that only the topic knew when books from a backup went on, as the audit
    tells of them; in their order."""
    found = Raised({}, {})
    rows = (row for row in audits.about(transaction, "topic") if row.action == "db.resume")
    for row in rows:
        for period, last in row.after["numbers"].items():
            gap = (row.before["numbers"][period], last)
            found.numbers.setdefault(Period.parse(period), []).append(gap)
        for key, last in row.after["seqs"].items():
            found.seqs.setdefault(key, []).append((row.before["seqs"][key], last))
    return found


def messages(transaction: Transaction, period: Period | None) -> Iterator[sa.Row[Any]]:
    """Every message of the outbox, or those of one period's closes, with their bytes."""
    statement = sa.select(outbox).order_by(outbox.c.message_id)
    if period is not None:
        statement = statement.where(outbox.c.period == period.number)
    yield from transaction.connection.execute(statement, execution_options={"yield_per": 100})


def places_in_keys(transaction: Transaction) -> Iterator[tuple[str, int, bool]]:
    """Key, `seq` and whether it was published of every message, in the order of sending."""
    columns = outbox.c
    statement = sa.select(columns.key, columns.seq, columns.published_us)
    ordered = statement.order_by(columns.key, columns.seq).execution_options(yield_per=5_000)
    for row in transaction.connection.execute(ordered):
        yield row.key, row.seq, row.published_us is not None


def last_seqs(transaction: Transaction) -> dict[str, int]:
    """The last `seq` given out to each key."""
    rows = transaction.execute(sa.select(outbox_sequence))
    return {row.key: row.last for row in rows}

"""Invoices with their lines, their numbers, and what an acknowledgement changes of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine, Kind, LineKind, Status
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.period import Period, day_from_number, day_number, from_us, to_us
from chargeback_worker.store import Transaction, sums
from chargeback_worker.store.parts import key_columns, read_key
from chargeback_worker.store.rows import (
    KEYS_AT_ONCE,
    amount_columns,
    chunks,
    insert_many,
    read_amount,
    read_optional_wide,
    wide_columns,
)
from chargeback_worker.store.tables import invoice as table
from chargeback_worker.store.tables import invoice_line as line_table
from chargeback_worker.store.tables import invoice_series as series

# A number has four digits or more: longer ones come after shorter ones.
_NAME = sa.func.coalesce(table.c.number, table.c.invoice_id)
_PLACE = (table.c.created_us, sa.func.length(_NAME), _NAME)


def insert(transaction: Transaction, invoices: Sequence[Invoice]) -> None:
    """Invoices as they are issued, with their lines, while their period is closing."""
    insert_many(transaction, table, map(_invoice_row, invoices))
    lines = ((invoice.invoice_id, line) for invoice in invoices for line in invoice.lines)
    insert_many(transaction, line_table, (_line_row(*owned) for owned in lines))


def find(transaction: Transaction, name: str) -> Invoice | None:
    """The invoice of that number or id."""
    row = transaction.execute(
        sa.select(table).where((table.c.number == name) | (table.c.invoice_id == name))
    ).one_or_none()
    return None if row is None else _with_lines(transaction, [row])[0]


def listed(
    transaction: Transaction,
    *conditions: sa.ColumnElement[bool],
    limit: int,
    after: str | None = None,
) -> list[Invoice]:
    """Newest first, then by number from the last to the first; `after` is the id of the one
    that the page before ended with."""
    statement = sa.select(table).where(*conditions).limit(limit)
    statement = statement.order_by(*(part.desc() for part in _PLACE))
    if after is not None:
        place = sa.select(*_PLACE).where(table.c.invoice_id == after)
        statement = statement.where(sa.tuple_(*_PLACE) < place.scalar_subquery())
    return _with_lines(transaction, transaction.execute(statement).all())


def selected(
    *,
    period: Period | None = None,
    status: Status | None = None,
    team: str | None = None,
    user: str | None = None,
) -> list[sa.ColumnElement[bool]]:
    """What `listed` is to be asked for; `team` and `user` are the receiver's."""
    wanted: list[tuple[sa.Column[Any], int | str | None]] = [
        (table.c.period, None if period is None else period.number),
        (table.c.status, None if status is None else status.value),
        (table.c.team_id, team),
        (table.c.user_id, user),
    ]
    return [column == value for column, value in wanted if value is not None]


def of_period(transaction: Transaction, period: Period) -> list[Invoice]:
    """All invoices of a month, in the order in which they were issued."""
    statement = (
        sa.select(table)
        .where(table.c.period == period.number)
        .order_by(table.c.revision, sa.func.length(_NAME), _NAME)
    )
    return _with_lines(transaction, transaction.execute(statement).all())


def first_numbers(
    transaction: Transaction, periods: Iterable[Period]
) -> dict[tuple[Period, Pair], str]:
    """The number of the first invoice of each receiver in those months."""
    rows = transaction.execute(
        sa.select(table.c.period, table.c.team_id, table.c.user_id, table.c.number)
        .where(
            table.c.period.in_([period.number for period in periods]),
            table.c.status != Status.DRAFT.value,
        )
        .order_by(table.c.period, table.c.revision, table.c.ordinal)
    )
    first: dict[tuple[Period, Pair], str] = {}
    for row in rows:
        key = (Period.from_number(row.period), Pair(row.team_id, row.user_id))
        first.setdefault(key, row.number)
    return first


def live_subtotals(
    transaction: Transaction, period: Period | None = None
) -> Mapping[tuple[Period, int], int]:
    """By period and revision, the sum of all issued invoices that are not cancelled."""
    statement = sa.select(
        table.c.period, table.c.revision, *sums.of_amount(table, "subtotal")
    ).where(table.c.status.not_in([Status.DRAFT.value, Status.CANCELLED.value]))
    if period is not None:
        statement = statement.where(table.c.period == period.number)
    return {
        (Period.from_number(row.period), row.revision): sums.read_amount(row, "subtotal")
        for row in transaction.execute(statement.group_by(table.c.period, table.c.revision))
    }


def acknowledge(transaction: Transaction, invoice_ids: Collection[str], now_us: int) -> None:
    """Their issued message has arrived: `pending` becomes `sent`, every other status stays."""
    sent = sa.case(
        (table.c.status == Status.PENDING.value, Status.SENT.value), else_=table.c.status
    )
    for chunk in chunks(invoice_ids, KEYS_AT_ONCE):
        transaction.execute(
            sa.update(table)
            .where(table.c.invoice_id.in_(chunk), table.c.published_us.is_(None))
            .values(status=sent, published_us=now_us, updated_us=now_us)
        )


def last_number(transaction: Transaction, period: Period) -> int:
    """The last number given out in a month's series, which is ours until the transaction ends."""
    return int(
        transaction.execute(
            sa.text(
                "INSERT INTO invoice_series (period, last) VALUES (:period, 0)"
                " ON CONFLICT (period) DO UPDATE SET last = invoice_series.last RETURNING last"
            ),
            {"period": period.number},
        ).scalar_one()
    )


def peek_last_number(transaction: Transaction, period: Period) -> int:
    """The last number given out in a month's series; another may take the next one."""
    last = transaction.execute(sa.select(series.c.last).where(series.c.period == period.number))
    return int(last.scalar() or 0)


def give_out_numbers(transaction: Transaction, period: Period, count: int) -> None:
    """Move the series past the numbers that were taken after `last_number`."""
    transaction.execute(
        sa.text("UPDATE invoice_series SET last = last + :count WHERE period = :period"),
        {"count": count, "period": period.number},
    )


def _with_lines(transaction: Transaction, rows: Sequence[sa.Row[Any]]) -> list[Invoice]:
    lines: dict[str, list[InvoiceLine]] = {row.invoice_id: [] for row in rows}
    for ids in chunks(lines, KEYS_AT_ONCE):
        found = transaction.execute(
            sa.select(line_table)
            .where(line_table.c.invoice_id.in_(ids))
            .order_by(line_table.c.invoice_id, line_table.c.line)
        )
        for line in found:
            lines[line.invoice_id].append(_line(line))
    return [_invoice(row, tuple(lines[row.invoice_id])) for row in rows]


def _invoice_row(invoice: Invoice) -> dict[str, Any]:
    return {
        "invoice_id": invoice.invoice_id,
        "number": invoice.invoice_number,
        "period": invoice.period.number,
        "revision": invoice.revision,
        "ordinal": invoice.ordinal,
        "kind": invoice.kind.value,
        "receiver": invoice.receiver.key,
        "team_id": invoice.receiver.team,
        "user_id": invoice.receiver.user,
        "status": invoice.status.value,
        "currency": invoice.currency,
        **amount_columns("subtotal", invoice.subtotal),
        **amount_columns("tax", invoice.tax),
        **amount_columns("total", invoice.total),
        "due_day": invoice.due_date and day_number(invoice.due_date),
        "paid_day": invoice.paid_date and day_number(invoice.paid_date),
        "published_us": invoice.published_at and to_us(invoice.published_at),
        "created_us": to_us(invoice.created_at),
        "updated_us": to_us(invoice.updated_at),
        "replaces": invoice.replaces,
        "references": msgspec.json.encode(invoice.references).decode(),
        "metadata": msgspec.json.encode(invoice.metadata, order="sorted").decode(),
    }


def _invoice(row: sa.Row[Any], lines: tuple[InvoiceLine, ...]) -> Invoice:
    fields = row._mapping
    return Invoice(
        invoice_id=row.invoice_id,
        invoice_number=row.number,
        kind=Kind(row.kind),
        receiver=Pair(row.team_id, row.user_id),
        period=Period.from_number(row.period),
        revision=row.revision,
        status=Status(row.status),
        lines=lines,
        subtotal=read_amount(row, "subtotal"),
        tax=read_amount(row, "tax"),
        total=read_amount(row, "total"),
        due_date=None if row.due_day is None else day_from_number(row.due_day),
        created_at=from_us(row.created_us),
        updated_at=from_us(row.updated_us),
        ordinal=row.ordinal,
        currency=row.currency,
        paid_date=None if row.paid_day is None else day_from_number(row.paid_day),
        published_at=None if row.published_us is None else from_us(row.published_us),
        references=msgspec.json.decode(fields["references"], type=tuple[str, ...]),
        replaces=row.replaces,
        metadata=msgspec.json.decode(fields["metadata"], type=dict[str, str]),
    )


def _line_row(invoice_id: str, line: InvoiceLine) -> dict[str, Any]:
    return {
        "invoice_id": invoice_id,
        "line": line.line,
        "kind": line.kind.value,
        "description": line.description,
        **key_columns(line.key),
        **wide_columns("quantity", line.quantity),
        **wide_columns("unit_price", line.unit_price),
        **amount_columns("total_price", line.total_price),
        **amount_columns("exact", line.exact),
        "allocation_id": line.allocation_id,
        "origin_period": line.origin.number,
        "cause": line.cause and line.cause.value,
        "original_invoice": line.original_invoice,
    }


def _line(row: sa.Row[Any]) -> InvoiceLine:
    return InvoiceLine(
        line=row.line,
        kind=LineKind(row.kind),
        description=row.description,
        key=read_key(row),
        quantity=read_optional_wide(row, "quantity"),
        unit_price=read_optional_wide(row, "unit_price"),
        total_price=read_amount(row, "total_price"),
        exact=read_amount(row, "exact"),
        allocation_id=row.allocation_id,
        origin=Period.from_number(row.origin_period),
        cause=Cause(row.cause) if row.cause else None,
        original_invoice=row.original_invoice,
    )

"""Invoices and their lines as rows, and read back."""

from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    Kind,
    LineKind,
    Status,
    draft_number,
)
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.period import Period, day_from_number, day_number, from_us, to_us
from chargeback_worker.store.parts import key_columns, read_key
from chargeback_worker.store.rows import (
    amount_columns,
    read_amount,
    read_optional_wide,
    wide_columns,
)


def invoice_row(invoice: Invoice) -> dict[str, Any]:
    return {
        "invoice_id": invoice.invoice_id,
        "number": invoice.invoice_number if invoice.issued_at else None,
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
        "issued_us": invoice.issued_at and to_us(invoice.issued_at),
        "final": int(invoice.final),
        "created_us": to_us(invoice.created_at),
        "updated_us": to_us(invoice.updated_at),
        "replaces": invoice.replaces,
        "references": msgspec.json.encode(invoice.references).decode(),
        "metadata": msgspec.json.encode(invoice.metadata, order="sorted").decode(),
    }


def read_invoice(row: sa.Row[Any], lines: tuple[InvoiceLine, ...]) -> Invoice:
    fields, period = row._mapping, Period.from_number(row.period)
    return Invoice(
        invoice_id=row.invoice_id,
        invoice_number=row.number or draft_number(period, row.invoice_id),
        kind=Kind(row.kind),
        receiver=Pair(row.team_id, row.user_id),
        period=period,
        revision=row.revision,
        status=Status(row.status),
        lines=lines,
        subtotal=read_amount(row, "subtotal"),
        tax=read_amount(row, "tax"),
        total=read_amount(row, "total"),
        due_date=None if row.due_day is None else day_from_number(row.due_day),
        created_at=from_us(row.created_us),
        updated_at=from_us(row.updated_us),
        issued_at=None if row.issued_us is None else from_us(row.issued_us),
        final=bool(row.final),
        ordinal=row.ordinal,
        currency=row.currency,
        paid_date=None if row.paid_day is None else day_from_number(row.paid_day),
        published_at=None if row.published_us is None else from_us(row.published_us),
        references=msgspec.json.decode(fields["references"], type=tuple[str, ...]),
        replaces=row.replaces,
        metadata=msgspec.json.decode(fields["metadata"], type=dict[str, str]),
    )


def line_row(invoice_id: str, line: InvoiceLine) -> dict[str, Any]:
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
        "tax_rate": line.tax_rate,
    }


def read_line(row: sa.Row[Any]) -> InvoiceLine:
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
        tax_rate=row.tax_rate,
    )

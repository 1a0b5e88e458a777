"""Invoices with their lines, their numbers, and what may still change of those issued."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.errors import NotFound
from chargeback_worker.invoicing.build import Earlier
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    Status,
    draft_number,
    drafts_id,
)
from chargeback_worker.period import Period, day_number
from chargeback_worker.store import Transaction, billed, sums
from chargeback_worker.store.invoice_order import (
    NEWEST_FIRST,
    OLDEST_FIRST,
    InvoicePlace,
    older_than,
)
from chargeback_worker.store.invoice_rows import invoice_row, line_row, read_invoice, read_line
from chargeback_worker.store.rows import KEYS_AT_ONCE, chunks, insert_many
from chargeback_worker.store.tables import invoice as table
from chargeback_worker.store.tables import invoice_line as line_table
from chargeback_worker.store.tables import invoice_series as series

# A number has four digits or more: longer ones come after shorter ones.
_NAME = sa.func.coalesce(table.c.number, table.c.invoice_id)
_CHANGING = ("status", "number", "due_day", "issued_us", "paid_day", "updated_us")


class InvoiceUnknown(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"There is no invoice {name!r}.", "List them: chargeback invoices list")


def insert(transaction: Transaction, invoices: Sequence[Invoice]) -> None:
    """Invoices as they are issued, with their lines, while their period is closing."""
    insert_many(transaction, table, map(invoice_row, invoices))
    lines = ((invoice.invoice_id, line) for invoice in invoices for line in invoice.lines)
    insert_many(transaction, line_table, (line_row(*owned) for owned in lines))


def find(transaction: Transaction, name: str, *, to_change: bool = False) -> Invoice | None:
    """The invoice of that number or id, or that was a draft called so; nobody else changes one
    that is found `to_change` before the transaction ends."""
    called_so = (table.c.number == name) | (table.c.invoice_id == name)
    if (begins := drafts_id(name)) is not None:
        # Also after it was issued. No digit of an id comes after "f".
        called_so = (table.c.invoice_id >= begins) & (table.c.invoice_id < f"{begins}g")
    statement = sa.select(table).where(called_so).order_by(table.c.invoice_id).limit(1)
    row = transaction.execute(statement.with_for_update() if to_change else statement).one_or_none()
    return None if row is None else _with_lines(transaction, [row])[0]


def get(transaction: Transaction, name: str, *, to_change: bool = False) -> Invoice:
    """The same. Raises InvoiceUnknown."""
    found = find(transaction, name, to_change=to_change)
    if found is None:
        raise InvoiceUnknown(name)
    return found


def listed(
    transaction: Transaction,
    *conditions: sa.ColumnElement[bool],
    limit: int | None = None,
    after: InvoicePlace | None = None,
) -> list[Invoice]:
    """Newest first, then by receiver from the last to the first; `after` is the place of the one
    that the page before ended with. All of them where no limit is given."""
    statement = sa.select(table).where(*conditions).order_by(*NEWEST_FIRST).limit(limit)
    if after is not None:
        statement = statement.where(older_than(after))
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


def earlier(transaction: Transaction, period: Period, revision: int) -> Earlier:
    """The numbers of a month's invoices by earlier closes than that, cancelled ones too."""
    issued = (
        table.c.period == period.number,
        table.c.revision < revision,
        table.c.number.is_not(None),
    )
    to, carrying = defaultdict[Pair, list[str]](list), defaultdict[Pair, list[str]](list)
    receivers = sa.select(table.c.team_id, table.c.user_id, table.c.number).where(*issued)
    for row in transaction.execute(receivers):
        to[Pair(row.team_id, row.user_id)].append(row.number)
    pairs = (
        sa.select(line_table.c.team_id, line_table.c.user_id, table.c.number)
        .join_from(line_table, table, line_table.c.invoice_id == table.c.invoice_id)
        .where(*issued, line_table.c.origin_period == period.number)
        .distinct()
    )
    for row in transaction.execute(pairs):
        carrying[Pair(row.team_id, row.user_id)].append(row.number)
    return Earlier(to, carrying)


def of_receiver(transaction: Transaction, period: Period, receiver: Pair) -> list[Invoice]:
    """What closes of a month billed a receiver, drafts to be approved too, in their order."""
    statement = (
        sa.select(table)
        .where(
            table.c.receiver == receiver.key, table.c.period == period.number, table.c.final == 1
        )
        .order_by(table.c.revision, table.c.ordinal)
    )
    return _with_lines(transaction, transaction.execute(statement).all())


def billing(transaction: Transaction, period: Period, share: Pair) -> str | None:
    """An invoice of a month, no projection, that bills a user's share to somebody else."""
    row = transaction.execute(
        sa.select(table.c.number, table.c.invoice_id)
        .where(
            table.c.period == period.number,
            table.c.receiver != share.key,
            table.c.final == 1,
            billed.bears(share),
        )
        .order_by(*OLDEST_FIRST)
        .limit(1)
    ).one_or_none()
    return None if row is None else row.number or draft_number(period, row.invoice_id)


def awaiting(transaction: Transaction, period: Period | None = None) -> dict[Period, int]:
    """How many drafts of each closed month wait for approval, where any do."""
    statement = sa.select(table.c.period, sa.func.count().label("drafts")).where(
        table.c.status == Status.DRAFT.value, table.c.final == 1
    )
    if period is not None:
        statement = statement.where(table.c.period == period.number)
    rows = transaction.execute(statement.group_by(table.c.period))
    return {Period.from_number(row.period): row.drafts for row in rows}


def due_before(transaction: Transaction, day: date, limit: int) -> list[Invoice]:
    """Sent invoices whose due date was before a day and that are to be paid; nobody else changes
    them until the transaction ends."""
    statement = (
        sa.select(table)
        .where(
            table.c.status == Status.SENT.value,
            table.c.due_day < day_number(day),
            (table.c.total_whole > 0) | ((table.c.total_whole == 0) & (table.c.total_nano > 0)),
        )
        .order_by(table.c.invoice_id)
        .limit(limit)
        .with_for_update()
    )
    return _with_lines(transaction, transaction.execute(statement).all())


def live_subtotals(
    transaction: Transaction, period: Period | None = None
) -> Mapping[tuple[Period, int], int]:
    """By period and revision, the sum of all invoices of closes that are not cancelled."""
    statement = sa.select(
        table.c.period, table.c.revision, *sums.of_amount(table, "subtotal")
    ).where(table.c.status != Status.CANCELLED.value, table.c.final == 1)
    if period is not None:
        statement = statement.where(table.c.period == period.number)
    return {
        (Period.from_number(row.period), row.revision): sums.read_amount(row, "subtotal")
        for row in transaction.execute(statement.group_by(table.c.period, table.c.revision))
    }


def update(transaction: Transaction, *changed: Invoice) -> None:
    """Store what their life has changed of invoices, and of drafts their numbers and due dates."""
    rows = map(invoice_row, changed)
    statement = (
        sa.update(table)
        .where(table.c.invoice_id == sa.bindparam("of"))
        .values({name: sa.bindparam(f"new_{name}") for name in _CHANGING})
    )
    for chunk in chunks(rows, KEYS_AT_ONCE):
        parameters = [
            {"of": row["invoice_id"], **{f"new_{name}": row[name] for name in _CHANGING}}
            for row in chunk
        ]
        transaction.execute(statement, parameters)


def acknowledge(transaction: Transaction, invoice_ids: Collection[str], now_us: int) -> None:
    """Their issued message has arrived: `pending` becomes `sent`, every other status stays."""
    sent = sa.case(
        (table.c.status == Status.PENDING.value, Status.SENT.value), else_=table.c.status
    )
    named = transaction.dialect.among(table.c.invoice_id, invoice_ids)
    transaction.execute(
        sa.update(table)
        .where(named, table.c.published_us.is_(None))
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


def raise_numbers(
    transaction: Transaction, least: Mapping[Period, int]
) -> dict[Period, tuple[int, int]]:
    """Give out no number of those months up to that again; of those series that were lower, from
    where to where they were raised."""
    raised: dict[Period, tuple[int, int]] = {}
    for period, number in sorted(least.items()):
        last = last_number(transaction, period)
        if last < number:
            give_out_numbers(transaction, period, number - last)
            raised[period] = (last, number)
    return raised


def issued_among(transaction: Transaction, invoice_ids: Collection[str]) -> list[Invoice]:
    """Those of these ids that have a number, in its order; nobody else changes them until the
    transaction ends."""
    statement = (
        sa.select(table)
        .where(transaction.dialect.among(table.c.invoice_id, invoice_ids))
        .where(table.c.number.is_not(None))
        .order_by(table.c.period, sa.func.length(table.c.number), table.c.number)
        .with_for_update()
    )
    return _with_lines(transaction, transaction.execute(statement).all())


def ids_of(transaction: Transaction, numbers: Collection[str]) -> dict[str, str]:
    """The ids of the invoices that have these numbers, by number."""
    found: dict[str, str] = {}
    for chunk in chunks(sorted(set(numbers)), KEYS_AT_ONCE):
        named = transaction.dialect.among(table.c.number, chunk)
        for row in transaction.execute(sa.select(table.c.number, table.c.invoice_id).where(named)):
            found[row.number] = row.invoice_id
    return found


def _with_lines(transaction: Transaction, rows: Sequence[sa.Row[Any]]) -> list[Invoice]:
    lines: dict[str, list[InvoiceLine]] = {row.invoice_id: [] for row in rows}
    for ids in chunks(lines, KEYS_AT_ONCE):
        found = transaction.execute(
            sa.select(line_table)
            .where(line_table.c.invoice_id.in_(ids))
            .order_by(line_table.c.invoice_id, line_table.c.line)
        )
        for line in found:
            lines[line.invoice_id].append(read_line(line))
    return [read_invoice(row, tuple(lines[row.invoice_id])) for row in rows]

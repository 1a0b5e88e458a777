"""What closes have booked: one row per allocation and resource type, never changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import allocation_id
from chargeback_worker.invoicing.settle import Booked, Cause, Owed
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction, sums
from chargeback_worker.store.parts import borne_by, key_columns, read_key, read_share, share_column
from chargeback_worker.store.rows import (
    KEYS_AT_ONCE,
    amount_columns,
    chunks,
    insert_many,
    read_amount,
    read_wide,
    wide_columns,
)
from chargeback_worker.store.tables import booking as table


@dataclass(frozen=True, slots=True)
class Booking:
    """One row. `receiver` is who is billed for it, None when nobody is."""

    allocation_id: str
    billing_period: Period
    revision: int
    receiver: str | None
    owed: Owed

    @property
    def line_order(self) -> tuple[Any, ...]:
        """Own rows before adjustments, these by origin; within them the order of keys."""
        owed = self.owed
        return (owed.origin != self.billing_period, owed.origin, owed.key.sort_key)


def insert(
    transaction: Transaction,
    period: Period,
    revision: int,
    owed: Iterable[Owed],
    snapshot: Snapshot,
) -> None:
    """Book what a close owes, in its billing period; the period must be closing."""
    insert_many(transaction, table, (_row(period, revision, row, snapshot) for row in owed))


def of_origin(
    transaction: Transaction, origin: Period, periods: Iterable[Period] | None = None
) -> dict[PartKey, Booked]:
    """What was booked for a month in those billing periods, or in any, summed by key."""
    booked: dict[PartKey, Booked] = {}
    for row in _read(transaction, *_for(origin, periods)):
        before, owed = booked.get(row.owed.key, Booked(0)), row.owed
        booked[owed.key] = Booked(
            before.cost + owed.cost,
            before.quantity + owed.quantity,
            before.records + owed.records,
            owed.shared,
        )
    return booked


def of_close(
    transaction: Transaction,
    period: Period,
    revision: int | None = None,
    *,
    bearers: Iterable[Pair] = (),
) -> list[Booking]:
    """What was booked in a billing period, by one close or by all, in the order of lines; with
    `bearers` what those teams and users bear."""
    conditions = [table.c.billing_period == period.number, *borne_by(table, bearers)]
    if revision is not None:
        conditions.append(table.c.revision == revision)
    rows = _read(transaction, *conditions)
    return sorted(rows, key=lambda row: (row.revision, row.line_order))


def place_of(transaction: Transaction, allocation_id: str) -> tuple[Period, Owed] | None:
    """The billing period of an allocation that was booked, and one row of it."""
    rows = _read(transaction, table.c.allocation_id == allocation_id)
    return (rows[0].billing_period, rows[0].owed) if rows else None


def shares(
    transaction: Transaction, allocation_ids: Iterable[str]
) -> dict[tuple[str, str], Fraction]:
    """By allocation id and resource type, the share of a pool of those that came by a split."""
    found: dict[tuple[str, str], Fraction] = {}
    for ids in chunks(sorted(set(allocation_ids)), KEYS_AT_ONCE):
        rows = transaction.execute(
            sa.select(table.c.allocation_id, table.c.resource_type, table.c.share).where(
                table.c.allocation_id.in_(ids), table.c.share.is_not(None)
            )
        )
        found |= {(row.allocation_id, row.resource_type): Fraction(row.share) for row in rows}
    return found


def cost_in(transaction: Transaction, period: Period) -> int:
    """The sum booked in a billing period, over all its revisions."""
    return _cost(transaction, table.c.billing_period == period.number)


def cost_for(
    transaction: Transaction, origin: Period, periods: Iterable[Period] | None = None
) -> int:
    """The sum booked for an origin month in those billing periods, or in any."""
    return _cost(transaction, *_for(origin, periods))


def _for(origin: Period, periods: Iterable[Period] | None) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [table.c.origin_period == origin.number]
    if periods is not None:
        conditions.append(table.c.billing_period.in_([period.number for period in periods]))
    return conditions


def _cost(transaction: Transaction, *conditions: sa.ColumnElement[bool]) -> int:
    statement = sa.select(*sums.of_amount(table, "cost")).where(*conditions)
    return sums.read_amount(transaction.execute(statement).one(), "cost")


def _row(period: Period, revision: int, owed: Owed, snapshot: Snapshot) -> dict[str, Any]:
    key = owed.key
    receiver = snapshot.receiver(key.pair)
    return {
        "allocation_id": allocation_id(owed.origin, period, revision, key),
        **key_columns(key),
        "origin_period": owed.origin.number,
        "billing_period": period.number,
        "revision": revision,
        "receiver": None if receiver == UNALLOCATED else receiver.key,
        **amount_columns("cost", owed.cost),
        **wide_columns("quantity", owed.quantity),
        "records": owed.records,
        "shared": int(owed.shared),
        "cause": None if owed.cause is None else owed.cause.value,
        **share_column(owed.share),
    }


def _read(transaction: Transaction, *conditions: sa.ColumnElement[bool]) -> Sequence[Booking]:
    # In the order in which they were booked: what a later close says of a key stands.
    statement = (
        sa.select(table)
        .where(*conditions)
        .order_by(table.c.billing_period, table.c.revision, table.c.allocation_id)
    )
    return [_booking(row) for row in transaction.execute(statement)]


def _booking(row: sa.Row[Any]) -> Booking:
    return Booking(
        row.allocation_id,
        Period.from_number(row.billing_period),
        row.revision,
        row.receiver,
        Owed(
            Period.from_number(row.origin_period),
            read_key(row),
            read_amount(row, "cost"),
            read_wide(row, "quantity"),
            row.records,
            bool(row.shared),
            Cause(row.cause) if row.cause else None,
            read_share(row),
        ),
    )

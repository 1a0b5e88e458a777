"""The last allocation run of each open period: what its rules gave when somebody asked.

A closed period has none: what was booked are its allocations.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from chargeback_worker.allocation.engine import Part
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.parts import borne_by, key_columns, read_key, read_share, share_column
from chargeback_worker.store.rows import (
    amount_columns,
    insert_many,
    read_amount,
    read_wide,
    wide_columns,
)
from chargeback_worker.store.tables import allocation as table
from chargeback_worker.store.tables import allocation_run as run_table


class RunPart(NamedTuple):
    """A part and the id of the allocation that it belongs to."""

    allocation_id: str
    part: Part


@dataclass(frozen=True, slots=True)
class Run:
    """All parts of one run, in the order of keys."""

    period: Period
    created_us: int
    actor: str
    parts: tuple[RunPart, ...]


def replace(transaction: Transaction, run: Run) -> None:
    """Store a run in place of the period's last one."""
    # This row first: another run of the same period waits here, and then deletes what we insert.
    transaction.execute(
        sa.text(
            "INSERT INTO allocation_run (period, created_us, actor)"
            " VALUES (:period, :created_us, :actor) ON CONFLICT (period)"
            " DO UPDATE SET created_us = excluded.created_us, actor = excluded.actor"
        ),
        {"period": run.period.number, "created_us": run.created_us, "actor": run.actor},
    )
    _delete_parts(transaction, run.period)
    insert_many(transaction, table, _rows(run.period, run.parts))


def forget(transaction: Transaction, period: Period) -> None:
    """Delete a period's run, if it has one: its close has taken the place of it."""
    transaction.execute(sa.delete(run_table).where(run_table.c.period == period.number))
    _delete_parts(transaction, period)


def find(transaction: Transaction, period: Period, bearers: Iterable[Pair] = ()) -> Run | None:
    """The last run of a period; None where none is stored. With `bearers` the parts that those
    teams and users bear."""
    run = transaction.execute(
        sa.select(run_table).where(run_table.c.period == period.number)
    ).one_or_none()
    if run is None:
        return None
    rows = transaction.execute(
        sa.select(table).where(table.c.period == period.number, *borne_by(table, bearers))
    )
    parts = sorted(map(_run_part, rows), key=lambda found: found.part.key.sort_key)
    return Run(period, run.created_us, run.actor, tuple(parts))


def place_of(transaction: Transaction, allocation_id: str) -> tuple[Period, Part] | None:
    """The period of an allocation of a run, and one part of it."""
    row = transaction.execute(
        sa.select(table).where(table.c.allocation_id == allocation_id).limit(1)
    ).one_or_none()
    return None if row is None else (Period.from_number(row.period), _run_part(row).part)


def _delete_parts(transaction: Transaction, period: Period) -> None:
    transaction.execute(sa.delete(table).where(table.c.period == period.number))


def _rows(period: Period, parts: Iterable[RunPart]) -> Iterable[dict[str, Any]]:
    for allocation_id, part in parts:
        yield {
            "allocation_id": allocation_id,
            **key_columns(part.key),
            "period": period.number,
            **amount_columns("cost", part.cost),
            **wide_columns("quantity", part.quantity),
            "records": part.records,
            "shared": int(part.shared),
            **share_column(part.share),
        }


def _run_part(row: sa.Row[Any]) -> RunPart:
    part = Part(
        read_key(row),
        read_amount(row, "cost"),
        read_wide(row, "quantity"),
        row.records,
        bool(row.shared),
        read_share(row),
    )
    return RunPart(row.allocation_id, part)

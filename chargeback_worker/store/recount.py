"""Counts and sums made anew from the rows of usage, beside what is stored of them.

Everything is grouped by the database or streamed, so that no number of records fills the memory.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from chargeback_worker.period import Period
from chargeback_worker.store import Transaction, sums
from chargeback_worker.store.cursors import Door
from chargeback_worker.store.tables import (
    ingest_cursor,
    quarantine,
    usage_conflict,
    usage_key,
    usage_record,
    usage_total,
)

_AT_ONCE = 5_000
_POSITIONED = (Door.TOPIC.value, Door.FILE.value)
_PLACED = (usage_record, usage_conflict, quarantine)


def records(transaction: Transaction, period: Period | None) -> Iterator[sa.Row[Any]]:
    """Every record with the content digest and the period of its key (None without one)."""
    return _stream(
        transaction,
        sa.select(
            usage_record,
            usage_key.c.content.label("key_content"),
            usage_key.c.period.label("key_period"),
        )
        .join_from(
            usage_record, usage_key, usage_key.c.identity == usage_record.c.identity, isouter=True
        )
        .where(*_billed_in(usage_record, period)),
    )


def keys(transaction: Transaction, period: Period | None) -> int:
    """How many keys there are."""
    return _count(transaction, usage_key, *_billed_in(usage_key, period))


def count(transaction: Transaction, period: Period) -> int:
    """How many records a period bills."""
    return _count(transaction, usage_record, *_billed_in(usage_record, period))


def keys_without_record(
    transaction: Transaction, period: Period | None, *, pruned: Collection[Period] = ()
) -> Iterator[bytes]:
    """The identities of keys whose record is not there, but for those of `pruned` periods."""
    left = sa.select(usage_key.c.identity).where(*_billed_in(usage_key, period))
    if pruned:
        left = left.where(usage_key.c.period.not_in([gone.number for gone in pruned]))
    for row in _stream(transaction, left.except_(sa.select(usage_record.c.identity))):
        yield row.identity


def identities_twice(transaction: Transaction) -> Iterator[sa.Row[Any]]:
    """Identities of more than one record, as `identity` and `records`."""
    counted = sa.func.count()
    return _stream(
        transaction,
        sa.select(usage_record.c.identity, counted.label("records"))
        .group_by(usage_record.c.identity)
        .having(counted > 1),
    )


def totals_beside_records(
    transaction: Transaction,
    periods: Collection[Period] | None,
    grain: Sequence[sa.Column[Any]] = (),
) -> Iterator[sa.Row[Any]]:
    """Every total (its columns None where there is none) beside the sums of its records, of those
    periods or of all.

    `key` is the digest; the sums are read by `sums`, as `summed_cost` and `summed_quantity`, with
    `counted` records. Records are told apart by the columns of `grain` too, each given as `of_…`.
    """
    numbers = None if periods is None else sorted(period.number for period in periods)

    def billed(table: sa.Table) -> list[sa.ColumnElement[bool]]:
        return [] if numbers is None else [table.c.period.in_(numbers)]

    summed = (
        sa.select(
            usage_record.c.total_key.label("key"),
            *(column.label(f"of_{column.name}") for column in grain),
            *sums.of_column("summed_cost", usage_record.c.cost_nano),
            *sums.of_column("summed_quantity_whole", usage_record.c.quantity_whole),
            sa.func.sum(usage_record.c.quantity_nano).label("summed_quantity_nano"),
            sa.func.count().label("counted"),
        )
        .where(*billed(usage_record))
        .group_by(usage_record.c.total_key, *grain)
        .subquery()
    )
    totals = sa.select(usage_total).where(*billed(usage_total)).subquery()
    both = totals.join(summed, summed.c.key == totals.c.total_key, full=True)
    return _stream(transaction, sa.select(totals, summed).select_from(both))


def by_cursor(transaction: Transaction, table: sa.Table) -> dict[int, int]:
    """How many rows of a table came by each cursor."""
    rows = transaction.execute(
        sa.select(table.c.cursor_id, sa.func.count().label("rows")).group_by(table.c.cursor_id)
    )
    return {row.cursor_id: row.rows for row in rows}


def replayed(transaction: Transaction) -> dict[str, int]:
    """How many quarantined events were replayed, by how that ended."""
    rows = transaction.execute(
        sa.select(quarantine.c.outcome, sa.func.count().label("rows"))
        .where(quarantine.c.state == "replayed")
        .group_by(quarantine.c.outcome)
    )
    return {row.outcome: row.rows for row in rows}


def misplaced(transaction: Transaction) -> Iterator[sa.Row[Any]]:
    """Rows at a position that their cursor has not read, as `name`, `cursor_id`, `position`."""
    for table in _PLACED:
        yield from _stream(
            transaction,
            sa.select(sa.literal(table.name).label("table"), table.c.cursor_id, table.c.position)
            .join_from(
                table,
                ingest_cursor,
                ingest_cursor.c.cursor_id == table.c.cursor_id,
                isouter=True,
            )
            .where(
                sa.or_(
                    ingest_cursor.c.cursor_id.is_(None),
                    ingest_cursor.c.kind.in_(_POSITIONED)
                    & (
                        (table.c.position < ingest_cursor.c.first_position)
                        | (table.c.position >= ingest_cursor.c.next_position)
                    ),
                )
            ),
        )


def placed_twice(transaction: Transaction) -> Iterator[sa.Row[Any]]:
    """Positions at which more than one event ended, as `cursor_id`, `position`, `rows`."""
    placed = sa.union_all(*(sa.select(t.c.cursor_id, t.c.position) for t in _PLACED)).subquery()
    counted = sa.func.count()
    return _stream(
        transaction,
        sa.select(placed.c.cursor_id, placed.c.position, counted.label("rows"))
        .join_from(placed, ingest_cursor, ingest_cursor.c.cursor_id == placed.c.cursor_id)
        .where(ingest_cursor.c.kind != Door.HTTP.value)
        .group_by(placed.c.cursor_id, placed.c.position)
        .having(counted > 1),
    )


def conflicts(transaction: Transaction) -> Iterator[sa.Row[Any]]:
    """Every conflict with the content digest of its key (None without one) as `key_content`."""
    return _stream(
        transaction,
        sa.select(usage_conflict, usage_key.c.content.label("key_content")).join_from(
            usage_conflict,
            usage_key,
            usage_key.c.identity == usage_conflict.c.identity,
            isouter=True,
        ),
    )


def kept_messages(transaction: Transaction) -> Iterator[sa.Row[Any]]:
    """Quarantined messages kept whole: `quarantine_id`, `payload`, `digest`."""
    columns = quarantine.c
    return _stream(
        transaction,
        sa.select(columns.quarantine_id, columns.payload, columns.digest).where(
            columns.replayable == 1
        ),
        at_once=50,
    )


def cost_by_origin(transaction: Transaction) -> dict[tuple[int, int], int]:
    """The cost of all records by (billing period, origin period), exact."""
    origin = (usage_record.c.day // 100).label("origin")
    rows = transaction.execute(
        sa.select(
            usage_record.c.period, origin, *sums.of_column("cost", usage_record.c.cost_nano)
        ).group_by(usage_record.c.period, origin)
    )
    return {(row.period, row.origin): sums.read_column(row, "cost") for row in rows}


def _billed_in(table: sa.Table, period: Period | None) -> list[sa.ColumnElement[bool]]:
    return [] if period is None else [table.c.period == period.number]


def _count(transaction: Transaction, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    statement = sa.select(sa.func.count()).select_from(table).where(*conditions)
    return int(transaction.execute(statement).scalar_one())


def _stream(
    transaction: Transaction, statement: sa.Executable, at_once: int = _AT_ONCE
) -> Iterator[sa.Row[Any]]:
    options = {"yield_per": at_once}
    yield from transaction.connection.execute(statement, execution_options=options)

"""Totals and tallies of open periods made anew from the rows that they count."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chargeback_worker.period import Period
from chargeback_worker.store import Transaction, cursors, pruned, recount, sums
from chargeback_worker.store.cursors import Cursor, Door, Tally
from chargeback_worker.store.pruned import RecordSums
from chargeback_worker.store.rows import chunks
from chargeback_worker.store.tables import (
    ingest_cursor,
    quarantine,
    usage_conflict,
    usage_record,
    usage_total,
)
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageSum, total_key

_KEYS_AT_ONCE = 1_000
_GRAIN = ("period", "day", "team_id", "user_id", "agent_id", "resource_type", "labels")


@dataclass(frozen=True, slots=True)
class BesideRecords:
    """A stored total and what its records sum to; either may be missing.

    `sound` is whether the records have one grain, and the key that it gives.
    """

    key: bytes
    period: Period
    stored: RecordSums | None
    summed: UsageSum | None
    same: bool
    sound: bool


def hold_off_ingest(transaction: Transaction) -> None:
    """Wait for what ingest is about to commit, and let nothing more of it in until the end.

    Totals before cursors, as ingest itself goes. What it has not committed by then has its records
    and its share of the totals still to come, both or neither.
    """
    transaction.dialect.own_totals(transaction.connection)
    transaction.execute(
        sa.select(ingest_cursor.c.cursor_id).order_by(ingest_cursor.c.cursor_id).with_for_update()
    ).all()


def beside_records(
    transaction: Transaction, periods: Collection[Period]
) -> Iterator[BesideRecords]:
    """Every total of those periods beside the sums of its records."""
    grain = [usage_record.c[name] for name in _GRAIN]
    rows = recount.totals_beside_records(transaction, periods, grain)
    return map(_beside, rows)


def replace(
    transaction: Transaction, gone: Collection[bytes], made: Sequence[UsageSum]
) -> Sequence[bytes]:
    """Put those totals in the place of these.

    Returns the keys of those that stand in another period already; the transaction is then to be
    rolled back.
    """
    for chunk in chunks(sorted(gone), _KEYS_AT_ONCE):
        transaction.execute(sa.delete(usage_total).where(usage_total.c.total_key.in_(chunk)))
    taken: list[bytes] = []
    for some in chunks(sorted(made, key=lambda sum_: sum_.key), _KEYS_AT_ONCE):
        keys = [sum_.key for sum_ in some]
        rows = transaction.execute(
            sa.select(usage_total.c.total_key).where(usage_total.c.total_key.in_(keys))
        )
        taken += rows.scalars()
        if not taken:
            transaction.dialect.add_to_totals(transaction.connection, some)
    return taken


def tallies(transaction: Transaction) -> list[tuple[Cursor, Tally]]:
    """Each cursor and what its tally should be by the rows that came by it.

    Nothing is left of a duplicate but its position: where all others of a topic or a file are
    counted, it is the rest.
    """
    accepted = pruned.accepted_by_cursor(transaction)
    conflict = recount.by_cursor(transaction, usage_conflict)
    quarantined = recount.by_cursor(transaction, quarantine)
    replayed = recount.replayed(transaction)
    found = []
    for cursor in cursors.listed(transaction):
        key, tally = cursor.cursor_id, cursor.tally
        counted = [by.get(key, 0) for by in (accepted, conflict, quarantined)]
        duplicate = tally.duplicate
        if cursor.kind is Door.REPLAY:
            duplicate = replayed.get("duplicate", 0)
        elif cursor.kind is not Door.HTTP:
            read = cursor.next_position - cursor.first_position
            duplicate = max(read - sum(counted) - tally.skipped, 0)
        found.append((cursor, Tally(counted[0], duplicate, counted[1], counted[2], tally.skipped)))
    return found


def set_tally(transaction: Transaction, cursor_id: int, tally: Tally) -> None:
    transaction.execute(
        sa.update(ingest_cursor)
        .where(ingest_cursor.c.cursor_id == cursor_id)
        .values(tally.outcomes())
    )


def _beside(row: sa.Row[Any]) -> BesideRecords:
    stored = summed = None
    sound = same = True
    if row.total_key is not None:
        stored = pruned.of_total(row)
    if row.key is not None:
        summed = UsageSum(
            row.key,
            row.of_period,
            row.of_day,
            row.of_team_id,
            row.of_user_id,
            row.of_agent_id,
            row.of_resource_type,
            read_labels(row.of_labels),
            sums.read_column(row, "summed_cost"),
            sums.read_amount(row, "summed_quantity"),
            row.counted,
        )
        sound = row.key == total_key(*_grain_of(summed))
    if stored is None or summed is None:
        same = False
    else:
        same = stored == sums_of(summed) and all(
            row._mapping[name] == row._mapping[f"of_{name}"] for name in _GRAIN
        )
    number = row.period if summed is None else summed.period
    key = row.total_key if summed is None else summed.key
    return BesideRecords(key, Period.from_number(number), stored, summed, same, sound)


def _grain_of(sum_: UsageSum) -> tuple[Any, ...]:
    owner = (sum_.team, sum_.user, sum_.agent)
    return (sum_.period, sum_.day, *owner, sum_.resource_type, sum_.labels)


def sums_of(sum_: UsageSum) -> RecordSums:
    """What it says of its records."""
    return RecordSums(sum_.records, sum_.cost, sum_.quantity)

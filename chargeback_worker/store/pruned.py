"""Usage records that retention has dropped: how many of a period, and what they summed to.

Keys and totals of theirs stay. Wherever records are counted or summed anew, what is noted here
stands for those that are gone; it is written in the transactions that drop them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.money import NANO
from chargeback_worker.period import Period, format_us
from chargeback_worker.store import Transaction, facts, recount, sums
from chargeback_worker.store.rows import read_amount, read_wide
from chargeback_worker.store.tables import billing_period, usage_record, usage_total

_NAME = "pruned."


@dataclass(frozen=True, slots=True)
class RecordSums:
    """What usage records sum to, in nano-units."""

    records: int = 0
    cost: int = 0
    quantity: int = 0

    def __add__(self, other: "RecordSums") -> "RecordSums":
        return RecordSums(
            self.records + other.records, self.cost + other.cost, self.quantity + other.quantity
        )


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is gone of the records that a period bills: by origin month, and by cursor how many.

    `ended_us` is None while more of them are to go.
    """

    period: Period
    begun_us: int
    ended_us: int | None = None
    origins: Mapping[Period, RecordSums] = field(default_factory=dict)
    cursors: Mapping[int, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        return sum(gone.records for gone in self.origins.values())

    @property
    def sentence(self) -> str:
        """For whoever looks for the records."""
        at = format_us(self.begun_us if self.ended_us is None else self.ended_us)
        said = f"dropped after retention.records, {'since' if self.ended_us is None else 'on'} {at}"
        return f"{self.records:,} usage records billed in {self.period} were {said}"

    def having(self, origin: Period, gone: RecordSums, cursors: Mapping[int, int]) -> "Pruned":
        """With more of them gone."""
        return replace(
            self,
            origins={**self.origins, origin: self.origins.get(origin, RecordSums()) + gone},
            cursors={
                cursor: self.cursors.get(cursor, 0) + cursors.get(cursor, 0)
                for cursor in sorted(self.cursors.keys() | cursors.keys())
            },
        )


@dataclass(frozen=True, slots=True)
class Prunable:
    """A closed period whose records are older than they are kept; `records` are still there."""

    period: Period
    closed_us: int
    records: int


def listed(transaction: Transaction) -> dict[Period, Pruned]:
    """By period, of those of which any are gone."""
    found = [_read(*row) for row in facts.listed(transaction, _NAME).items()]
    return {one.period: one for one in sorted(found, key=lambda one: one.period) if one.records}


def accepted_by_cursor(transaction: Transaction) -> Counter[int]:
    """How many records came by each cursor, those that are gone among them."""
    counts = Counter(recount.by_cursor(transaction, usage_record))
    for one in listed(transaction).values():
        counts.update(one.cursors)
    return counts


def of_total(row: sa.Row[Any]) -> RecordSums:
    """What a row of `usage_total` says of its records."""
    return RecordSums(row.records, read_amount(row, "cost"), read_wide(row, "quantity"))


def find(transaction: Transaction, period: Period) -> Pruned | None:
    name = f"{_NAME}{period.number}"
    value = facts.find(transaction, name)
    return None if value is None else _read(name, value)


def note(transaction: Transaction, gone: Pruned) -> None:
    facts.put(transaction, f"{_NAME}{gone.period.number}", _written(gone))


def prunable(transaction: Transaction, closed_before_us: int) -> list[Prunable]:
    """The periods closed before then of which records are left, oldest first, by their totals."""
    gone = listed(transaction)
    rows = transaction.execute(
        sa.select(
            billing_period.c.period,
            billing_period.c.closed_us,
            *sums.of_column("records", usage_total.c.records),
        )
        .join_from(billing_period, usage_total, usage_total.c.period == billing_period.c.period)
        .where(billing_period.c.state == "closed", billing_period.c.closed_us <= closed_before_us)
        .group_by(billing_period.c.period, billing_period.c.closed_us)
        .order_by(billing_period.c.period)
    )
    found = []
    for row in rows:
        period = Period.from_number(row.period)
        noted = gone.get(period)
        left = sums.read_column(row, "records") - (0 if noted is None else noted.records)
        if left or (noted is not None and noted.ended_us is None):
            found.append(Prunable(period, row.closed_us, left))
    return found


def is_still(transaction: Transaction, wanted: Prunable) -> bool:
    """Whether the period is closed as it was then."""
    row = sa.select(billing_period.c.state, billing_period.c.closed_us).where(
        billing_period.c.period == wanted.period.number
    )
    found = transaction.execute(row).one_or_none()
    return found is not None and (found.state, found.closed_us) == ("closed", wanted.closed_us)


def days_of(transaction: Transaction, period: Period) -> list[int]:
    """The days of the usage that a period bills."""
    rows = transaction.execute(
        sa.select(usage_total.c.day)
        .where(usage_total.c.period == period.number)
        .distinct()
        .order_by(usage_total.c.day)
    )
    return [row.day for row in rows]


def summed(transaction: Transaction, period: Period, day: int) -> tuple[RecordSums, RecordSums]:
    """The totals of a period and day, and the records of theirs that are there."""
    totals, records = usage_total.c, usage_record.c
    of_totals = transaction.execute(
        sa.select(
            *sums.of_amount(usage_total, "cost"),
            *sums.of_wide(usage_total, "quantity"),
            *sums.of_column("records", totals.records),
        ).where(totals.period == period.number, totals.day == day)
    ).one()
    of_records = transaction.execute(
        sa.select(
            sa.func.count().label("records"),
            *sums.of_column("cost", records.cost_nano),
            *sums.of_amount(usage_record, "quantity"),
        ).where(records.period == period.number, records.day == day)
    ).one()
    return (
        RecordSums(
            sums.read_column(of_totals, "records"),
            sums.read_amount(of_totals, "cost"),
            sums.read_wide(of_totals, "quantity"),
        ),
        RecordSums(
            of_records.records,
            sums.read_column(of_records, "cost"),
            sums.read_amount(of_records, "quantity"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Dropped:
    """What one step has dropped; `last_key` is of the total that it came to."""

    sums: RecordSums
    cursors: Mapping[int, int]
    last_key: bytes


def drop_some(
    transaction: Transaction, period: Period, day: int, *, from_key: bytes, most: int
) -> Dropped | None:
    """Drop at most so many records of a period and day, in the order of totals from a key on.

    None where there were none.
    """
    columns = usage_record.c
    first = (
        sa.select()
        .select_from(usage_record)
        .where(columns.day == day, columns.total_key >= from_key, columns.period == period.number)
        .order_by(columns.total_key)
        .limit(most)
    )
    rows = transaction.execute(
        sa.delete(usage_record)
        .where(transaction.dialect.first_rows(first))
        .returning(
            columns.total_key,
            columns.cursor_id,
            columns.cost_nano,
            columns.quantity_whole,
            columns.quantity_nano,
        )
    ).all()
    if not rows:
        return None
    cursors: dict[int, int] = {}
    for row in rows:
        cursors[row.cursor_id] = cursors.get(row.cursor_id, 0) + 1
    return Dropped(_sums(rows), cursors, max(row.total_key for row in rows))


def left_of(transaction: Transaction, total_key: bytes, day: int) -> RecordSums:
    """The records of one total that are there."""
    columns = usage_record.c
    row = transaction.execute(
        sa.select(
            sa.func.count().label("records"), *sums.of_column("cost", columns.cost_nano)
        ).where(columns.day == day, columns.total_key == total_key)
    ).one()
    return RecordSums(row.records, sums.read_column(row, "cost"))


def _sums(rows: Sequence[sa.Row[Any]]) -> RecordSums:
    return RecordSums(
        len(rows),
        sum(row.cost_nano for row in rows),
        sum(row.quantity_whole * NANO + row.quantity_nano for row in rows),
    )


def _written(gone: Pruned) -> str:
    """Sums pass 64 bits: they are written as texts."""
    document = {
        "begun_us": gone.begun_us,
        "ended_us": gone.ended_us,
        "origins": {
            str(origin.number): [str(part) for part in (of.records, of.cost, of.quantity)]
            for origin, of in sorted(gone.origins.items())
        },
        "cursors": {str(cursor): records for cursor, records in sorted(gone.cursors.items())},
    }
    return msgspec.json.encode(document).decode()


def _read(name: str, value: str) -> Pruned:
    document = msgspec.json.decode(value)
    return Pruned(
        Period.from_number(int(name.removeprefix(_NAME))),
        document["begun_us"],
        document["ended_us"],
        {
            Period.from_number(int(origin)): RecordSums(*map(int, parts))
            for origin, parts in document["origins"].items()
        },
        {int(cursor): records for cursor, records in document["cursors"].items()},
    )

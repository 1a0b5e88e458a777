"""Usage totals: the sums that allocation sees, and all that it ever sees."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import sqlalchemy as sa

from chargeback_worker.money import NANO
from chargeback_worker.period import BillingRange, Period, day_from_number, day_number
from chargeback_worker.store import Transaction, sums
from chargeback_worker.store.rows import read_wide
from chargeback_worker.store.tables import usage_total as table
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageSum, UsageTotal

By = Literal["team_id", "user_id", "agent_id", "resource_type", "labels"]


@dataclass(frozen=True, slots=True)
class SummedUsage:
    """Totals summed; `key` holds the columns they were grouped by, in the order asked for."""

    key: tuple[str | None, ...]
    cost: int
    quantity: int
    records: int


def add(transaction: Transaction, sums: Iterable[UsageSum]) -> None:
    """Add to the stored totals by key, sorted: the last rows that two workers may both want."""
    ordered = sorted(sums, key=attrgetter("key"))
    if ordered:
        transaction.dialect.add_to_totals(transaction.connection, ordered)


def summed(
    transaction: Transaction,
    days: BillingRange,
    by: Sequence[By],
    *,
    team: str | None = None,
    user: str | None = None,
) -> list[SummedUsage]:
    """The usage of those days, whichever period bills it, by some columns, in their order.

    `team` and `user` select; an empty text selects what has none.
    """
    statement = sa.select(
        *(table.c[column] for column in by),
        *sums.of_amount(table, "cost"),
        *sums.of_wide(table, "quantity"),
        sa.func.sum(table.c.records).label("records"),
    ).where(table.c.day >= day_number(days.start), table.c.day < day_number(days.end))
    for column, wanted in ((table.c.team_id, team), (table.c.user_id, user)):
        if wanted is not None:
            statement = statement.where(column == wanted if wanted else column.is_(None))
    rows = transaction.execute(statement.group_by(*(table.c[column] for column in by)))
    found = [
        SummedUsage(
            tuple(row)[: len(by)],
            sums.read_amount(row, "cost"),
            sums.read_wide(row, "quantity"),
            int(row.records or 0),
        )
        for row in rows
    ]
    # NULLs sort first on one database and last on the other.
    return sorted(
        found, key=lambda sum_: tuple((text is not None, text or "") for text in sum_.key)
    )


def stored(transaction: Transaction) -> dict[bytes, UsageTotal]:
    """Every total under its stored key."""
    return {row.total_key: _total(row) for row in transaction.execute(sa.select(table))}


def billed_in(transaction: Transaction, origin: Period) -> list[Period]:
    """The billing periods in which usage of a month is billed."""
    days = origin.days()
    rows = transaction.execute(
        sa.select(table.c.period)
        .where(table.c.day >= day_number(days.start), table.c.day < day_number(days.end))
        .distinct()
        .order_by(table.c.period)
    )
    return [Period.from_number(row.period) for row in rows]


def cost_by_period(transaction: Transaction) -> dict[Period, int]:
    """The cost of all usage by billing period, exact."""
    return {period: cost for period, (cost, _) in size_by_period(transaction).items()}


def size_by_period(transaction: Transaction) -> dict[Period, tuple[int, int]]:
    """The cost of all usage by billing period, exact, and how many totals it is in."""
    rows = transaction.execute(
        sa.select(
            table.c.period,
            sa.func.sum(table.c.cost_whole).label("whole"),
            sa.func.sum(table.c.cost_nano).label("nano"),
            sa.func.count().label("totals"),
        ).group_by(table.c.period)
    )
    return {
        Period.from_number(row.period): (int(row.whole) * NANO + int(row.nano), row.totals)
        for row in rows
    }


def count_label_values(transaction: Transaction, period: Period, labels: int) -> list[int]:
    """How many values each of the grain's labels has among the totals of a month."""
    if not labels:
        return []
    item = transaction.dialect.item
    values = [sa.func.count(item(table.c.labels, place).distinct()) for place in range(labels)]
    return list(
        transaction.execute(sa.select(*values).where(table.c.period == period.number)).one()
    )


def _total(row: sa.Row[Any]) -> UsageTotal:
    return UsageTotal(
        period=Period.from_number(row.period),
        day=day_from_number(row.day),
        team=row.team_id,
        user=row.user_id,
        agent=row.agent_id,
        resource_type=row.resource_type,
        labels=read_labels(row.labels),
        cost=row.cost_whole * NANO + row.cost_nano,
        quantity=read_wide(row, "quantity"),
        records=row.records,
    )

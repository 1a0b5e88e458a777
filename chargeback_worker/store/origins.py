"""Usage totals as a settlement reads them: by the month the usage happened in."""

from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.pool import Dimension
from chargeback_worker.period import Period, day_from_number, day_number
from chargeback_worker.store import Transaction, sums
from chargeback_worker.store.tables import usage_total as table
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageTotal


def late_in(transaction: Transaction, period: Period) -> list[Period]:
    """The earlier months that have usage billed in a period."""
    first_day = day_number(period.days().start)
    month = (table.c.day // 100).label("month")
    rows = transaction.execute(
        sa.select(month)
        .where(table.c.period == period.number, table.c.day < first_day)
        .distinct()
        .order_by(month)
    )
    return [Period.from_number(row.month) for row in rows]


def has_late(transaction: Transaction, period: Period, origin: Period) -> bool:
    """Whether usage of a month is billed in a period."""
    condition = sa.exists().where(table.c.period == period.number, _happened_in(origin))
    return bool(transaction.execute(sa.select(condition)).scalar_one())


def counted(
    transaction: Transaction,
    origin: Period,
    periods: Iterable[Period],
    looks_at: Collection[Dimension],
) -> list[UsageTotal]:
    """The totals of a month that those periods bill, summed over what no rule looks at.

    What was summed over stands there as if missing; of days the first of the month stands for all.
    """
    kept: dict[str, sa.Column[Any]] = {
        "period": table.c.period,
        "team_id": table.c.team_id,
        "user_id": table.c.user_id,
        "resource_type": table.c.resource_type,
    }
    if "day" in looks_at:
        kept["day"] = table.c.day
    if "agent" in looks_at:
        kept["agent_id"] = table.c.agent_id
    if "labels" in looks_at:
        kept["labels"] = table.c.labels
    statement = (
        sa.select(
            *kept.values(),
            *sums.of_amount(table, "cost"),
            *sums.of_wide(table, "quantity"),
            *sums.of_column("records", table.c.records),
        )
        .where(_billed_in(periods), _happened_in(origin))
        .group_by(*kept.values())
    )
    return [_total(row, origin) for row in transaction.execute(statement)]


def cost_for(transaction: Transaction, origin: Period, periods: Iterable[Period]) -> int:
    """The cost of all usage of a month that those periods bill."""
    return _cost(transaction, _billed_in(periods), _happened_in(origin))


def cost_in(transaction: Transaction, period: Period) -> int:
    """The cost of all usage that a period bills, whenever it happened."""
    return _cost(transaction, table.c.period == period.number)


def late_records(transaction: Transaction) -> dict[Period, int]:
    """How many records of earlier months each billing period has, where it has any."""
    rows = transaction.execute(
        sa.select(table.c.period, *sums.of_column("records", table.c.records))
        .where(table.c.day // 100 != table.c.period)
        .group_by(table.c.period)
    )
    return {Period.from_number(row.period): sums.read_column(row, "records") for row in rows}


def _cost(transaction: Transaction, *conditions: sa.ColumnElement[bool]) -> int:
    statement = sa.select(*sums.of_amount(table, "cost")).where(*conditions)
    return sums.read_amount(transaction.execute(statement).one(), "cost")


def _billed_in(periods: Iterable[Period]) -> sa.ColumnElement[bool]:
    return table.c.period.in_(sorted(period.number for period in periods))


def _happened_in(origin: Period) -> sa.ColumnElement[bool]:
    days = origin.days()
    return sa.and_(table.c.day >= day_number(days.start), table.c.day < day_number(days.end))


def _total(row: sa.Row[Any], origin: Period) -> UsageTotal:
    fields = row._mapping
    day = fields.get("day")
    return UsageTotal(
        period=Period.from_number(row.period),
        day=origin.days().start if day is None else day_from_number(day),
        team=row.team_id,
        user=row.user_id,
        agent=fields.get("agent_id"),
        resource_type=row.resource_type,
        labels=read_labels(fields.get("labels")),
        cost=sums.read_amount(row, "cost"),
        quantity=sums.read_wide(row, "quantity"),
        records=sums.read_column(row, "records"),
    )

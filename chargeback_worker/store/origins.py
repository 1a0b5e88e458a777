"""Usage totals as a settlement reads them: by the month the usage happened in."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.grouping import Grouping, Values
from chargeback_worker.money import EXA, NANO
from chargeback_worker.period import BillingRange, Period, day_from_number, day_number
from chargeback_worker.store import Transaction, sums
from chargeback_worker.store.dialects import Dialect
from chargeback_worker.store.tables import usage_total as table
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageTotal

_ROWS_AT_ONCE = 1_000
_SMALL = ("cost_whole", "cost_nano", "quantity_exa", "quantity_nano", "records")


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
    transaction: Transaction, origin: Period, periods: Iterable[Period], kept: Grouping
) -> list[UsageTotal]:
    """The totals of a month that those periods bill, summed over what no rule tells apart."""
    return of_days(transaction, origin.days(), kept, billed_in(periods))


def of_days(
    transaction: Transaction,
    days: BillingRange,
    kept: Grouping,
    *conditions: sa.ColumnElement[bool],
) -> list[UsageTotal]:
    """The totals of usage on those days, whichever period bills them, summed in the same way; with
    `conditions` only those that meet them."""
    return grouped(transaction, kept, _on_days(days), *conditions)


def grouped(
    transaction: Transaction, kept: Grouping, *conditions: sa.ColumnElement[bool]
) -> list[UsageTotal]:
    """The totals that meet those conditions, summed over what is not kept."""
    dialect, nothing = transaction.dialect, sa.null()
    look_at_labels = any(values.looked_at for values in kept.labels)
    by: tuple[sa.ColumnElement[Any], ...] = (
        # First what differs most: SQLite sorts all totals, and is fast where that decides.
        _kept_user(dialect, kept),
        _stretch(dialect, kept) if kept.tells_days_apart else nothing,
        table.c.resource_type,
        _kept(dialect, table.c.agent_id, kept.agents) if kept.agents.looked_at else nothing,
        # Taken apart below, once for each list that there is and not for each total.
        table.c.labels if look_at_labels else nothing,
        table.c.team_id,
        table.c.period,
    )
    statement = sa.select(
        *(column.label(f"by_{place}") for place, column in enumerate(by)),
        *(sums.of_small(name, table.c[name]) for name in _SMALL),
        # Quantities alone may pass 64 bits in a sum.
        sums.of_small("high", table.c.quantity_whole // NANO),
        sums.of_small("low", table.c.quantity_whole % NANO),
    ).where(*conditions)
    # By place: to PostgreSQL an expression with parameters is another one when it comes twice.
    found = transaction.execute(statement.group_by(*(sa.text(str(n + 1)) for n in range(len(by)))))
    return _merged((row for rows in found.partitions(_ROWS_AT_ONCE) for row in rows), kept)


def _merged(rows: Iterable[Sequence[Any]], kept: Grouping) -> list[UsageTotal]:
    """The groups; several rows are of one where only labels tell them apart that are not kept."""
    period_of, day_of = cache(Period.from_number), cache(day_from_number)
    labels_of = cache(lambda text: _kept_labels(text, kept))
    first = kept.days[0]
    groups: dict[tuple[Any, ...], UsageTotal] = {}
    for user, day, resource_type, agent, text, team, number, *summed in rows:
        cost_whole, cost_nano, exa, nano, records, high, low = summed
        cost = cost_whole * NANO + cost_nano
        quantity = (exa * EXA + high * NANO + low) * NANO + nano
        labels = labels_of(text)
        key = (user, day, resource_type, agent, labels, team, number)
        known = groups.get(key)
        if known is not None:
            cost, quantity, records = (
                known.cost + cost,
                known.quantity + quantity,
                known.records + records,
            )
        groups[key] = UsageTotal(
            period_of(number),
            first if day is None else day_of(day),
            team,
            user,
            agent,
            resource_type,
            labels,
            cost,
            quantity,
            records,
        )
    return list(groups.values())


def _kept_labels(text: str | None, kept: Grouping) -> tuple[str | None, ...]:
    return kept.kept_labels(read_labels(text) or (None,) * len(kept.labels))


def cost_for(transaction: Transaction, origin: Period, periods: Iterable[Period]) -> int:
    """The cost of all usage of a month that those periods bill."""
    return _cost(transaction, billed_in(periods), _happened_in(origin))


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


def billed_in(periods: Iterable[Period]) -> sa.ColumnElement[bool]:
    """The condition that one of those periods bills a total."""
    return table.c.period.in_(sorted(period.number for period in periods))


def _happened_in(origin: Period) -> sa.ColumnElement[bool]:
    return _on_days(origin.days())


def _on_days(days: BillingRange) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.day >= day_number(days.start), table.c.day < day_number(days.end))


def _stretch(dialect: Dialect, kept: Grouping) -> sa.ColumnElement[int]:
    """The day that stands for a day, as `Grouping.day` finds it."""
    teams, users = _by_day(kept.team_days), _by_day(kept.user_days)
    first, *later = sorted({*kept.days, *teams, *users})
    begun = []
    for start in reversed(later):
        by_then = table.c.day >= day_number(start)
        if start not in kept.days:
            team = dialect.among(table.c.team_id, teams.get(start, ()))
            user = dialect.among(table.c.user_id, users.get(start, ()))
            by_then &= team | (table.c.team_id.is_(None) & user)
        begun.append((by_then, sa.literal(day_number(start))))
    return sa.case(*begun, else_=day_number(first))


def _kept_user(dialect: Dialect, kept: Grouping) -> sa.ColumnElement[Any]:
    user = table.c.user_id
    if kept.users is None:
        return user
    stays: sa.ColumnElement[bool] = table.c.team_id.is_(None)
    if kept.users:
        stays |= dialect.among(user, kept.users)
    return sa.case((stays, user), else_=sa.null())


def _by_day(changes: Mapping[str, Iterable[date]]) -> dict[date, list[str]]:
    found: dict[date, list[str]] = {}
    for name, days in changes.items():
        for day in days:
            found.setdefault(day, []).append(name)
    return found


def _kept(dialect: Dialect, column: sa.ColumnElement[Any], values: Values) -> sa.ColumnElement[Any]:
    if values.whole:
        return column
    named = [value for value in values.named if value is not None]
    as_they_are: sa.ColumnElement[bool] = column.is_(None)
    if named:
        as_they_are |= dialect.among(column, named)
    return sa.case((as_they_are, column), else_=values.other)

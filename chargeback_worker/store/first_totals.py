"""The first usage totals of each of many groups, in one pass over the totals of their days."""

from collections.abc import Collection, Iterable
from datetime import date
from heapq import nsmallest
from typing import NamedTuple

import sqlalchemy as sa

from chargeback_worker.allocation.grouping import Grouping
from chargeback_worker.period import BillingRange, Period, day_from_number, day_number
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import usage_total as table
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageTotal

_ROWS_AT_ONCE = 1_000
# More are not worth a condition, and a database takes only so many parameters.
_OWNERS_MAX = 2_000


class Group(NamedTuple):
    """What a total was summed by."""

    period: Period
    day: date
    team: str | None
    user: str | None
    agent: str | None
    resource_type: str
    labels: tuple[str | None, ...]

    @classmethod
    def of(cls, total: UsageTotal) -> "Group":
        return cls(
            total.period,
            total.day,
            total.team,
            total.user,
            total.agent,
            total.resource_type,
            total.labels,
        )


def first_totals(
    transaction: Transaction,
    groups: Collection[Group],
    kept: Grouping,
    days: BillingRange,
    *,
    each: int,
) -> dict[Group, list[bytes]]:
    """The keys of the first `each` stored totals of every group, in the order of keys."""
    # Most totals of the days are of others: these are dropped before they are grouped.
    owners = {(group.team, group.user, group.resource_type) for group in groups}
    found: dict[Group, list[bytes]] = {group: [] for group in groups}
    nothing = (None,) * len(kept.labels)
    for row in transaction.execute(_of_owners(groups, days)):
        if (row.team_id, row.user_id, row.resource_type) not in owners:
            continue
        group = Group(
            Period.from_number(row.period),
            kept.day(day_from_number(row.day), row.team_id, row.user_id),
            row.team_id,
            row.user_id,
            kept.agents.kept(row.agent_id),
            row.resource_type,
            kept.kept_labels(read_labels(row.labels) or nothing),
        )
        if group in found:
            found[group].append(row.total_key)
    return {group: nsmallest(each, keys) for group, keys in found.items()}


def _of_owners(groups: Collection[Group], days: BillingRange) -> sa.Select[tuple[object, ...]]:
    """All totals of those days, periods, teams and users; some of no group among them."""
    conditions = [
        table.c.day >= day_number(days.start),
        table.c.day < day_number(days.end),
        table.c.period.in_({group.period.number for group in groups}),
    ]
    owners: tuple[tuple[sa.Column[str], Iterable[str | None]], ...] = (
        (table.c.team_id, {group.team for group in groups}),
        (table.c.user_id, {group.user for group in groups}),
    )
    for column, wanted in owners:
        named = sorted(name for name in wanted if name is not None)
        if len(named) <= _OWNERS_MAX:
            condition = column.in_(named)
            conditions.append(condition | column.is_(None) if None in set(wanted) else condition)
    return (
        sa.select(
            table.c.total_key,
            table.c.period,
            table.c.day,
            table.c.team_id,
            table.c.user_id,
            table.c.agent_id,
            table.c.resource_type,
            table.c.labels,
        )
        .where(*conditions)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )

"""From groups of usage totals back to the stored totals that each was summed of.

`origins` sums totals by a grouping; this finds them again by the same one.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from chargeback_worker.allocation.grouping import Grouping
from chargeback_worker.period import BillingRange, day_from_number, day_number
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import usage_total as table
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageTotal

_ROWS_AT_ONCE = 1_000
# More are not worth a condition, and a database takes only so many parameters.
_VALUES_MAX = 2_000

# First what a grouping never changes, then what it may; in the order of `Group`.
_OWNER = (table.c.period, table.c.team_id, table.c.user_id, table.c.resource_type)
_BY = (*_OWNER, table.c.day, table.c.agent_id, table.c.labels)


class Group(NamedTuple):
    """What totals were summed by; `period` is its number."""

    period: int
    team: str | None
    user: str | None
    resource_type: str
    day: date
    agent: str | None
    labels: tuple[str | None, ...]

    @classmethod
    def of(cls, group: UsageTotal) -> "Group":
        return cls(
            group.period.number,
            group.team,
            group.user,
            group.resource_type,
            group.day,
            group.agent,
            group.labels,
        )


def totals_of(
    transaction: Transaction,
    groups: Collection[Group],
    kept: Grouping,
    days: BillingRange,
    columns: Sequence[sa.ColumnElement[Any]],
) -> Iterator[tuple[Group, Sequence[Any]]]:
    """Every stored total of those days that was summed into one of the groups, in no order.

    A row has its own period, team, user, resource type, day, agent and labels, then `columns`.
    """
    wanted = set(groups)
    if not wanted:
        return
    # What a row was summed into is only worked out where its owner is one of theirs.
    width = len(_OWNER)
    owners = {group[:width] for group in wanted}
    day_of: Callable[[int, str | None, str | None], date] = cache(
        lambda day, team, user: kept.day(day_from_number(day), team, user)
    )
    nothing = (None,) * len(kept.labels)
    labels_of = cache(lambda text: kept.kept_labels(read_labels(text) or nothing))
    statement = sa.select(*_BY, *columns).where(*_of_owners(owners, days))
    for found in transaction.execute(statement.execution_options(yield_per=_ROWS_AT_ONCE)):
        row: Sequence[Any] = found
        if row[:width] not in owners:
            continue
        period, team, user, resource_type, day, agent, labels = row[: len(_BY)]
        of_day, of_agent = day_of(day, team, user), kept.agents.kept(agent)
        group = Group(period, team, user, resource_type, of_day, of_agent, labels_of(labels))
        if group in wanted:
            yield group, row


def _of_owners(
    owners: Collection[tuple[Any, ...]], days: BillingRange
) -> Iterator[sa.ColumnElement[bool]]:
    """Those days and owners; of a column with very many values others too."""
    yield table.c.day >= day_number(days.start)
    yield table.c.day < day_number(days.end)
    for place, column in enumerate(_OWNER):
        values = {owner[place] for owner in owners}
        named = sorted(value for value in values if value is not None)
        if len(named) <= _VALUES_MAX:
            is_named = column.in_(named)
            yield is_named | column.is_(None) if None in values else is_named

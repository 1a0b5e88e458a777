"""The usage totals that bear on a few teams or users, and what everybody is measured by there."""

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

import sqlalchemy as sa

from chargeback_worker.allocation.grouping import Grouping, measuring
from chargeback_worker.allocation.match import Claim, Condition
from chargeback_worker.allocation.reach import Reach, takes_labels
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import BillingRange, Period, day_number
from chargeback_worker.store import Transaction, origins
from chargeback_worker.store.dialects import Dialect
from chargeback_worker.store.tables import usage_total as table
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageTotal


class Reached(NamedTuple):
    """Totals, summed by a grouping; `measured_by` is all usage of the days, where weights derive
    from more than those totals."""

    totals: list[UsageTotal]
    measured_by: list[UsageTotal] | None


def teams_of(transaction: Transaction, user: str, days: BillingRange) -> list[str]:
    """The teams that usage of a user on those days names."""
    rows = transaction.execute(
        sa.select(table.c.team_id)
        .where(table.c.user_id == user, table.c.team_id.is_not(None), *_on(days))
        .distinct()
    )
    return sorted(row.team_id for row in rows)


def read(
    transaction: Transaction,
    days: BillingRange,
    kept: Grouping,
    snapshot: Snapshot,
    reach: Reach,
    periods: Iterable[Period] | None = None,
) -> Reached:
    """What reaches somebody of the usage of those days; of what those periods bill, or of all."""
    counted = [] if periods is None else [origins.billed_in(periods)]
    wanted = _wanted(transaction, days, snapshot.labels, reach)
    totals = origins.of_days(transaction, days, kept, *counted, *wanted)
    if reach.measured is None:
        return Reached(totals, None)
    summed = measuring(snapshot, days, reach.measured)
    return Reached(totals, origins.of_days(transaction, days, summed, *counted))


def _wanted(
    transaction: Transaction, days: BillingRange, names: Sequence[str], reach: Reach
) -> Iterator[sa.ColumnElement[bool]]:
    if not reach.everything:
        by_labels = any(claim.labels for claim in reach.claims)
        texts = _label_texts(transaction, days) if by_labels else []
        met = (_met(transaction.dialect, claim, names, texts) for claim in reach.claims)
        yield reduce(or_, met, sa.false())


def _met(
    dialect: Dialect, claim: Claim, names: Sequence[str], texts: Iterable[str | None]
) -> sa.ColumnElement[bool]:
    fields = [
        (table.c.team_id, claim.teams),
        (table.c.user_id, claim.users),
        (table.c.agent_id, claim.agents),
        (table.c.resource_type, claim.resource_types),
    ]
    if claim.labels:
        # Labels are stored as one text, and few of these are different.
        nothing = (None,) * len(names)
        taken = (t for t in texts if takes_labels(claim, names, read_labels(t) or nothing))
        fields.append((table.c.labels, Condition.one_of(taken)))
    return sa.and_(sa.true(), *(_in(dialect, *field) for field in fields if not field[1].takes_all))


def _in(
    dialect: Dialect, column: sa.ColumnElement[str], condition: Condition
) -> sa.ColumnElement[bool]:
    if condition.values is None:
        return column.is_not(None)
    named = [value for value in condition.values if value is not None]
    found = dialect.among(column, named) if named else sa.false()
    return found | column.is_(None) if None in condition.values else found


def _label_texts(transaction: Transaction, days: BillingRange) -> list[str | None]:
    rows = transaction.execute(sa.select(table.c.labels).where(*_on(days)).distinct())
    return [row.labels for row in rows]


def _on(days: BillingRange) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return (table.c.day >= day_number(days.start), table.c.day < day_number(days.end))

"""Usage records one by one: that of an event, and pages of those of some days."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from chargeback_worker.period import BillingRange, Period, day_number
from chargeback_worker.store import Transaction
from chargeback_worker.store.rows import read_amount
from chargeback_worker.store.tables import usage_key, usage_record, usage_total
from chargeback_worker.usage.event import UsageEvent
from chargeback_worker.usage.total import total_key

_record = usage_record.c
_PLACE = (_record.day, _record.total_key, _record.time_us, _record.identity)


class RecordAt(NamedTuple):
    """Where a record stands in the order of pages: a day, a total, an instant, an identity."""

    day: int
    total_key: bytes
    time_us: int
    identity: bytes


class WholeRecord(NamedTuple):
    """A usage record with all that is kept of it; `metadata` is JSON text."""

    place: RecordAt
    source: str
    usage_id: str
    team: str | None
    user: str | None
    agent: str | None
    resource_type: str
    resource_id: str | None
    quantity: int
    cost: int
    metadata: str | None
    period: Period

    @property
    def late(self) -> bool:
        return self.place.day // 100 != self.period.number


def billed_in(transaction: Transaction, identity: bytes) -> Period | None:
    """The period that bills the event of that identity; None where it was never stored."""
    number = transaction.execute(
        sa.select(usage_key.c.period).where(usage_key.c.identity == identity)
    ).scalar()
    return None if number is None else Period.from_number(number)


def find(
    transaction: Transaction, event: UsageEvent, period: Period, days: Iterator[int]
) -> WholeRecord | None:
    """The record of an event that says the same as this one, on one of those days.

    Records are found by day and total: an event that said no time has the day of its receipt.
    """
    for day in days:
        key = total_key(
            period.number,
            day,
            event.team,
            event.user,
            event.agent,
            event.resource_type,
            event.labels,
        )
        row = transaction.execute(
            sa.select(usage_record).where(
                _record.day == day, _record.total_key == key, _record.identity == event.identity
            )
        ).one_or_none()
        if row is not None:
            return _read(row)
    return None


def listed(
    transaction: Transaction,
    days: BillingRange,
    *,
    team: str | None = None,
    user: str | None = None,
    limit: int,
    after: RecordAt | None = None,
) -> list[WholeRecord]:
    """The newest day first, and within a day by total; `after` is the last one's place before.

    `team` and `user` select; an empty text selects what has none.
    """
    statement = (
        sa.select(usage_record)
        .where(_record.day >= day_number(days.start), _record.day < day_number(days.end))
        .order_by(*(column.desc() for column in _PLACE))
        .limit(limit)
    )
    wanted = [
        column == value if value else column.is_(None)
        for column, value in ((usage_total.c.team_id, team), (usage_total.c.user_id, user))
        if value is not None
    ]
    if wanted:
        # A total has them too, and there are far fewer of those.
        in_total = (usage_total.c.day == _record.day) & (
            usage_total.c.total_key == _record.total_key
        )
        statement = statement.join(usage_total, in_total).where(*wanted)
    if after is not None:
        statement = statement.where(_comes_after(after))
    return [_read(row) for row in transaction.execute(statement)]


def _comes_after(place: RecordAt) -> sa.ColumnElement[bool]:
    """Written out, as a row's comparison would not use the types of the columns."""
    later: sa.ColumnElement[bool] = sa.false()
    for column, value in reversed(list(zip(_PLACE, place, strict=True))):
        later = (column < value) | ((column == value) & later)
    # What the index can be asked for alone.
    return (_record.day <= place.day) & later


def _read(row: sa.Row[Any]) -> WholeRecord:
    return WholeRecord(
        RecordAt(row.day, row.total_key, row.time_us, row.identity),
        row.source,
        row.usage_id,
        row.team_id,
        row.user_id,
        row.agent_id,
        row.resource_type,
        row.resource_id,
        read_amount(row, "quantity"),
        row.cost_nano,
        row.metadata,
        Period.from_number(row.period),
    )

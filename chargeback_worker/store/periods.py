"""Billing periods and their states; who is closing one, and until when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from chargeback_worker.period import BillingRange, Period, to_us
from chargeback_worker.store import Transaction, cursors
from chargeback_worker.store.tables import billing_period as table
from chargeback_worker.store.tables import period_watermark as watermark

# Made once: each transaction of ingest asks.
_STATES_FROM = sa.select(table.c.period, table.c.state).where(
    table.c.period >= sa.bindparam("first")
)
# No month has this number: whoever starts to close any period holds it.
_ANY_PERIOD = 0


class PeriodState(StrEnum):
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    REOPENED = "reopened"

    @property
    def takes_usage(self) -> bool:
        return self in (PeriodState.OPEN, PeriodState.REOPENED)


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """`revision` is the close last done, or to be done next: 1, then one more per reopening."""

    period: Period
    starts_us: int
    ends_us: int
    state: PeriodState
    revision: int
    state_before: PeriodState | None
    lease_owner: str | None
    lease_until_us: int | None
    due_seen_us: int | None
    closed_us: int | None
    failures: int
    failure: str | None
    retry_us: int | None

    @property
    def version(self) -> str:
        """It changes whenever the period opens, begins to close, or closes."""
        return version_of(self.state, self.revision)


def version_of(state: str, revision: int) -> str:
    """What tells two standings of a period apart."""
    return f"{state}-{revision}"


@dataclass(frozen=True, slots=True)
class Lagging:
    """A partition that is read up to `position` and has to be read up to `end`."""

    topic: str
    partition: int
    position: int
    end: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition} at {self.position} of {self.end}"


def states_from(transaction: Transaction, first: int) -> dict[int, PeriodState]:
    """The states of all known periods from `first` on. A period without a row is open."""
    rows = transaction.execute(_STATES_FROM, {"first": first})
    return {row.period: PeriodState(row.state) for row in rows}


def make(transaction: Transaction, periods: Iterable[Period], zone: ZoneInfo) -> None:
    """Rows, open, for those periods that have none. Their boundaries are computed here, once."""
    rows = []
    for period in sorted(periods):
        starts, ends = period.bounds(zone)
        rows.append({"period": period.number, "starts_us": to_us(starts), "ends_us": to_us(ends)})
    if rows:
        transaction.execute(
            sa.text(
                "INSERT INTO billing_period (period, starts_us, ends_us, state, revision)"
                " VALUES (:period, :starts_us, :ends_us, 'open', 1)"
                " ON CONFLICT (period) DO NOTHING"
            ),
            rows,
        )


def not_made_yet(period: Period, zone: ZoneInfo) -> PeriodRow:
    """What `make` would store of a period."""
    starts, ends = period.bounds(zone)
    nothing = (None,) * 5
    return PeriodRow(
        period, to_us(starts), to_us(ends), PeriodState.OPEN, 1, *nothing, 0, None, None
    )


def find(transaction: Transaction, period: Period) -> PeriodRow | None:
    row = transaction.execute(sa.select(table).where(table.c.period == period.number)).one_or_none()
    return _period(row) if row else None


def standing(transaction: Transaction, period: Period, zone: ZoneInfo) -> PeriodRow:
    """The row of a period, or what it would be; nothing is written."""
    return find(transaction, period) or not_made_yet(period, zone)


def find_or_make(transaction: Transaction, period: Period, zone: ZoneInfo) -> PeriodRow:
    """The row of a period, open if it had none."""
    row = find(transaction, period)
    if row is None:
        # Only then: an insert waits for whoever is changing the row, however it would end.
        make(transaction, [period], zone)
        row = find(transaction, period)
    assert row is not None
    return row


def listed(transaction: Transaction) -> Sequence[PeriodRow]:
    """All periods with a row, oldest first."""
    return [_period(row) for row in transaction.execute(sa.select(table).order_by("period"))]


def booked(transaction: Transaction) -> list[PeriodRow]:
    """The periods that a close has booked, those reopened since among them."""
    states = (PeriodState.CLOSED, PeriodState.REOPENED)
    return [row for row in listed(transaction) if row.state in states]


def hold_off_closing(transaction: Transaction) -> None:
    """Let nobody else start to close any period until this transaction ends."""
    transaction.dialect.own_period(transaction.connection, _ANY_PERIOD)


def closed_days(transaction: Transaction) -> tuple[BillingRange, ...]:
    """The days of all months that are closed, months in a row as one range.

    It waits for a close that is being finished, and holds off those that have begun, so that what
    is decided by it and the close agree on which of them came first.
    """
    rows = transaction.execute(
        sa.select(table.c.period, table.c.state).order_by(table.c.period).with_for_update(read=True)
    )
    found: list[BillingRange] = []
    for row in rows:
        if row.state != PeriodState.CLOSED.value:
            continue
        days = Period.from_number(row.period).days()
        if found and found[-1].end == days.start:
            days = BillingRange(found.pop().start, days.end)
        found.append(days)
    return tuple(found)


def is_being_closed(transaction: Transaction, period: Period) -> bool:
    """Whether a running transaction is closing it at this moment, whatever its lease says."""
    row = sa.select(table.c.period).where(table.c.period == period.number)
    return transaction.execute(row.with_for_update(skip_locked=True)).one_or_none() is None


def start_closing(transaction: Transaction, row: PeriodRow, owner: str, until_us: int) -> bool:
    """Set `closing` with a lease, if the period still is as `row` says."""
    changed = transaction.execute(
        sa.update(table)
        .where(
            table.c.period == row.period.number,
            table.c.state == row.state.value,
            table.c.lease_owner.is_not_distinct_from(row.lease_owner),
            table.c.lease_until_us.is_not_distinct_from(row.lease_until_us),
        )
        .values(
            state=PeriodState.CLOSING.value,
            state_before=(row.state_before or row.state).value,
            lease_owner=owner,
            lease_until_us=until_us,
        )
    )
    return changed.rowcount == 1


def extend_lease(transaction: Transaction, period: Period, owner: str, until_us: int) -> bool:
    """Whether the lease was still `owner`'s and now lasts longer."""
    return _mine(transaction, period, owner, {"lease_until_us": until_us})


def set_closed(transaction: Transaction, period: Period, owner: str, now_us: int) -> bool:
    """Set `closed` if the lease is still `owner`'s; False where another closer has taken over."""
    return _mine(
        transaction,
        period,
        owner,
        {
            "state": PeriodState.CLOSED.value,
            "state_before": None,
            "lease_owner": None,
            "lease_until_us": None,
            "closed_us": now_us,
            "failures": 0,
            "failure": None,
            "retry_us": None,
        },
    )


def give_up_closing(
    transaction: Transaction, period: Period, owner: str, *, fault: str, retry_us: int
) -> bool:
    """Put the period back to what it was before, noting why, if the lease is still `owner`'s.

    It is not tried again by itself before `retry_us`, on the database's clock.
    """
    return _mine(
        transaction,
        period,
        owner,
        {
            "state": table.c.state_before,
            "state_before": None,
            "lease_owner": None,
            "lease_until_us": None,
            "failures": table.c.failures + 1,
            "failure": fault,
            "retry_us": retry_us,
        },
    )


def reopen(transaction: Transaction, period: Period) -> bool:
    """Let a closed period take usage again, for its next revision; False if it is not closed."""
    changed = transaction.execute(
        sa.update(table)
        .where(table.c.period == period.number, table.c.state == PeriodState.CLOSED.value)
        .values(state=PeriodState.REOPENED.value, revision=table.c.revision + 1, due_seen_us=None)
    )
    if changed.rowcount:
        # How far ingest must have come is seen anew when it is closed again.
        transaction.execute(sa.delete(watermark).where(watermark.c.period == period.number))
    return changed.rowcount == 1


def _mine(transaction: Transaction, period: Period, owner: str, values: dict[str, Any]) -> bool:
    statement = sa.update(table).where(
        table.c.period == period.number,
        table.c.state == PeriodState.CLOSING.value,
        table.c.lease_owner == owner,
    )
    return transaction.execute(statement.values(values)).rowcount == 1


def note_due(
    transaction: Transaction, period: Period, now_us: int, ends: Mapping[tuple[str, int], int]
) -> None:
    """Store when a period was seen due, and the end of each partition at that moment."""
    transaction.execute(
        sa.update(table).where(table.c.period == period.number).values(due_seen_us=now_us)
    )
    transaction.execute(sa.delete(watermark).where(watermark.c.period == period.number))
    rows = [
        {"period": period.number, "topic": topic, "partition": partition, "end_offset": end}
        for (topic, partition), end in ends.items()
    ]
    if rows:
        transaction.execute(sa.insert(watermark), rows)


def watermarks(transaction: Transaction, period: Period) -> dict[tuple[str, int], int]:
    """The end of each partition when the period was first seen due."""
    rows = transaction.execute(sa.select(watermark).where(watermark.c.period == period.number))
    return {(row.topic, row.partition): row.end_offset for row in rows}


def not_reached(transaction: Transaction, period: Period) -> list[Lagging]:
    """The partitions that ingest has yet to read up to where they ended when it was seen due."""
    reached = {
        (cursor.name, cursor.partition): cursor.next_position
        for cursor in cursors.listed(transaction, cursors.Door.TOPIC)
        if not cursor.retired
    }
    return [
        Lagging(topic, partition, reached.get((topic, partition), 0), end)
        for (topic, partition), end in sorted(watermarks(transaction, period).items())
        if reached.get((topic, partition), 0) < end
    ]


def _period(row: sa.Row[Any]) -> PeriodRow:
    return PeriodRow(
        Period.from_number(row.period),
        row.starts_us,
        row.ends_us,
        PeriodState(row.state),
        row.revision,
        PeriodState(row.state_before) if row.state_before else None,
        row.lease_owner,
        row.lease_until_us,
        row.due_seen_us,
        row.closed_us,
        row.failures,
        row.failure,
        row.retry_us,
    )

"""Which period is to be closed now, or what the next one waits for.

Asked again and again; what is stored answers, so that a clock that was asleep, or asked twice,
changes nothing, and months that were missed are caught up in order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from chargeback_worker.period import Period, format_us
from chargeback_worker.store import Store, Transaction, installation, periods
from chargeback_worker.store.periods import PeriodRow, PeriodState

Ends = Mapping[tuple[str, int], int]
"""The end offset of each (topic, partition)."""

_MICROSECOND = timedelta(microseconds=1)


class Cause(StrEnum):
    """What a period that would be due waits for."""

    CLOSING = "closing"
    REOPENED = "reopened"
    INGEST = "ingest"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Due:
    """Close this one; then ask again."""

    period: Period


@dataclass(frozen=True, slots=True)
class Waiting:
    """Its time has come, and something is in the way; `detail` is a sentence for people."""

    period: Period
    cause: Cause
    detail: str


def due(
    store: Store, now_us: int, close_delay: timedelta, ends: Callable[[], Ends]
) -> Due | Waiting | None:
    """The period to close now, what the next one waits for, or None while it is not over for long.

    `ends` asks the broker; it is called, outside of any transaction, when a period is first seen
    due: ingest must come as far as that. The store must have had its first start.
    """
    delay_us = close_delay // _MICROSECOND
    with store.read() as transaction:
        found = _next(transaction, now_us, delay_us)
    if not isinstance(found, PeriodRow):
        return found
    if _unseen(found, delay_us):
        _note(store, found.period, ends(), now_us)
    with store.read() as transaction:
        lagging = periods.not_reached(transaction, found.period)
    if lagging:
        detail = f"usage is still being read: {', '.join(map(str, lagging))}"
        return Waiting(found.period, Cause.INGEST, detail)
    return Due(found.period)


def note_ends(store: Store, period: Period, ends: Callable[[], Ends], now_us: int) -> None:
    """Before a close by hand: note how far ingest must come, unless it was since the period ended.

    Asking a second time so finds that ingest has come as far as it was to at the first.
    """
    with store.read() as transaction:
        row = periods.standing(transaction, period, _zone(transaction))
    if now_us >= row.ends_us and (row.due_seen_us is None or row.due_seen_us < row.ends_us):
        _note(store, period, ends(), now_us)


def _note(store: Store, period: Period, ends: Ends, now_us: int) -> None:
    with store.begin() as transaction:
        periods.find_or_make(transaction, period, _zone(transaction))
        periods.note_due(transaction, period, now_us, ends)


def _next(transaction: Transaction, now_us: int, delay_us: int) -> PeriodRow | Due | Waiting | None:
    """The row of the period that is due but for ingest, or the answer."""
    known = periods.listed(transaction)
    stored_now_us = transaction.now_us()
    for row in known:
        if row.state is PeriodState.CLOSING:
            return _closing(row, stored_now_us)
    period = installation.first_period(transaction)
    closed = {row.period for row in known if row.state is PeriodState.CLOSED}
    while period in closed:
        period = period.next()
    row = periods.standing(transaction, period, _zone(transaction))
    if now_us < row.ends_us + delay_us:
        return None
    for other in known:
        if other.state is PeriodState.REOPENED and other.period <= period:
            detail = f"{other.period} is reopened; it is closed again by command only"
            return Waiting(period, Cause.REOPENED, detail)
    if row.retry_us is not None and stored_now_us < row.retry_us:
        detail = (
            f"closing it failed {row.failures} times; tried again after"
            f" {format_us(row.retry_us)}: {row.failure}"
        )
        return Waiting(period, Cause.RETRY, detail)
    return row


def _closing(row: PeriodRow, now_us: int) -> Due | Waiting:
    """One whose closer was killed is finished first, whatever month it is."""
    until_us = row.lease_until_us or 0
    if until_us <= now_us:
        return Due(row.period)
    detail = f"{row.lease_owner} is closing it, until {format_us(until_us)}"
    return Waiting(row.period, Cause.CLOSING, detail)


def _unseen(row: PeriodRow, delay_us: int) -> bool:
    # What a close by hand noted before the period was due is too little now.
    return row.due_seen_us is None or row.due_seen_us < row.ends_us + delay_us


def _zone(transaction: Transaction) -> ZoneInfo:
    grain = installation.read_grain(transaction)
    assert grain is not None, "the grain is stored at the first start"
    return grain.zone()

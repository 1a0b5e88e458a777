"""Whether a period may be closed now, and the refusals when it may not."""

from collections.abc import Sequence

from chargeback_worker.errors import Conflict
from chargeback_worker.period import Period, format_us
from chargeback_worker.store import Transaction, origins, periods
from chargeback_worker.store.periods import Lagging, PeriodRow, PeriodState


class PeriodNotOver(Conflict):
    def __init__(self, row: PeriodRow) -> None:
        super().__init__(
            f"{row.period} is not over before {format_us(row.ends_us)}.",
            f"See what it would book: chargeback close {row.period} --dry-run",
        )


class PeriodIsClosed(Conflict):
    def __init__(self, period: Period) -> None:
        super().__init__(
            f"{period} is closed.", f"See its invoices: chargeback invoices list --period {period}"
        )


class CloseInProgress(Conflict):
    """Two periods are never closed at once: both could settle the same earlier month."""

    def __init__(self, row: PeriodRow) -> None:
        until = "" if row.lease_until_us is None else f", until {format_us(row.lease_until_us)}"
        super().__init__(
            f"{row.period} is being closed by {row.lease_owner or 'another closer'}{until}.",
            f"If that one was killed, after this time: chargeback close {row.period}",
        )


class EarlierReopened(Conflict):
    def __init__(self, period: Period, reopened: Period) -> None:
        super().__init__(
            f"{period} cannot be closed while {reopened} is reopened.",
            f"First: chargeback close {reopened}",
        )


class EarlierNotClosed(Conflict):
    """Late usage is settled by its own month's snapshot, which there is only once it is closed."""

    def __init__(self, period: Period, origin: Period) -> None:
        super().__init__(
            f"{period} bills late usage of {origin}, which is not closed yet.",
            f"First: chargeback close {origin}",
        )


class IngestBehind(Conflict):
    def __init__(self, period: Period, lagging: Sequence[Lagging]) -> None:
        super().__init__(
            f"Usage that came before {period} was due is not stored yet:"
            f" {', '.join(map(str, lagging))}.",
            "Wait for it (chargeback offsets show), or close with --force --reason TEXT; what comes"
            " later is then billed in the next period.",
        )


class LeaseLost(Conflict):
    def __init__(self, period: Period) -> None:
        super().__init__(
            f"Another closer has taken {period} over; nothing was written here.",
            "See: chargeback periods",
        )


def check_may_close(transaction: Transaction, row: PeriodRow, now_us: int, *, forced: bool) -> None:
    """Raises the refusal that applies; `row` is open or reopened and held by the caller."""
    if now_us < row.ends_us:
        raise PeriodNotOver(row)
    for other in periods.listed(transaction):
        if other.state is PeriodState.CLOSING:
            raise CloseInProgress(other)
        if other.period >= row.period:
            continue
        if other.state is PeriodState.REOPENED:
            raise EarlierReopened(row.period, other.period)
        # Usage passes an open period by while a close of it is tried that then fails.
        if other.state is PeriodState.OPEN and origins.has_late(
            transaction, row.period, other.period
        ):
            raise EarlierNotClosed(row.period, other.period)
    if not forced and (lagging := periods.not_reached(transaction, row.period)):
        raise IngestBehind(row.period, lagging)

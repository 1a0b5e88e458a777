"""The months: their states, what each waits for, and where the money of each close went."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from chargeback_worker.errors import NotFound
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import Period, format_us
from chargeback_worker.reports.pages import cut
from chargeback_worker.store import (
    Store,
    Transaction,
    closes,
    holds,
    installation,
    invoices,
    origins,
    outbox,
    periods,
    totals,
)
from chargeback_worker.store.closes import Close
from chargeback_worker.store.periods import PeriodRow, PeriodState

_MICROSECOND = timedelta(microseconds=1)
_RESUME = "chargeback db resume, as these books are older than their topics"


class PeriodUnknown(NotFound):
    """A month without usage, and never closed."""

    def __init__(self, period: Period) -> None:
        super().__init__(
            f"{period} has no usage and was never closed.", "See which have: chargeback periods"
        )


@dataclass(frozen=True, slots=True)
class PeriodStanding:
    """One month. Sums are over its revisions, in nano-dollars; `used` is all that it bills.

    Of what was booked, `invoiced` is on live invoices and `unallocated` was borne by nobody, in
    whole cents; `uninvoiced` is what was on invoices that are cancelled and not replaced.
    `awaiting` counts drafts to be approved; `unpublished` and `parked` messages of its closes.
    `waits_for` are sentences.
    """

    row: PeriodRow
    due_us: int
    waits_for: tuple[str, ...]
    used: int
    booked: int
    invoiced: int
    uninvoiced: int
    unallocated: int
    invoices: int
    awaiting: int
    late_records: int
    unpublished: int
    parked: int


class _Place(msgspec.Struct, frozen=True):
    """Where a month stands, the newest first."""

    number: int

    @property
    def sort_key(self) -> int:
        return -self.number


def list_periods(
    store: Store,
    *,
    now_us: int,
    close_delay: timedelta,
    limit: int | None = None,
    cursor: str | None = None,
) -> Document:
    """All months that have usage or were closed, newest first; with a limit a page of them, with
    its `next_cursor`. Raises UnknownPlace."""
    standings = period_standings(store, now_us=now_us, close_delay=close_delay)
    more: Document = {"next_cursor": None}
    if limit is not None:
        standings, more["next_cursor"] = cut(standings, _place, _Place, limit=limit, cursor=cursor)
    return {"periods": [_document(standing) for standing in standings], **more}


def _place(standing: PeriodStanding) -> _Place:
    return _Place(standing.row.period.number)


def show_period(store: Store, period: Period, *, now_us: int, close_delay: timedelta) -> Document:
    """One of them. Raises PeriodUnknown."""
    for standing in period_standings(store, now_us=now_us, close_delay=close_delay):
        if standing.row.period == period:
            return {"period": _document(standing)}
    raise PeriodUnknown(period)


def close_document(close: Close, *, closed_before: bool) -> Document:
    """What a close booked and issued; `closed_before` says that it was there already."""
    return {
        "period": str(close.period),
        "revision": close.revision,
        "booked_usd": Amount(close.booked),
        "subtotal_usd": Amount(close.invoiced),
        "unallocated_usd": Amount(close.unallocated),
        "invoices": close.invoices,
        "closed_at": format_us(close.closed_us),
        "actor": close.actor,
        "forced": close.forced,
        "reason": close.reason,
        "closed_before": closed_before,
        "dry_run": False,
    }


def period_standings(
    store: Store, *, now_us: int, close_delay: timedelta
) -> Sequence[PeriodStanding]:
    """The same as values."""
    with store.read() as transaction:
        facts = _Facts(
            now_us,
            close_delay // _MICROSECOND,
            installation.first_period(transaction),
            {row.period: row for row in periods.listed(transaction)},
            closes.listed(transaction),
            totals.cost_by_period(transaction),
            invoices.live_subtotals(transaction),
            invoices.awaiting(transaction),
            origins.late_records(transaction),
            outbox.unpublished(transaction),
            holds.find(transaction) is not None,
        )
        return [_standing(transaction, row, facts) for row in reversed(facts.known.values())]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is read once for all months; `messages` are those unpublished and those parked."""

    now_us: int
    delay_us: int
    first: Period
    known: dict[Period, PeriodRow]
    closes: Sequence[Close]
    used: Mapping[Period, int]
    live: Mapping[tuple[Period, int], int]
    awaiting: Mapping[Period, int]
    late_records: Mapping[Period, int]
    messages: Mapping[tuple[Period, int], tuple[int, int]]
    held: bool

    def unpublished(self, period: Period) -> tuple[int, int]:
        found = [counts for (of, _), counts in self.messages.items() if of == period]
        return sum(waiting for waiting, _ in found), sum(parked for _, parked in found)


def _standing(transaction: Transaction, row: PeriodRow, facts: _Facts) -> PeriodStanding:
    done = [close for close in facts.closes if close.period == row.period]
    live = sum(subtotal for (of, _), subtotal in facts.live.items() if of == row.period)
    unpublished, parked = facts.unpublished(row.period)
    return PeriodStanding(
        row=row,
        due_us=row.ends_us + facts.delay_us,
        waits_for=tuple(_waits_for(transaction, row, facts)),
        used=facts.used.get(row.period, 0),
        booked=sum(close.booked for close in done),
        invoiced=live,
        uninvoiced=sum(close.invoiced for close in done) - live,
        unallocated=sum(close.unallocated for close in done),
        invoices=sum(close.invoices for close in done),
        awaiting=facts.awaiting.get(row.period, 0),
        late_records=facts.late_records.get(row.period, 0),
        unpublished=unpublished,
        parked=parked,
    )


def _waits_for(transaction: Transaction, row: PeriodRow, facts: _Facts) -> Iterator[str]:
    match row.state:
        case PeriodState.CLOSED:
            if drafts := facts.awaiting.get(row.period, 0):
                yield f"approval of {'1 draft' if drafts == 1 else f'{drafts} drafts'}"
            unpublished, parked = facts.unpublished(row.period)
            if unpublished and facts.held:
                yield _RESUME
            yield from _waits_for_publishing(unpublished, parked)
        case PeriodState.CLOSING:
            until = "" if row.lease_until_us is None else f" until {format_us(row.lease_until_us)}"
            yield f"{row.lease_owner}, who is closing it{until}"
        case _:
            yield from _waits_for_close(transaction, row, facts)


def _waits_for_publishing(unpublished: int, parked: int) -> Iterator[str]:
    if parked:
        refused = f"{_messages(parked)} that the broker refuses (chargeback outbox list --parked)"
        yield f"{refused}, so that its end is not announced"
    if unpublished > parked:
        yield f"{_messages(unpublished - parked)} to be published"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _waits_for_close(transaction: Transaction, row: PeriodRow, facts: _Facts) -> Iterator[str]:
    period, due_us = row.period, row.ends_us + facts.delay_us
    if facts.now_us < row.ends_us:
        yield f"its end, {format_us(row.ends_us)}"
        return
    if facts.held:
        yield _RESUME
    if row.state is PeriodState.REOPENED:
        yield f"chargeback close {period}, as it is reopened"
    elif period < facts.first:
        yield f"chargeback close {period}, as it is before billing.first_period {facts.first}"
    elif facts.now_us < due_us:
        yield f"late events, until {format_us(due_us)} (billing.close_delay)"
    for earlier in _not_closed_before(period, facts):
        yield f"{earlier}, which is not closed"
    for lagging in periods.not_reached(transaction, period):
        yield f"ingest, {lagging}"
    if row.failure is not None:
        yield f"another try after {row.failures} that failed: {row.failure}"


def _not_closed_before(period: Period, facts: _Facts) -> Iterator[Period]:
    """The months that are to be closed first: from the first one on, and any that is reopened."""
    for known in facts.known.values():
        if known.period < min(period, facts.first) and known.state is PeriodState.REOPENED:
            yield known.period
    earlier = facts.first
    while earlier < period:
        found = facts.known.get(earlier)
        if found is None or found.state is not PeriodState.CLOSED:
            yield earlier
        earlier = earlier.next()


def _document(standing: PeriodStanding) -> Document:
    row = standing.row
    return {
        "period": str(row.period),
        "state": row.state.value,
        "revision": row.revision,
        "starts_at": format_us(row.starts_us),
        "ends_at": format_us(row.ends_us),
        "due_at": format_us(standing.due_us),
        "closed_at": None if row.closed_us is None else format_us(row.closed_us),
        "waits_for": standing.waits_for,
        "usage_cost_usd": Amount(standing.used),
        "booked_usd": Amount(standing.booked),
        "invoiced_usd": Amount(standing.invoiced),
        "uninvoiced_usd": Amount(standing.uninvoiced),
        "unallocated_usd": Amount(standing.unallocated),
        "invoices": standing.invoices,
        "awaiting_approval": standing.awaiting,
        "late_records": standing.late_records,
        "unpublished_messages": standing.unpublished,
        "parked_messages": standing.parked,
        "failures": row.failures,
        "failure": row.failure,
    }

"""What a close books and issues: read, settled, built, and checked against what was used."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.grouping import grouping
from chargeback_worker.allocation.pair import BillTo
from chargeback_worker.allocation.snapshot import Approval, Snapshot
from chargeback_worker.errors import Conflict
from chargeback_worker.invoicing.build import Books, Closing, build
from chargeback_worker.invoicing.settle import Owed, settle
from chargeback_worker.money import NANO, nano_from_text, plain
from chargeback_worker.period import Period, billing_day, from_us
from chargeback_worker.pipeline.closing.may_close import EarlierNotClosed
from chargeback_worker.settings import Settings
from chargeback_worker.store import (
    Transaction,
    bookings,
    drafts,
    invoices,
    origins,
    periods,
    snapshots,
)
from chargeback_worker.store.closes import Close
from chargeback_worker.store.originals import originals
from chargeback_worker.store.periods import PeriodRow, PeriodState
from chargeback_worker.usage.event import Grain

SETTLING_IDLE_S = 1_800
"""What a transaction that settles may wait between two statements: a large month is settled for
minutes in which the database is asked nothing."""


class NotConserved(Conflict):
    """What a close would book is not what was used. This must not happen: nothing is written."""

    def __init__(self, what: str, booked: int, expected: int) -> None:
        super().__init__(
            f"{what} is {plain(booked)} USD, but {plain(expected)} USD is right.",
            "Nothing was booked. See what differs: chargeback verify",
        )


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a close books, in the order of lines, and the invoices it issues. `allocation_s` is how
    long it took to read what was used and to decide who bears it."""

    revision: int
    owed: tuple[Owed, ...]
    closing: Closing
    books: Books
    allocation_s: float


def terms_of(settings: Settings) -> Snapshot:
    """The settings that a close decides by."""
    grain, billing = settings.grain, settings.billing
    return Snapshot(
        timezone=billing.timezone,
        labels=Grain(billing.timezone, tuple(grain.labels)).labels,
        bill_to=BillTo(billing.bill_to),
        tax_rate_nano=nano_from_text(format(billing.tax_rate, "f"), limit=NANO),
        due_days=billing.due_days,
        approval=Approval(billing.approval),
    )


@contextmanager
def _collector_off() -> Iterator[None]:
    """Millions of values are made here and none is in a cycle; to look for cycles among them, again
    and again while they grow, takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_collector_off()
def compute(
    transaction: Transaction,
    row: PeriodRow,
    snapshot: Snapshot,
    *,
    now_us: int,
    first_number: int | None,
    final: bool = True,
) -> Settlement:
    """Settle the period and every earlier month that has late usage in it, each by its own
    snapshot, and build the invoices: drafts where there is no first number to give out.

    `final` says that what they bill is booked with them.
    """
    period, at = row.period, from_us(now_us)
    began_s = time.perf_counter()
    used = _used(transaction, period, snapshot)
    owed = [
        owing for origin, by in used.items() for owing in _settled(transaction, period, origin, by)
    ]
    allocation_s = time.perf_counter() - began_s
    others = used.keys() - {period}
    revisions = {
        of.period: of.revision for of in periods.booked(transaction) if of.period in others
    }
    closing = Closing(
        period=period,
        revision=row.revision,
        snapshots=used,
        originals=originals(transaction, revisions, owed),
        at=at,
        on=billing_day(at, ZoneInfo(snapshot.timezone)),
        first_number=first_number,
        final=final,
        earlier=invoices.earlier(transaction, period, row.revision),
        drafted=drafts.drafted(transaction, period, row.revision),
    )
    return Settlement(row.revision, tuple(owed), closing, build(owed, closing), allocation_s)


def _used(transaction: Transaction, period: Period, snapshot: Snapshot) -> dict[Period, Snapshot]:
    """The months that a close settles, its own first, each with what it is settled by."""
    used = {period: snapshot}
    for origin in origins.late_in(transaction, period):
        own = snapshots.latest(transaction, origin)
        if own is None:
            raise EarlierNotClosed(period, origin)
        used[origin] = own
    return used


def _settled(
    transaction: Transaction, period: Period, origin: Period, snapshot: Snapshot
) -> list[Owed]:
    kept = grouping(snapshot, origin.days())
    counting = _counting(transaction, period, origin)
    totals = origins.counted(transaction, origin, counting, kept)
    before = bookings.of_origin(transaction, origin, counting)
    return settle(totals, snapshot, before, origin=origin, closing=period)


def _counting(transaction: Transaction, period: Period, origin: Period) -> list[Period]:
    """The billing periods whose usage of a month the close of a period settles: those closed or
    reopened, and itself.

    A reopened month that has taken usage of it since its last close is left out, with what it
    booked: its own next close settles that.
    """
    counting = [period]
    for other in periods.booked(transaction):
        if other.period == period:
            continue
        if other.state is PeriodState.CLOSED or _all_booked(transaction, origin, other.period):
            counting.append(other.period)
    return counting


def _all_booked(transaction: Transaction, origin: Period, billed_in: Period) -> bool:
    booked = bookings.cost_for(transaction, origin, [billed_in])
    return booked == origins.cost_for(transaction, origin, [billed_in])


def check_conserved(transaction: Transaction, done: Close, settled: set[Period]) -> None:
    """Read back what was written: each cost is booked once, and each cent billed once."""
    period = done.period
    booked, used = bookings.cost_in(transaction, period), origins.cost_in(transaction, period)
    if booked != used:
        raise NotConserved(f"What is booked in {period}", booked, used)
    for origin in sorted(settled):
        counting = _counting(transaction, period, origin)
        booked = bookings.cost_for(transaction, origin, counting)
        used = origins.cost_for(transaction, origin, counting)
        if booked != used:
            raise NotConserved(f"What is booked for {origin}", booked, used)
    live = invoices.live_subtotals(transaction, period).get((period, done.revision), 0)
    if live != done.invoiced:
        raise NotConserved(f"What is invoiced for {period}", live, done.invoiced)

"""Closing a billing period: settle what it owes, book it, and issue all its invoices together.

Two transactions. The first sets `closing`, with a lease on the database's clock, and is short, as
ingest waits for it. The second does everything else and sets `closed`, if the lease still is ours.
Killed in between, the lease lapses and whoever closes next finishes; a failure in the second puts
the period back to what it was.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.snapshot import Approval, Snapshot
from chargeback_worker.errors import ChargebackError
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.invoicing.message import PeriodClosed, issued, period_closed
from chargeback_worker.money import plain
from chargeback_worker.period import Period, from_us
from chargeback_worker.pipeline.closing.held import refuse_held
from chargeback_worker.pipeline.closing.may_close import (
    CloseInProgress,
    LeaseLost,
    PeriodIsClosed,
    check_may_close,
)
from chargeback_worker.pipeline.closing.settlement import (
    SETTLING_IDLE_S,
    Settlement,
    check_conserved,
    compute,
)
from chargeback_worker.pipeline.expected import require
from chargeback_worker.store import (
    Store,
    Transaction,
    allocations,
    audit,
    bookings,
    closes,
    drafts,
    invoices,
    outbox,
    periods,
    snapshots,
)
from chargeback_worker.store.audit import Act
from chargeback_worker.store.closes import Close
from chargeback_worker.store.periods import PeriodRow, PeriodState

LEASE_S = 60.0
_SECOND_US = 1_000_000
_RETRY_FIRST_S = 30
_RETRY_LAST_S = 3_600


@dataclass(frozen=True, slots=True)
class CloseResult:
    """The close as it stands; `closed_before` says that it was there already.

    Else it took so many seconds to decide who bears what, and to build and write all the rest.
    """

    close: Close
    closed_before: bool = False
    allocation_s: float = 0.0
    invoicing_s: float = 0.0


def close(
    store: Store,
    period: Period,
    terms: Snapshot,
    act: Act,
    *,
    owner: str,
    forced: bool = False,
    lease_s: float = LEASE_S,
    expected: str | None = None,
    put_back: Callable[[], None] = lambda: None,
) -> CloseResult:
    """Close a period, or finish what a killed closer has begun; once closed, it changes nothing.

    `owner` names this closer among all others. `forced` closes before ingest has come as far as
    was noted when the period was due; `expected` is the version of the period that the caller has
    seen. Raises the conflicts of `may_close`, NotAsExpected, and BooksHeld; after any failure the
    period is what it was before. `put_back` is called where that took putting it back.
    """
    before = start_closing(
        store, period, terms, act, owner=owner, forced=forced, lease_s=lease_s, expected=expected
    )
    if before is not None:
        return CloseResult(before, closed_before=True)
    try:
        return finish_closing(store, period, terms, act, owner=owner, forced=forced)
    except BaseException as error:
        if _give_up(store, period, owner, error):
            put_back()
        raise


def start_closing(
    store: Store,
    period: Period,
    terms: Snapshot,
    act: Act,
    *,
    owner: str,
    forced: bool = False,
    lease_s: float = LEASE_S,
    expected: str | None = None,
) -> Close | None:
    """Set `closing`; from here on no usage enters the period. The close, if it is done already."""
    if forced:
        act.require_reason("close a period before all its usage is stored")
    with store.begin() as transaction:
        # Whoever makes a draft may take minutes. To wait for that is first: ingest waits for all
        # who wait for the period itself.
        drafts.hold(transaction, period)
        periods.hold_off_closing(transaction)
        transaction.dialect.own_period(transaction.connection, period.number)
        row = periods.find_or_make(transaction, period, ZoneInfo(terms.timezone))
        require(f"The period {period}", row.version, expected)
        if row.state is PeriodState.CLOSED:
            return closes.last(transaction, period)
        refuse_held(transaction)
        now_us = transaction.now_us()
        if row.state is not PeriodState.CLOSING:
            check_may_close(transaction, row, act.now_us, forced=forced)
        elif (row.lease_until_us or 0) > now_us or periods.is_being_closed(transaction, period):
            raise CloseInProgress(row)
        until_us = now_us + round(lease_s * _SECOND_US)
        if not periods.start_closing(transaction, row, owner, until_us):
            raise CloseInProgress(row)
        if forced:
            # Written here: should we be killed, somebody else finishes, who was not asked to.
            audit.append(transaction, act, "close.force", f"period:{period}")
    return None


def finish_closing(
    store: Store, period: Period, terms: Snapshot, act: Act, *, owner: str, forced: bool = False
) -> CloseResult:
    """Book, invoice and announce a period that `owner` is closing. Raises LeaseLost."""
    began_s = time.perf_counter()
    with store.begin(idle_s=SETTLING_IDLE_S) as transaction:
        # This keeps the row until the end, so that nobody takes over however long it takes.
        until_us = transaction.now_us() + round(LEASE_S * _SECOND_US)
        if not periods.extend_lease(transaction, period, owner, until_us):
            raise LeaseLost(period)
        refuse_held(transaction)
        row = periods.find(transaction, period)
        assert row is not None
        snapshot = snapshots.of_now(transaction, period.days(), terms)
        snapshots.insert(transaction, period, row.revision, snapshot)
        first_number = None
        if snapshot.approval is Approval.AUTO:
            first_number = invoices.last_number(transaction, period) + 1
        computed = compute(transaction, row, snapshot, now_us=act.now_us, first_number=first_number)
        books = computed.books
        bookings.insert(transaction, period, row.revision, computed.owed, snapshot)
        allocations.forget(transaction, period)
        drafts.drop(transaction, period, row.revision)
        invoices.insert(transaction, books.invoices)
        if first_number is not None:
            invoices.give_out_numbers(transaction, period, len(books.invoices))
        done = Close(
            period,
            row.revision,
            act.now_us,
            act.actor,
            books.booked,
            books.subtotal,
            books.unallocated,
            len(books.invoices),
            forced,
            act.reason,
        )
        closes.insert(transaction, done)
        _announce(transaction, done, books.invoices)
        check_conserved(transaction, done, {owed.origin for owed in computed.owed})
        _audit(transaction, act, row, done)
        if not periods.set_closed(transaction, period, owner, act.now_us):
            raise LeaseLost(period)
    took_s = time.perf_counter() - began_s
    return CloseResult(
        done, allocation_s=computed.allocation_s, invoicing_s=took_s - computed.allocation_s
    )


def dry_run(store: Store, period: Period, terms: Snapshot, now_us: int) -> Settlement:
    """What closing a period now would do. Raises PeriodIsClosed, EarlierNotClosed."""
    with store.read() as transaction:
        row = periods.standing(transaction, period, ZoneInfo(terms.timezone))
        if row.state is PeriodState.CLOSED:
            raise PeriodIsClosed(period)
        snapshot = snapshots.of_now(transaction, period.days(), terms)
        first_number = None
        if snapshot.approval is Approval.AUTO:
            first_number = invoices.peek_last_number(transaction, period) + 1
        return compute(transaction, row, snapshot, now_us=now_us, first_number=first_number)


def _announce(transaction: Transaction, done: Close, built: Sequence[Invoice]) -> None:
    """A message for each invoice that is issued, and one for the close itself that waits for them.

    Those that await approval are announced when they get it.
    """
    now = from_us(done.closed_us)
    issued_now = [invoice for invoice in built if invoice.issued_at is not None]
    closed = PeriodClosed(
        period=done.period,
        revision=done.revision,
        invoices=done.invoices,
        subtotal=done.invoiced,
        uninvoiced=0,
        unallocated=done.unallocated,
        awaiting_approval=len(built) - len(issued_now),
        closed_at=now,
    )
    receivers = [invoice.receiver.key for invoice in issued_now]
    seqs = outbox.next_seqs(transaction, [*receivers, str(done.period)])
    announced = period_closed(closed, seqs[str(done.period)])
    messages = (
        (issued(invoice, seqs[invoice.receiver.key], now), invoice.invoice_id)
        for invoice in issued_now
    )
    where = (done.period, done.revision)
    outbox.insert(transaction, *where, messages, done.closed_us)
    outbox.insert(transaction, *where, [(announced, None)], done.closed_us)


def _audit(transaction: Transaction, act: Act, row: PeriodRow, done: Close) -> None:
    before = row.state_before or PeriodState.OPEN
    audit.append(
        transaction,
        act,
        "close",
        f"period:{done.period}",
        before={"state": before.value},
        after={
            "state": PeriodState.CLOSED.value,
            "revision": done.revision,
            "booked_usd": plain(done.booked),
            "invoiced_usd": plain(done.invoiced),
            "unallocated_usd": plain(done.unallocated),
            "invoices": done.invoices,
        },
    )


def _give_up(store: Store, period: Period, owner: str, error: BaseException) -> bool:
    """Put the period back, and say whether; if the database is gone, the lease lapses instead."""
    fault = error.message if isinstance(error, ChargebackError) else f"{error!r}"
    with suppress(ChargebackError), store.begin() as transaction:
        row = periods.find(transaction, period)
        assert row is not None
        wait_s = min(_RETRY_FIRST_S * 2 ** min(row.failures, 10), _RETRY_LAST_S)
        retry_us = transaction.now_us() + wait_s * _SECOND_US
        return periods.give_up_closing(transaction, period, owner, fault=fault, retry_us=retry_us)
    return False

"""What the metrics show of the store: periods, money, outbox, quarantine, heartbeats."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from datetime import timedelta

from chargeback_worker.metrics.stored import Figures, Money
from chargeback_worker.money import NANO_PER_CENT, divide_half_even
from chargeback_worker.period import Period
from chargeback_worker.store import (
    Store,
    Transaction,
    closes,
    cursors,
    heartbeats,
    holds,
    installation,
    invoices,
    outbox,
    periods,
    quarantine,
    totals,
)
from chargeback_worker.store.closes import Close
from chargeback_worker.store.periods import PeriodRow, PeriodState

_MICROSECOND = timedelta(microseconds=1)


def figures(store: Store, now_us: int, close_delay: timedelta) -> Figures:
    """Everything at one moment, from period and total rows; never from records."""
    with store.read() as transaction:
        known = periods.listed(transaction)
        states = Counter({state.value: 0 for state in PeriodState})
        states.update(row.state.value for row in known)
        backlog = outbox.backlog(transaction)
        done = closes.listed(transaction)
        sizes = totals.size_by_period(transaction)
        cost = {period: nano for period, (nano, _) in sizes.items()}
        counts = {period: count for period, (_, count) in sizes.items()}
        settled = {row.period for row in known if row.state is PeriodState.CLOSED}
        last_closed, difference = _closed_money(transaction, settled, done, cost)
        return Figures(
            periods=states,
            overdue_since_us=_overdue_since(transaction, known, now_us, close_delay),
            open=_open_money(settled, done, cost),
            last_closed=last_closed,
            reconciliation_difference=difference,
            outbox_messages=backlog.messages,
            outbox_oldest_us=backlog.oldest_us,
            outbox_parked_receivers=backlog.parked,
            quarantine_events=quarantine.count_held(transaction),
            conflict_events=cursors.count_conflicts(transaction),
            open_totals=sum(count for of, count in counts.items() if of not in settled),
            last_closed_totals=0 if not done else counts.get(_last(done), 0),
            heartbeats_us=_heartbeats(transaction),
            held=holds.find(transaction) is not None,
        )


def _overdue_since(
    transaction: Transaction, known: Sequence[PeriodRow], now_us: int, close_delay: timedelta
) -> int | None:
    """When the oldest period that should be closed by now became due; None if none should."""
    period = installation.first_period(transaction)
    rows = {row.period: row for row in known}
    while (row := rows.get(period)) is not None and row.state is PeriodState.CLOSED:
        period = period.next()
    grain = installation.read_grain(transaction)
    if grain is None:
        return None
    # A month without any usage has no row before somebody closes it, and is due like any other.
    row = rows.get(period) or periods.not_made_yet(period, grain.zone())
    due_us = row.ends_us + close_delay // _MICROSECOND
    return due_us if due_us < now_us else None


def _open_money(settled: Set[Period], done: Sequence[Close], cost: Mapping[Period, int]) -> Money:
    """The cost of all usage that no close has booked yet."""
    used = sum(nano for period, nano in cost.items() if period not in settled)
    # What a reopened period booked before is in its totals still.
    return Money(booked=used - sum(row.booked for row in done if row.period not in settled))


def _closed_money(
    transaction: Transaction,
    settled: Set[Period],
    done: Sequence[Close],
    cost: Mapping[Period, int],
) -> tuple[Money, int]:
    """The money of the period closed last, and what all closes together do not account for."""
    live = invoices.live_subtotals(transaction)
    booked: Counter[Period] = Counter()
    difference = 0
    for close in done:
        booked[close.period] += close.booked
        cents = divide_half_even(close.booked, NANO_PER_CENT) * NANO_PER_CENT
        difference += abs(cents - close.invoiced - close.unallocated)
    # A period that takes usage again is accounted for by its next close.
    difference += sum(abs(cost.get(period, 0) - booked[period]) for period in settled)
    if not done:
        return Money(), difference
    last = _last(done)
    parts = [close for close in done if close.period == last]
    billed = sum(close.invoiced for close in parts)
    invoiced = sum(live.get((close.period, close.revision), 0) for close in parts)
    unallocated = sum(close.unallocated for close in parts)
    money = Money(
        booked=booked[last],
        invoiced=invoiced,
        uninvoiced=billed - invoiced,
        unallocated=unallocated,
    )
    return money, difference


def _last(done: Sequence[Close]) -> Period:
    return max(done, key=lambda close: close.closed_us).period


def _heartbeats(transaction: Transaction) -> dict[str, int]:
    """The freshest sign of life of each role, whichever process gave it."""
    heard: dict[str, int] = {}
    for row in heartbeats.listed(transaction):
        heard[row.role] = max(row.at_us, heard.get(row.role, 0))
    return heard

"""Invoices from what a close owes: cents top-down, numbers in the order of receivers.

Nothing is repaired afterwards: the close has its cents, receivers and nobody share them, and each
invoice's lines share those of their invoice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    LineKind,
    Status,
    allocation_id,
    draft_number,
    invoice_id,
    kind_of,
    number_order,
)
from chargeback_worker.invoicing.life import issued
from chargeback_worker.invoicing.settle import Cause, Owed
from chargeback_worker.invoicing.tax import tax_on
from chargeback_worker.money import NANO, NANO_PER_CENT, divide_half_even, round_to_cents
from chargeback_worker.period import Period


@dataclass(frozen=True, slots=True)
class Earlier:
    """The numbers of a month's invoices by earlier closes: to each receiver, and with each pair."""

    to: Mapping[Pair, Sequence[str]] = field(default_factory=dict)
    carrying: Mapping[Pair, Sequence[str]] = field(default_factory=dict)

    def references(self, receiver: Pair, pairs: Iterable[Pair]) -> tuple[str, ...]:
        """What a correction to that receiver of what those pairs bear refers to."""
        found = set(self.to.get(receiver, ()))
        for pair in pairs:
            found.update(self.carrying.get(pair, ()))
        return tuple(sorted(found, key=number_order))


@dataclass(frozen=True, slots=True)
class Billed:
    """How a month billed somebody: the number of the first invoice, None before it has one, and
    its tax rate in 10**-9, which the first releases did not write."""

    number: str | None
    tax_rate: int | None


@dataclass(frozen=True, slots=True)
class Originals:
    """How earlier months billed each pair, and each receiver."""

    carrying: Mapping[tuple[Period, Pair], Billed] = field(default_factory=dict)
    to: Mapping[tuple[Period, Pair], Billed] = field(default_factory=dict)

    def of(self, owed: Owed, receiver: Pair) -> Billed:
        """What an adjustment changes: what that month billed for its pair or, where the pair is
        new in it, to the receiver that it would have billed."""
        carrying = self.carrying.get((owed.origin, owed.pair))
        return carrying or self.to.get((owed.origin, receiver), _NOT_BILLED)


_NOT_BILLED = Billed(None, None)


@dataclass(frozen=True, slots=True)
class Drafted:
    """What is there of a receiver's invoice before its month is closed.

    `ordinal` is of the draft, or the next one where all were cancelled; `created_at` of the draft.
    """

    ordinal: int
    created_at: datetime | None = None


NOT_DRAFTED = Drafted(0)


@dataclass(frozen=True, slots=True)
class Closing:
    """What a close knows when it writes its invoices.

    `snapshots` holds the one of this close by its period and that of every origin month, whose
    `originals` say what was billed then;
    `first_number` is None where drafts are made, which have no numbers; `final` says whether what
    they bill is booked with them. `on` is the billing day of `at`.
    """

    period: Period
    revision: int
    snapshots: Mapping[Period, Snapshot]
    originals: Originals
    at: datetime
    on: date
    first_number: int | None
    final: bool = True
    earlier: Earlier = Earlier()
    drafted: Mapping[Pair, Drafted] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        return self.snapshots[self.period]

    def billed(self, owed: Owed) -> Billed:
        """An adjustment names the invoice that it changes, and is taxed as that was, also where the
        settings have changed since; what is of this period has no invoice before it."""
        snapshot = self.snapshots[owed.origin]
        receiver = snapshot.receiver(owed.pair)
        then = _NOT_BILLED if owed.origin == self.period else self.originals.of(owed, receiver)
        rate = snapshot.tax_rate(receiver) if then.tax_rate is None else then.tax_rate
        return Billed(then.number, rate)


@dataclass(frozen=True, slots=True)
class Books:
    """All that one close writes. `booked` is exact; the others are whole cents in nano-dollars."""

    invoices: tuple[Invoice, ...]
    booked: int
    subtotal: int
    unallocated: int


def build(owed: Iterable[Owed], closing: Closing) -> Books:
    """The invoices of one close, each with its lines. Those whose lines are all 0.00 are left out
    and take no number.
    """
    by_receiver: dict[Pair, list[Owed]] = {}
    for row in owed:
        by_receiver.setdefault(closing.snapshot.receiver(row.pair), []).append(row)
    # Nobody sorts last, so the place of a receiver is its key in a tie.
    receivers = sorted(by_receiver, key=lambda receiver: receiver.sort_key)
    exact = [sum(row.cost for row in by_receiver[receiver]) for receiver in receivers]
    cents = round_to_cents(dict(enumerate(exact)))
    invoices: list[Invoice] = []
    unallocated = 0
    for place, receiver in enumerate(receivers):
        if receiver == UNALLOCATED:
            unallocated = cents[place] * NANO_PER_CENT
            continue
        lines = _lines(by_receiver[receiver], cents[place], closing)
        if any(line.total_price for line in lines):
            draft = draft_of(receiver, lines, closing)
            if closing.first_number is not None:
                number = closing.first_number + len(invoices)
                days = closing.snapshot.days_to_pay(receiver)
                draft = issued(draft, number, at=closing.at, on=closing.on, days_to_pay=days)
            invoices.append(draft)
    booked, subtotal = sum(exact), sum(invoice.subtotal for invoice in invoices)
    rounded = divide_half_even(booked, NANO_PER_CENT) * NANO_PER_CENT
    assert subtotal + unallocated == rounded, (subtotal, unallocated, booked)
    return Books(tuple(invoices), booked, subtotal, unallocated)


def _lines(owed: list[Owed], cents: int, closing: Closing) -> tuple[InvoiceLine, ...]:
    """Own lines before adjustments, these by origin; all together exactly `cents`."""
    owed = sorted(
        owed, key=lambda row: (row.origin != closing.period, row.origin, row.key.sort_key)
    )
    prices = round_to_cents({place: row.cost for place, row in enumerate(owed)}, cents)
    return tuple(
        _line(place + 1, row, prices[place] * NANO_PER_CENT, closing)
        for place, row in enumerate(owed)
    )


def _line(line: int, owed: Owed, total_price: int, closing: Closing) -> InvoiceLine:
    adjustment = owed.origin != closing.period
    quantity = None if owed.shared else owed.quantity
    billed = closing.billed(owed)
    return InvoiceLine(
        line=line,
        kind=_line_kind(owed, adjustment),
        description=_description(owed),
        key=owed.key,
        quantity=quantity,
        unit_price=_unit_price(owed.cost, quantity) if quantity else None,
        total_price=total_price,
        exact=owed.cost,
        allocation_id=allocation_id(owed.origin, closing.period, closing.revision, owed.key),
        origin=owed.origin,
        cause=owed.cause,
        original_invoice=billed.number,
        tax_rate=billed.tax_rate,
    )


def _line_kind(owed: Owed, adjustment: bool) -> LineKind:
    if adjustment:
        return LineKind.ADJUSTMENT
    return LineKind.SHARED if owed.shared else LineKind.USAGE


def _unit_price(cost: int, quantity: int) -> int:
    """Of the exact cost: per token, whole cents would say nothing."""
    sign = -1 if quantity < 0 else 1
    return divide_half_even(sign * cost * NANO, sign * quantity)


_WHY = {
    Cause.LATE_USAGE: "late usage",
    Cause.DRIVER_CHANGED: "shared anew after late usage",
}


def _description(owed: Owed) -> str:
    """A line for people: `query, user u1 in team T1`."""
    pair, key = owed.pair, owed.key
    user = "" if pair.user is None else f"user {pair.user}"
    team = "" if pair.team is None else f"team {pair.team}"
    bearer = " in ".join(filter(None, (user, team)))
    what = f"share of {key.resource_type} by rule {key.cited}" if owed.shared else key.resource_type
    if owed.cause is None:
        return f"{what}, {bearer}"
    return f"{what}, {bearer}, adjustment for {owed.origin}: {_WHY[owed.cause]}"


def draft_of(receiver: Pair, lines: tuple[InvoiceLine, ...], closing: Closing) -> Invoice:
    """A receiver's draft; without lines it is one of zero."""
    period, drafted = closing.period, closing.drafted.get(receiver, NOT_DRAFTED)
    id_ = invoice_id(receiver, period, closing.revision, drafted.ordinal)
    subtotal, tax = sum(line.total_price for line in lines), tax_on(lines)
    own = (line.key.pair for line in lines if line.origin == period)
    return Invoice(
        invoice_id=id_,
        invoice_number=draft_number(period, id_),
        kind=kind_of(subtotal + tax, closing.revision),
        receiver=receiver,
        period=period,
        revision=closing.revision,
        status=Status.DRAFT,
        lines=lines,
        subtotal=subtotal,
        tax=tax,
        total=subtotal + tax,
        due_date=None,
        created_at=drafted.created_at or closing.at,
        updated_at=closing.at,
        final=closing.final,
        ordinal=drafted.ordinal,
        references=closing.earlier.references(receiver, own) if closing.revision > 1 else (),
    )

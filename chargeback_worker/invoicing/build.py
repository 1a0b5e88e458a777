"""Invoices from what a close owes: cents top-down, numbers in the order of receivers.

Nothing is repaired afterwards: the close has its cents, receivers and nobody share them, and each
invoice's lines share those of their invoice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    Kind,
    LineKind,
    Status,
    allocation_id,
    invoice_id,
    invoice_number,
)
from chargeback_worker.invoicing.settle import Cause, Owed
from chargeback_worker.money import NANO, NANO_PER_CENT, divide_half_even, round_to_cents
from chargeback_worker.period import Period


@dataclass(frozen=True, slots=True)
class Closing:
    """What a close knows when it writes its invoices.

    `snapshots` holds the one of this close by its period and that of every origin month;
    `originals` the first invoice number of an origin month to a receiver, where there is one;
    `issued_on` is the billing day of `issued_at`.
    """

    period: Period
    revision: int
    snapshots: Mapping[Period, Snapshot]
    originals: Mapping[tuple[Period, Pair], str]
    first_number: int
    issued_at: datetime
    issued_on: date

    @property
    def snapshot(self) -> Snapshot:
        return self.snapshots[self.period]

    def original(self, owed: Owed) -> str | None:
        """The invoice that an adjustment changes: of the origin month, to who was billed then."""
        billed = self.snapshots[owed.origin].receiver(owed.pair)
        return self.originals.get((owed.origin, billed))


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
            number = closing.first_number + len(invoices)
            invoices.append(_invoice(receiver, lines, number, closing))
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
        original_invoice=closing.original(owed) if adjustment else None,
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


def _invoice(
    receiver: Pair, lines: tuple[InvoiceLine, ...], number: int, closing: Closing
) -> Invoice:
    subtotal = sum(line.total_price for line in lines)
    tax = _tax(receiver, lines, closing)
    total = subtotal + tax
    due = None if total < 0 else closing.issued_on + timedelta(days=closing.snapshot.due_days)
    return Invoice(
        invoice_id=invoice_id(receiver, closing.period, closing.revision),
        invoice_number=invoice_number(closing.period, number),
        kind=_kind(total, closing.revision),
        receiver=receiver,
        period=closing.period,
        revision=closing.revision,
        status=Status.PENDING,
        lines=lines,
        subtotal=subtotal,
        tax=tax,
        total=total,
        due_date=due,
        created_at=closing.issued_at,
        updated_at=closing.issued_at,
    )


def _kind(total: int, revision: int) -> Kind:
    if total < 0:
        return Kind.CREDIT
    return Kind.REGULAR if revision == 1 else Kind.CORRECTION


def _tax(receiver: Pair, lines: Sequence[InvoiceLine], closing: Closing) -> int:
    """Once per rate on the sum of its lines; adjustment lines keep their origin's rate."""
    by_rate: dict[int, int] = {}
    for line in lines:
        rate = closing.snapshots[line.origin].tax_rate(receiver)
        by_rate[rate] = by_rate.get(rate, 0) + line.total_price
    return sum(_cents_of_tax(taxed * rate) for rate, taxed in by_rate.items())


def _cents_of_tax(product: int) -> int:
    """Nano-dollars times a rate in 10**-9, to whole cents, ties away from zero."""
    cent = NANO * NANO_PER_CENT
    cents = (2 * abs(product) + cent) // (2 * cent)
    return (cents if product > 0 else -cents) * NANO_PER_CENT

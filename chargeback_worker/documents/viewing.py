"""From facts to the view: what is said, in which order, and in which words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.documents.characters import shown
from chargeback_worker.documents.facts import Closed, Facts
from chargeback_worker.documents.view import Entry, Equation, Group, Party, Row, Sum, View
from chargeback_worker.documents.wording import Wording, places, wording_of
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine, Kind, LineKind, Status
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.invoicing.tax import tax_by_rate
from chargeback_worker.money import NANO_PER_CENT, divide_half_even

_TITLES = {
    Kind.REGULAR: "Invoice",
    Kind.CORRECTION: "Correction",
    Kind.CREDIT: "Credit note",
}
_STAMPS = {Status.DRAFT: "DRAFT", Status.CANCELLED: "CANCELLED"}
_HEADINGS = {LineKind.USAGE: "Usage", LineKind.SHARED: "Shared cost"}
_CAUSES = {
    Cause.LATE_USAGE: "usage that arrived after the month was closed",
    Cause.DRIVER_CHANGED: "shared anew, because late usage changed who used how much",
}
_ORDER = tuple(LineKind)


def view_of(facts: Facts) -> View:
    """The view of an invoice. The same facts give an equal one, wherever and whenever."""
    invoice, look = facts.invoice, facts.look
    wording = wording_of(look.locale)
    return View(
        title=_title(invoice),
        number=shown(invoice.invoice_number),
        stamp=_STAMPS.get(invoice.status, ""),
        banner=_banner(invoice, wording),
        entries=tuple(_entries(facts, wording)),
        issuer=Party("From", shown(look.issuer), _lines(_issuer(facts))),
        receiver=_receiver(facts),
        currency=shown(invoice.currency),
        groups=tuple(_groups(facts, wording)),
        sums=tuple(_sums(invoice, wording)),
        equation=_equation(facts, wording),
        closing=_lines(look.payment_terms) if _is_payable(invoice) else (),
        footer=_lines(look.footer),
        facts=facts,
    )


def _lines(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(shown(text) for text in texts)


def _is_payable(invoice: Invoice) -> bool:
    return invoice.total > 0 and invoice.status is not Status.CANCELLED


def _title(invoice: Invoice) -> str:
    title = _TITLES[invoice.kind]
    return f"Draft {title[0].lower()}{title[1:]}" if invoice.status is Status.DRAFT else title


def _banner(invoice: Invoice, wording: Wording) -> str:
    if invoice.status is Status.CANCELLED:
        return "This was cancelled: nothing is to be paid or credited by it."
    if invoice.status is not Status.DRAFT:
        return ""
    if invoice.final:
        return "This is a draft: it was not issued and has no number yet."
    month = shown(wording.month(invoice.period))
    return f"This is a draft, and provisional: {month} is not closed, so its amounts may change."


def _entries(facts: Facts, wording: Wording) -> Iterator[Entry]:
    invoice = facts.invoice
    yield Entry("Number", shown(invoice.invoice_number))
    yield Entry("Period", shown(wording.month(invoice.period)))
    if facts.issued_on is not None:
        yield Entry("Issued", shown(wording.day(facts.issued_on)))
    if invoice.due_date is not None:
        yield Entry("Due", shown(wording.day(invoice.due_date)))
    yield Entry("Status", invoice.status.capitalize())
    if invoice.paid_date is not None:
        label = "Settled" if invoice.kind is Kind.CREDIT else "Paid"
        yield Entry(label, shown(wording.day(invoice.paid_date)))
    if invoice.replaces is not None:
        yield Entry("Replaces", shown(invoice.replaces))
    for place, reference in enumerate(invoice.references):
        yield Entry("" if place else "Refers to", shown(reference))
    if invoice.revision > 1:
        yield Entry("Close", f"number {invoice.revision} of the period")
    yield Entry("Currency", shown(invoice.currency))


def _issuer(facts: Facts) -> Iterator[str]:
    yield from facts.look.issuer_address
    if facts.look.issuer_tax_id:
        yield f"Tax id {facts.look.issuer_tax_id}"


def _receiver(facts: Facts) -> Party:
    people, receiver = facts.people, facts.invoice.receiver
    user, team = receiver.user, receiver.team
    name = people.users.get(user or "") or people.teams.get(team or "")
    lines = [
        f"User {shown(user)}" if user is not None else "",
        _team(facts, team) if user is not None else f"Team {shown(team or '')}",
    ]
    if people.cost_centre:
        lines.append(f"Cost centre {shown(people.cost_centre)}")
    said = tuple(line for line in (*lines, *_lines(people.billing_address)) if line)
    return Party("To", shown(name), said) if name else Party("To", said[0], said[1:])


def _user(facts: Facts, user: str | None) -> str:
    return "" if user is None else f"User {_named(user, facts.people.users.get(user))}"


def _team(facts: Facts, team: str | None) -> str:
    return "" if team is None else f"Team {_named(team, facts.people.teams.get(team))}"


def _named(id_: str, name: str | None) -> str:
    return shown(id_) if name is None or name == id_ else f"{shown(id_)} ({shown(name)})"


def _bearer(facts: Facts, pair: Pair) -> str:
    pair = facts.bearer(pair)
    said = [_user(facts, pair.user), _team(facts, pair.team)]
    return ", ".join(filter(None, said))


@dataclass(frozen=True, slots=True)
class _Written:
    """What makes groups of lines. The decimals of quantities and unit prices are those that the
    longest one has, so that their columns line up.
    """

    facts: Facts
    wording: Wording
    rates: int
    quantity_places: int
    unit_price_places: int

    @classmethod
    def of(cls, facts: Facts, wording: Wording) -> Self:
        lines = facts.invoice.lines
        unit_prices = [line.unit_price for line in lines if line.unit_price is not None]
        return cls(
            facts,
            wording,
            len({line.tax_rate for line in lines}),
            max((places(line.quantity or 0) for line in lines), default=0),
            max((places(price) for price in unit_prices), default=0),
        )

    def group(self, lines: Sequence[InvoiceLine]) -> Group:
        cents = sum(line.total_price for line in lines)
        exact = sum(line.exact for line in lines)
        originals = {line.original_invoice for line in lines}
        heading = self._heading(lines[0])
        return Group(
            heading,
            tuple(self._notes(lines)),
            tuple(self._row(line, len(originals) > 1) for line in lines),
            f"Sum of {heading[0].lower()}{heading[1:]}",
            self.wording.exact(exact),
            self.wording.cents(cents),
            cents,
        )

    def _heading(self, line: InvoiceLine) -> str:
        if line.kind is LineKind.ADJUSTMENT:
            return f"Adjustments for {shown(self.wording.month(line.origin))}"
        return f"{_HEADINGS[line.kind]}: {shown(line.key.resource_type)}"

    def _notes(self, lines: Sequence[InvoiceLine]) -> Iterator[str]:
        if lines[0].kind is not LineKind.ADJUSTMENT:
            return
        originals = {line.original_invoice for line in lines}
        if originals == {None}:
            yield "There was no invoice for them in that month."
        elif len(originals) == 1:
            yield f"They change {shown(str(*originals))}."

    def _row(self, line: InvoiceLine, alone: bool) -> Row:
        wording, bearer = self.wording, _bearer(self.facts, line.key.pair)
        return Row(
            number=str(line.line),
            what=self._what(line, bearer),
            notes=tuple(self._sources(line, alone)),
            quantity=wording.number(line.quantity, self.quantity_places),
            unit_price=wording.number(line.unit_price, self.unit_price_places),
            exact=wording.exact(line.exact),
            amount=wording.cents(line.total_price),
        )

    def _what(self, line: InvoiceLine, bearer: str) -> str:
        if line.kind is not LineKind.ADJUSTMENT:
            return bearer
        return f"{shown(line.key.resource_type)}: {bearer}"

    def _sources(self, line: InvoiceLine, alone: bool) -> Iterator[str]:
        """`alone` names the original invoice, where its group does not."""
        yield f"by rule {shown(line.key.rule_id)}@{line.key.version}"
        share = self.facts.shares.get((line.allocation_id, line.key.resource_type))
        if share is not None:
            yield f"share {self.wording.share(share)}"
        if line.cause is not None:
            yield _CAUSES[line.cause]
        if line.cause is not None and alone:
            original = line.original_invoice
            yield "not invoiced then" if original is None else f"changes {shown(original)}"
        if self.rates > 1 and line.tax_rate is not None:
            yield f"tax {self.wording.rate(line.tax_rate)}"


def _groups(facts: Facts, wording: Wording) -> Iterator[Group]:
    lines = facts.invoice.lines
    written = _Written.of(facts, wording)
    for _, of_group in groupby(sorted(lines, key=_place), key=_place):
        yield written.group(list(of_group))


def _place(line: InvoiceLine) -> tuple[int, str]:
    """Where a line stands: by kind, then by resource type, adjustments by month. Within one group
    the lines keep their order.
    """
    adjustment = line.kind is LineKind.ADJUSTMENT
    return _ORDER.index(line.kind), str(line.origin) if adjustment else line.key.resource_type


def _sums(invoice: Invoice, wording: Wording) -> Iterator[Sum]:
    exact = sum(line.exact for line in invoice.lines)
    yield Sum("Subtotal", wording.cents(invoice.subtotal))
    yield Sum("Exact sum of the lines", wording.exact(exact), behind=True)
    yield Sum("Rounding to cents", wording.exact(invoice.subtotal - exact), behind=True)
    rates = tax_by_rate(invoice.lines)
    for rate in rates:
        label = f"Tax {wording.rate(rate.rate)} on {wording.cents(rate.amount)}"
        yield Sum(label, wording.cents(rate.tax))
    rest = invoice.tax - sum(rate.tax for rate in rates)
    if rest or not rates:
        yield Sum("Tax", wording.cents(rest))
    label = "Total credit" if invoice.kind is Kind.CREDIT else "Total"
    yield Sum(f"{label} {shown(invoice.currency)}", wording.cents(invoice.total), strong=True)


def _equation(facts: Facts, wording: Wording) -> Equation | None:
    closed, invoice = facts.closed, facts.invoice
    if closed is None:
        return None
    cents = divide_half_even(closed.booked, NANO_PER_CENT) * NANO_PER_CENT
    assert cents == closed.invoiced + closed.unallocated, (facts.invoice.invoice_id, closed)
    month = shown(wording.month(invoice.period))
    which = f", close {invoice.revision}" if invoice.revision > 1 else ""
    booked, parts = wording.exact(closed.booked), tuple(_parts(invoice, closed, wording))
    added = " ".join(f"{part.label} {part.amount}" for part in parts)
    return Equation(
        f"How {month} adds up{which}",
        f"Booked {booked} → {wording.cents(cents)} {added}",
        (Sum("Booked, exact", booked), Sum("Booked, in cents", wording.cents(cents)), *parts),
    )


def _parts(invoice: Invoice, closed: Closed, wording: Wording) -> Iterator[Sum]:
    yield Sum("= this invoice", wording.cents(invoice.subtotal))
    yield Sum("+ other invoices", wording.cents(closed.invoiced - invoice.subtotal))
    yield Sum("+ unallocated", wording.cents(closed.unallocated))

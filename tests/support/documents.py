"""Facts of documents, made by hand: any number of lines, any names, all kinds of invoices."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.documents.facts import Closed, Facts, Look, People
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    LineKind,
    Status,
    invoice_id,
    kind_of,
)
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.invoicing.tax import tax_on
from chargeback_worker.money import NANO, NANO_PER_CENT, divide_half_even, round_to_cents
from chargeback_worker.period import Period

OCTOBER, SEPTEMBER = Period(2026, 10), Period(2026, 9)
ISSUED = datetime(2026, 11, 3, 2, 4, 5, tzinfo=UTC)
VAT = 190_000_000
LOOK = Look(
    issuer="Platform Engineering GmbH",
    issuer_address=("Kastanienallee 7", "10435 Berlin", "Germany"),
    issuer_tax_id="DE 123 456 789",
    footer=("Platform Engineering GmbH · registered at Berlin HRB 12345", "platform@example.org"),
    payment_terms=("Payable within 30 days by internal transfer to cost centre 9000.",),
)
PEOPLE = People(
    teams={"research": "Research and Development"},
    users={"u1": "Ada Lovelace", "u2": "Grace Hopper"},
    cost_centre="4711",
    billing_address=("Research and Development", "Room 3.14", "London"),
)


def line(
    exact: int,
    user: str | None = "u1",
    *,
    team: str | None = "research",
    resource_type: str = "query",
    rule: str = "default",
    kind: LineKind = LineKind.USAGE,
    quantity: int | None = None,
    origin: Period = OCTOBER,
    cause: Cause | None = None,
    original: str | None = None,
    rate: int | None = VAT,
) -> InvoiceLine:
    """A line without its number and cents, which `invoice` gives it."""
    unit_price = divide_half_even(exact * NANO, quantity) if quantity else None
    key = PartKey(rule, 1, Pair(team, user), resource_type)
    return InvoiceLine(
        line=0,
        kind=kind,
        description=f"{resource_type}, user {user} in team {team}",
        key=key,
        quantity=quantity,
        unit_price=unit_price,
        total_price=0,
        exact=exact,
        allocation_id=f"{rule}-{user}-{origin}",
        origin=origin,
        cause=cause,
        original_invoice=original,
        tax_rate=rate,
    )


def invoice(
    lines: Sequence[InvoiceLine],
    number: str = "INV-202610-0007",
    *,
    receiver: Pair | None = None,
    revision: int = 1,
    status: Status = Status.SENT,
    references: tuple[str, ...] = (),
    replaces: str | None = None,
    final: bool = True,
) -> Invoice:
    """With cents that sum to the rounded exact sum, tax, and dates as its status has them."""
    cents = round_to_cents({place: of.exact for place, of in enumerate(lines)})
    numbered = tuple(
        replace(of, line=place + 1, total_price=cents[place] * NANO_PER_CENT)
        for place, of in enumerate(lines)
    )
    subtotal, tax = sum(of.total_price for of in numbered), tax_on(numbered)
    receiver = receiver or Pair(team="research")
    draft = status is Status.DRAFT
    return Invoice(
        invoice_id=invoice_id(receiver, OCTOBER, revision),
        invoice_number=number,
        kind=kind_of(subtotal + tax, revision),
        receiver=receiver,
        period=OCTOBER,
        revision=revision,
        status=status,
        lines=numbered,
        subtotal=subtotal,
        tax=tax,
        total=subtotal + tax,
        due_date=None if draft or subtotal + tax < 0 else date(2026, 12, 3),
        created_at=ISSUED,
        updated_at=ISSUED,
        issued_at=None if draft else ISSUED,
        final=final,
        references=references,
        replaces=replaces,
    )


def facts(
    made: Invoice, look: Look = LOOK, people: People = PEOPLE, *, exact: bool = False
) -> Facts:
    """The facts of an invoice, a third for each shared line, in a month of 2,157.77870551."""
    others, unallocated = 1_998_040_000_000, 59_740_000_000
    booked = made.subtotal + others + unallocated - 1_294_490
    shares = {
        (of.allocation_id, of.key.resource_type): Fraction(1, 3)
        for of in made.lines
        if of.kind is LineKind.SHARED
    }
    closed = Closed(booked, made.subtotal + others, unallocated) if made.final else None
    issued_on = made.issued_at.date() if made.issued_at else None
    return Facts(made, look, people, closed, shares, issued_on, exact)


def regular() -> Facts:
    """Three lines: of two kinds and two resource types."""
    lines = [
        line(41_304_567_891, quantity=1_234_567 * NANO),
        line(2_500_000_001, "u2", quantity=10_000 * NANO + 500_000_000),
        line(56_195_000_333, None, resource_type="compute", rule="rent", kind=LineKind.SHARED),
    ]
    return facts(invoice(lines))


def long(count: int = 200) -> Facts:
    """Many lines of several kinds and resource types."""
    kinds = ["query", "compute", "embedding", "storage"]
    lines = [
        line(
            (place * 7_919 % 4_000) * 10_123_457 + 3_333,
            f"user-{place:04d}",
            resource_type=kinds[place * 4 // count],
            quantity=None if place % 3 == 2 else (place + 1) * 1_250 * NANO,
            kind=LineKind.SHARED if place % 3 == 2 else LineKind.USAGE,
            rule="rent" if place % 3 == 2 else "people",
        )
        for place in range(count)
    ]
    return facts(invoice(lines))


def grouped(count: int = 150) -> Facts:
    """Many groups of one or two lines: a heading falls on every place of a page."""
    lines = [
        line(place * 1_234_567_891, f"user-{place:04d}", resource_type=f"type-{place * 2 // 3:03d}")
        for place in range(count)
    ]
    return facts(invoice(lines))


def correction() -> Facts:
    """A second close of the month."""
    lines = [
        line(42_000_000_000, quantity=60_000 * NANO, rule="people"),
        line(-5_123_456_789, "u2", quantity=-1_000 * NANO),
    ]
    made = invoice(
        lines, "INV-202610-0042", revision=2, references=("INV-202610-0007", "INV-202610-0009")
    )
    return facts(made)


def credit() -> Facts:
    """Adjustments of an earlier month that make the total negative."""
    lines = [
        line(3_000_000_000, quantity=500 * NANO),
        line(
            -127_894_736_842,
            None,
            resource_type="compute",
            rule="rent",
            kind=LineKind.ADJUSTMENT,
            origin=SEPTEMBER,
            cause=Cause.DRIVER_CHANGED,
            original="INV-202609-0003",
            rate=160_000_000,
        ),
        line(
            90_000_000_001,
            "u2",
            kind=LineKind.ADJUSTMENT,
            origin=SEPTEMBER,
            quantity=9_000 * NANO,
            cause=Cause.LATE_USAGE,
            original="INV-202609-0003",
            rate=160_000_000,
        ),
        line(
            1_250_000_000,
            "u1",
            resource_type="storage",
            kind=LineKind.ADJUSTMENT,
            origin=Period(2026, 8),
            cause=Cause.LATE_USAGE,
        ),
    ]
    return facts(invoice(lines, "INV-202610-0011"))


def draft(*, final: bool = False) -> Facts:
    """The same lines as `regular`, not issued."""
    made = regular().invoice
    return facts(
        replace(
            made,
            invoice_number="DRAFT-202610-3f2b9c1a-4d5e",
            status=Status.DRAFT,
            issued_at=None,
            due_date=None,
            final=final,
        )
    )


def cancelled() -> Facts:
    made = regular()
    return replace(made, invoice=replace(made.invoice, status=Status.CANCELLED))


HOSTILE = (
    "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">",
    '#panic("typst") $x^2$ *bold* `raw` // comment \\ @label <label> #let x = 1',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "{{ 7*7 }}{% include 'x' %}",
    "שלום (עולם) 123",
    "مرحبا بالعالم 123",
    "safe\u202egnp.exe\u202c",
    "\u2067isolate never closed",
    "emoji 😀👨‍👩‍👧 flag 🇩🇪",
    "null \x00 bell \x07 escape \x1b[31m tab\tnewline\nreturn\r",
    "zalgo a" + "\u0301" * 60,
    "漢字かなカナ한국어简体",
    "Ελληνικά Кириллица ქართული ไทย",
    "]]></style></title><!--",
    "\"quoted\", with comma; and 'apostrophes'",
    "W" * 500,
    "ش" * 500,
    "unbroken_" * 55,
    "many words " * 45,
    " ",
    "-",
)


def hostile(name: str) -> Facts:
    """That text wherever people write one: ids, names, labels, addresses, rules, settings."""
    look = Look(
        issuer=name,
        issuer_address=(name, name),
        issuer_tax_id=name,
        footer=(name,),
        payment_terms=(name,),
    )
    people = People({name: name}, {name: f"{name}!"}, name, (name, name))
    lines = [
        line(1_234_567_891, name, team=name, resource_type=name, rule=name, quantity=5 * NANO),
        line(99_000_000_003, "u2", team=name, resource_type=name, rule=name, kind=LineKind.SHARED),
        line(
            -3_000_000_000,
            None,
            team=name,
            resource_type=name,
            kind=LineKind.ADJUSTMENT,
            origin=SEPTEMBER,
            cause=Cause.LATE_USAGE,
            original=name,
        ),
    ]
    made = invoice(lines, name, receiver=Pair(team=name), references=(name,), replaces=name)
    return facts(made, look, people)


def immense() -> Facts:
    """Amounts and quantities as large as they may be, and longer."""
    lines = [
        line(10**9 * NANO + 123_456_789, quantity=10**18 * NANO + 123_456_789),
        line(-(10**12) * NANO - 1, "u2", quantity=-7 * 10**20 * NANO - 1),
    ]
    return facts(invoice(lines), exact=True)

"""Invoices as values: kinds, statuses and their transitions, numbers and derived ids.

All amounts are nano-dollars; those that are invoiced are whole cents.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha1

import msgspec

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.period import Period

CURRENCY = "USD"
_NAMESPACE = uuid.UUID("0b8ac0c6-5a0c-5f4e-9d0f-6f6a1f0c7b52")
"""Of every id derived here; another one would give another id to the same invoice."""
_NUMBER = re.compile(r"INV-([0-9]{4}(?:0[1-9]|1[0-2]))-([0-9]{4,18})")
_DRAFT = "DRAFT-"
_DRAFT_DIGITS = len("3f2b9c1a-4d5e")


class Status(StrEnum):
    DRAFT = "draft"
    PENDING = "pending"
    SENT = "sent"
    PAID = "paid"
    OVERDUE = "overdue"
    CANCELLED = "cancelled"


ISSUED = frozenset({Status.PENDING, Status.SENT, Status.PAID, Status.OVERDUE, Status.CANCELLED})
"""What an invoice with a number may be; one without is a draft, or was cancelled as one."""

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.PENDING, Status.SENT, Status.CANCELLED}),
    Status.PENDING: frozenset({Status.SENT, Status.PAID, Status.CANCELLED}),
    Status.SENT: frozenset({Status.PAID, Status.OVERDUE, Status.CANCELLED}),
    Status.OVERDUE: frozenset({Status.PAID, Status.CANCELLED}),
    Status.PAID: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""What may follow each status, skips forward included. The present one again is no transition."""


class Kind(StrEnum):
    """A negative total is a credit, in corrections too."""

    REGULAR = "regular"
    CORRECTION = "correction"
    CREDIT = "credit"


class LineKind(StrEnum):
    USAGE = "usage"
    SHARED = "shared"
    ADJUSTMENT = "adjustment"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One allocation and resource type. `total_price` binds; `unit_price` informs.

    `exact` is the unrounded cost. `quantity` is None where the cost came by a split, `unit_price`
    also where the quantity is 0. `origin` is another month than the invoice's in adjustments only.
    `tax_rate` is in 10**-9; None on lines of the first releases, which did not write it down.
    """

    line: int
    kind: LineKind
    description: str
    key: PartKey
    quantity: int | None
    unit_price: int | None
    total_price: int
    exact: int
    allocation_id: str
    origin: Period
    cause: Cause | None = None
    original_invoice: str | None = None
    tax_rate: int | None = None


@dataclass(frozen=True, slots=True)
class Invoice:
    """What one receiver owes for one period; never altered once issued.

    A draft is `final` where a close has booked what it bills: it can be issued. Any other is a
    projection of a month that still takes usage. `issued_at` is when it left draft. `ordinal` tells
    the invoices of one close to one receiver apart, where one was cancelled and another came.
    """

    invoice_id: str
    invoice_number: str
    kind: Kind
    receiver: Pair
    period: Period
    revision: int
    status: Status
    lines: tuple[InvoiceLine, ...]
    subtotal: int
    tax: int
    total: int
    due_date: date | None
    created_at: datetime
    updated_at: datetime
    issued_at: datetime | None = None
    final: bool = True
    ordinal: int = 0
    currency: str = CURRENCY
    paid_date: date | None = None
    published_at: datetime | None = None
    references: tuple[str, ...] = ()
    replaces: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def invoice_number(period: Period, n: int) -> str:
    """The nth number of a month's series, at least four digits."""
    return f"INV-{period.number}-{n:04d}"


def read_number(text: str) -> tuple[Period, int] | None:
    """The month of a number and its place in the series; None of any other text."""
    found = _NUMBER.fullmatch(text)
    return None if found is None else (Period.from_number(int(found[1])), int(found[2]))


def kind_of(total: int, revision: int) -> Kind:
    """Of an invoice with that total, by a first close or a later one."""
    if total < 0:
        return Kind.CREDIT
    return Kind.REGULAR if revision == 1 else Kind.CORRECTION


def number_order(number: str) -> tuple[int, str]:
    """Sorts the numbers of a series: longer ones come after shorter ones."""
    return (len(number), number)


def draft_number(period: Period, invoice_id: str) -> str:
    """What a draft is called: it has no number yet."""
    return f"{_DRAFT}{period.number}-{invoice_id[:_DRAFT_DIGITS]}"


def drafts_id(name: str) -> str | None:
    """How the id begins of the draft that is called so; None of any other name."""
    period, _, begins = name.removeprefix(_DRAFT).partition("-")
    called_so = name.startswith(_DRAFT) and len(begins) == _DRAFT_DIGITS and period.isdecimal()
    return begins if called_so else None


def invoice_id(receiver: Pair, period: Period, revision: int, ordinal: int = 0) -> str:
    """The id of a receiver's invoice; `ordinal` counts its replacements.

    It stays the same from the first draft on, when nobody knows yet whether the total will be
    negative. So what goes into it is the kind that the revision gives, regular or correction, and
    never credit.
    """
    kind = Kind.REGULAR if revision == 1 else Kind.CORRECTION
    return _derived("invoice", receiver.team, receiver.user, str(period), revision, kind, ordinal)


def allocation_id(origin: Period, billing: Period, revision: int, key: PartKey) -> str:
    """The id of what one close books of one rule version to one pair, for one origin month."""
    pair = (key.pair.team, key.pair.user)
    return _derived(
        "allocation", str(origin), str(billing), revision, key.rule_id, key.version, *pair
    )


def _derived(*facts: str | int | None) -> str:
    # A JSON list: no two different facts give one text, whatever an id is made of.
    name = _NAMESPACE.bytes + msgspec.json.encode(facts)
    # What str(uuid.uuid5(…)) gives, in half its time: a close derives several ids for each line.
    digest = bytearray(sha1(name, usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

"""What a document is made from: an invoice, who sends and gets it, and how documents look.

Everything is as it was when the invoice was made, so that the same invoice gives the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import Invoice


@dataclass(frozen=True, slots=True)
class Logo:
    """A picture by its bytes; `media_type` is image/png or image/svg+xml."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Look:
    """What all documents share. `locale` is of dates and numbers; `paper` is a4 or letter."""

    issuer: str = ""
    issuer_address: tuple[str, ...] = ()
    issuer_tax_id: str = ""
    logo: Logo | None = None
    footer: tuple[str, ...] = ()
    payment_terms: tuple[str, ...] = ()
    locale: str = "en"
    paper: str = "a4"


@dataclass(frozen=True, slots=True)
class People:
    """What the directory says of the receiver and of those on the lines.

    `teams` and `users` hold names by id, of those who have one.
    """

    teams: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    cost_centre: str | None = None
    billing_address: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """The figures of the close that booked what an invoice bills.

    `booked` is exact; `invoiced` and `unallocated` are whole cents in nano-dollars.
    """

    booked: int
    invoiced: int
    unallocated: int


@dataclass(frozen=True, slots=True)
class Facts:
    """One invoice with all that its document says.

    `closed` is None where what it bills is not booked yet, or what others were billed is not to be
    told. `shares` are the parts of a pool that split lines came by, by allocation id and resource
    type. `issued_on` is a billing day. `exact` shows the amounts behind the cents from the start.
    """

    invoice: Invoice
    look: Look = Look()
    people: People = People()
    closed: Closed | None = None
    shares: Mapping[tuple[str, str], Fraction] = field(default_factory=dict)
    issued_on: date | None = None
    exact: bool = False

    def bearer(self, pair: Pair) -> Pair:
        """Of who bears a line, what the receiver does not say already."""
        receiver = self.invoice.receiver
        if pair.user is not None and pair.user != receiver.user and pair.team == receiver.team:
            return Pair(user=pair.user)
        return pair

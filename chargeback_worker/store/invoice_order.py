"""The order of invoices on pages: by what never changes of one, whatever becomes of it.

A draft gets a number when it is approved or its month is closed, and may be taken away and made
anew. So a page goes on from these values, and no row is looked up for it.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.period import to_us
from chargeback_worker.store.tables import invoice as table

# The order of pairs: a team before its shares, and users without a team last. A close gives numbers
# in that order, so that what it wrote is in the order of its numbers too.
_PLACE = (
    table.c.created_us,
    sa.case((table.c.team_id.is_(None), 1), else_=0),
    sa.func.coalesce(table.c.team_id, ""),
    sa.func.coalesce(table.c.user_id, ""),
    table.c.invoice_id,
)
OLDEST_FIRST = tuple(part.asc() for part in _PLACE)
NEWEST_FIRST = tuple(part.desc() for part in _PLACE)


@dataclass(frozen=True, slots=True)
class InvoicePlace:
    """Where an invoice stands; it need not be there."""

    created_us: int
    team: str | None
    user: str | None
    invoice_id: str

    def __post_init__(self) -> None:
        texts = (self.team or "", self.user or "", self.invoice_id)
        if not 0 <= self.created_us < 2**63 or any("\0" in text for text in texts):
            raise ValueError(self)


def place_of(invoice: Invoice) -> InvoicePlace:
    receiver = invoice.receiver
    return InvoicePlace(to_us(invoice.created_at), receiver.team, receiver.user, invoice.invoice_id)


def older_than(place: InvoicePlace) -> sa.ColumnElement[bool]:
    """What comes after a place, newest first."""
    alone = int(place.team is None)
    values = (place.created_us, alone, place.team or "", place.user or "", place.invoice_id)
    return sa.tuple_(*_PLACE) < values

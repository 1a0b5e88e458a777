"""The document of an invoice: its facts out of the store, rendered.

Names and addresses are those of the directory that the invoice's own close used, so that a later
directory does not change what was issued; a draft of an open month takes those of now.
"""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from chargeback_worker.documents.facts import Closed, Facts, Look, People
from chargeback_worker.documents.formats import FORMATS, render
from chargeback_worker.errors import Invalid
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.period import billing_day
from chargeback_worker.store import (
    Store,
    Transaction,
    bookings,
    closes,
    directories,
    invoices,
    snapshots,
)


class UnknownFormat(Invalid):
    def __init__(self, name: str) -> None:
        near = get_close_matches(name, FORMATS, n=1)
        super().__init__(
            f"{name!r} is no format of documents{f', did you mean {near[0]}?' if near else ''}",
            f"One of: {', '.join(FORMATS)}.",
        )


class Rendered(NamedTuple):
    """A document, and how to name and announce it; `text` where a terminal may show it."""

    content: bytes
    media_type: str
    file_name: str
    text: bool


def invoice_document_of(
    store: Store, name: str, form: str, *, look: Look, exact: bool = False, sums: bool = True
) -> Rendered:
    """The document of an invoice by its number or id. `exact` shows the amounts behind the cents.

    Without `sums` it does not say how all that its close booked adds up. Raises InvoiceUnknown,
    UnknownFormat, or what a format lacks.
    """
    if form not in FORMATS:
        raise UnknownFormat(form)
    facts = facts_of(store, name, look=look, exact=exact)
    if not sums:
        facts = replace(facts, closed=None)
    media_type, suffix, text = FORMATS[form].media_type, FORMATS[form].suffix, FORMATS[form].text
    file_name = f"{facts.invoice.invoice_number}{suffix}"
    return Rendered(render(facts, form), media_type, file_name, text)


def facts_of(store: Store, name: str, *, look: Look, exact: bool = False) -> Facts:
    """What the document of an invoice says. Raises InvoiceUnknown."""
    with store.read() as transaction:
        invoice = invoices.get(transaction, name)
        facts = Facts(invoice, look, exact=exact)
        if not invoice.final:
            return _with_people(facts, directories.current(transaction))
        return _booked(transaction, facts)


def _booked(transaction: Transaction, facts: Facts) -> Facts:
    """The facts of an invoice for what a close has booked."""
    invoice = facts.invoice
    close = closes.find(transaction, invoice.period, invoice.revision)
    snapshot = snapshots.of_close(transaction, invoice.period, invoice.revision)
    assert close is not None, invoice.invoice_id
    assert snapshot is not None, invoice.invoice_id
    issued_on = None
    if invoice.issued_at is not None:
        issued_on = billing_day(invoice.issued_at, ZoneInfo(snapshot.timezone))
    facts = Facts(
        invoice,
        facts.look,
        closed=Closed(close.booked, close.invoiced, close.unallocated),
        shares=bookings.shares(transaction, (line.allocation_id for line in invoice.lines)),
        issued_on=issued_on,
        exact=facts.exact,
    )
    return _with_people(facts, directories.find(transaction, snapshot.directory.version))


def _with_people(facts: Facts, stored: directories.StoredDirectory | None) -> Facts:
    if stored is None:
        return facts
    return replace(facts, people=_people(facts.invoice, stored.document))


def _people(invoice: Invoice, document: Mapping[str, Any]) -> People:
    """What the directory says of those who are named on the invoice."""
    pairs = [invoice.receiver, *(line.key.pair for line in invoice.lines)]
    wanted_teams = {pair.team for pair in pairs}
    wanted_users = {pair.user for pair in pairs}
    teams, users, own = {}, {}, None
    for team in document["teams"]:
        if team["team_id"] in wanted_teams and team["name"]:
            teams[team["team_id"]] = team["name"]
        if team["team_id"] == invoice.receiver.team:
            own = team
        for member in team["members"]:
            if member["user_id"] in wanted_users and member["name"]:
                users[member["user_id"]] = member["name"]
    if own is None:
        return People(teams, users)
    address = (own["billing_address"] or "").splitlines()
    return People(teams, users, own["cost_centre"], tuple(filter(str.strip, address)))

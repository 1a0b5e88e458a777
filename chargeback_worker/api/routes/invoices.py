"""Invoices: drafted, listed, shown, explained, rendered, and their life."""

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from chargeback_worker.api.access import Scoped
from chargeback_worker.api.answers import Answer
from chargeback_worker.api.invoice_bodies import asked_invoice, asked_status
from chargeback_worker.api.parameters import MONTH, Cursor, Limit, month
from chargeback_worker.api.refusals import BodyRefused, BodyUnreadable, OutOfScope
from chargeback_worker.api.routing import Body, Books, Routes, Sent, Who
from chargeback_worker.api.schemas.billing import (
    InvoiceAnswer,
    InvoiceBody,
    InvoicesAnswer,
    StatusAnswer,
    StatusBody,
)
from chargeback_worker.api.schemas.books import ExplanationAnswer
from chargeback_worker.documents.formats import FORMATS
from chargeback_worker.invoicing.document import invoice_document
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.invoicing.life import ChangeRefused, NotOverdue
from chargeback_worker.period import NotOnePeriod
from chargeback_worker.pipeline.change_status import NotClosedYet, change_status
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.pipeline.create_invoice import (
    BadReceiver,
    BilledAlready,
    NoReceiver,
    NothingBilled,
    ReceiverTooLong,
    create_invoice,
)
from chargeback_worker.reports.document import invoice_document_of
from chargeback_worker.reports.explain.invoice import LineUnknown, explain_invoice
from chargeback_worker.reports.invoices import get_invoice as find_invoice
from chargeback_worker.reports.invoices import list_invoices as listed
from chargeback_worker.reports.look import look_of
from chargeback_worker.reports.pages import PAGE_MAX, UnknownPlace
from chargeback_worker.store.api_keys import Role
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.invoices import InvoiceUnknown
from chargeback_worker.usage.fields import TEXT_MAX

routes = Routes("invoices")

_FORMS = "|".join(FORMATS)
_EXAMPLE = {
    "team_id": "team-123",
    "period_start": "2024-01-01T00:00:00Z",
    "period_end": "2024-01-31T23:59:59Z",
}
Name = Annotated[
    str,
    Path(min_length=1, max_length=TEXT_MAX, description="An invoice's id, or its number."),
]


@routes.declare(
    "POST",
    "/invoices",
    role=Role.OPERATE,
    answers={201: InvoiceAnswer, 200: InvoiceAnswer},
    refuses=(
        BodyUnreadable,
        BodyRefused,
        NoReceiver,
        BadReceiver,
        ReceiverTooLong,
        NotOnePeriod,
        BilledAlready,
        NothingBilled,
    ),
    body=Body(InvoiceBody, _EXAMPLE),
)
def generate_invoice(books: Books, caller: Who, sent: Sent) -> Answer:
    """Generate an invoice

    A draft of an open month, made (201) or made anew (200); of a closed one the invoice that it
    has (200), or where that is cancelled, one that takes its place (201). Naming a user bills that
    share apart.
    """
    period, asked = asked_invoice(sent)
    if books.is_closed(period):
        # It may issue a replacement, with a number.
        books.compare_books_of_a_topic()
    done = create_invoice(books.store, period, asked, terms_of(books.settings), caller.act())
    return Answer({"invoice": invoice_document(done.invoice)}, 201 if done.new else 200)


@routes.declare(
    "GET",
    "/invoices",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: InvoicesAnswer},
    refuses=(OutOfScope, UnknownPlace),
)
def list_invoices(
    books: Books,
    caller: Who,
    team_id: Annotated[
        str | None, Query(max_length=TEXT_MAX, description="Only those this team receives.")
    ] = None,
    user_id: Annotated[
        str | None, Query(max_length=TEXT_MAX, description="Only those this user receives.")
    ] = None,
    status: Annotated[Status | None, Query(description="Only those that are so.")] = None,
    period: Annotated[str | None, Query(pattern=MONTH, description="Only of this month.")] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Answer:
    """List invoices

    Newest first.
    """
    team, user = caller.narrowed(team_id, user_id)
    of = None if period is None else month("period", period)
    found = listed(
        books.store, period=of, status=status, team=team, user=user, limit=limit, cursor=cursor
    )
    return Answer(found)


@routes.declare(
    "GET",
    "/invoices/{invoice_id}",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: InvoiceAnswer},
    refuses=(InvoiceUnknown,),
)
def get_invoice(books: Books, caller: Who, invoice_id: Name) -> Answer:
    """Show an invoice"""
    return Answer({"invoice": invoice_document(_own(books, caller, invoice_id))})


@routes.declare(
    "PUT",
    "/invoices/{invoice_id}/status",
    role=Role.OPERATE,
    answers={200: StatusAnswer},
    refuses=(
        BodyUnreadable,
        BodyRefused,
        InvoiceUnknown,
        ChangeRefused,
        NotOverdue,
        NotClosedYet,
        ReasonMissing,
    ),
    body=Body(StatusBody, {"status": "paid"}),
)
def update_invoice_status(books: Books, caller: Who, sent: Sent, invoice_id: Name) -> Answer:
    """Give an invoice another status

    The present one again changes nothing. Cancelling an issued one needs a reason.
    """
    status, reason = asked_status(sent)
    books.compare_books_of_a_topic()
    terms = terms_of(books.settings)
    done = change_status(books.store, invoice_id, status, terms, caller.act(reason))
    number = done.invoice.invoice_number
    if done.changed:
        message = f"{number} is {done.invoice.status} now; it was {done.before}."
    else:
        message = f"{number} was {done.before} before; nothing was changed."
    return Answer({"message": message, "invoice": invoice_document(done.invoice)})


@routes.declare(
    "GET",
    "/invoices/{invoice_id}/explain",
    role=Role.READ,
    answers={200: ExplanationAnswer},
    refuses=(InvoiceUnknown, LineUnknown, UnknownPlace),
)
def explain_an_invoice(
    books: Books,
    invoice_id: Name,
    line: Annotated[
        int | None, Query(ge=1, le=10**9, description="One line, down to the usage ids.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="The most rows of a step.")] = 20,
    cursor: Cursor = None,
) -> Answer:
    """Explain an invoice

    From its lines, or from one of them, down to the rule, the share and the usage: each step sums
    to the one above, to the nano-dollar. It tells of the usage of others, so no key with a scope
    may see it.
    """
    terms = terms_of(books.settings)
    found = explain_invoice(books.store, invoice_id, terms, line=line, limit=limit, cursor=cursor)
    return Answer(found)


@routes.declare(
    "GET",
    "/invoices/{invoice_id}/document",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: "document"},
    refuses=(InvoiceUnknown,),
)
def get_invoice_document(
    books: Books,
    caller: Who,
    invoice_id: Name,
    form: Annotated[
        str,
        Query(alias="format", pattern=f"^({_FORMS})$", description="What to make of it."),
    ] = "html",
    exact: Annotated[bool, Query(description="Show the amounts behind the cents.")] = False,
) -> Response:
    """Render an invoice

    The same invoice gives the same bytes. How all that the month booked adds up is left out for a
    key with a scope.
    """
    own = _own(books, caller, invoice_id)
    look = look_of(books.settings.documents)
    # The sums of all are not theirs to see.
    made = invoice_document_of(
        books.store, own.invoice_id, form, look=look, exact=exact, sums=caller.scope is None
    )
    headers = {
        "Content-Disposition": f'attachment; filename="{made.file_name}"',
        "Cache-Control": "no-store",
    }
    return Response(made.content, 200, headers, FORMATS[form].media_type)


def _own(books: Books, caller: Who, name: str) -> Invoice:
    """One that the caller may see; others are not there for them. Raises InvoiceUnknown."""
    found = find_invoice(books.store, name)
    if not caller.owns(found.receiver.team, found.receiver.user):
        raise InvoiceUnknown(name)
    return found

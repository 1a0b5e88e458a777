"""What is asked of the books as a whole: who changed what, and whether everything agrees."""

from typing import Annotated

from fastapi import Query

from chargeback_worker.api.answers import Answer
from chargeback_worker.api.parameters import MONTH, Cursor, Limit, month, number, since
from chargeback_worker.api.routing import Books, Routes
from chargeback_worker.api.schemas.books import AuditAnswer, VerifyAnswer
from chargeback_worker.reports.audit import audited
from chargeback_worker.reports.verify import verify
from chargeback_worker.store.api_keys import Role

routes = Routes("books")


@routes.declare("GET", "/audit", role=Role.READ, answers={200: AuditAnswer})
def get_audit(
    books: Books,
    begin: Annotated[
        str | None,
        Query(alias="since", max_length=40, description="From this day or instant on."),
    ] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Answer:
    """List who changed what, when and why

    Newest first.
    """
    found = audited(books.store, since=since(begin), limit=limit, cursor=number("cursor", cursor))
    return Answer(found)


@routes.declare("GET", "/verify", role=Role.READ, answers={200: VerifyAnswer})
def get_verify(
    books: Books,
    period: Annotated[
        str | None, Query(pattern=MONTH, description="Only what this month bills.")
    ] = None,
) -> Answer:
    """Compute everything again from the records, and name what differs

    It reads all records, so it takes as long as there are many.
    """
    of = None if period is None else month("period", period)
    return Answer(verify(books.store, of).to_document())

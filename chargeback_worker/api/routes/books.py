"""What is asked of the books as a whole: who changed what, and whether everything agrees."""

import threading
from typing import Annotated

from fastapi import Query

from chargeback_worker.api.answers import Answer
from chargeback_worker.api.parameters import MONTH, Cursor, Limit, month, number, since
from chargeback_worker.api.refusals import VerifyUnderWay
from chargeback_worker.api.routing import Books, Routes
from chargeback_worker.api.schemas.books import AuditAnswer, VerifyAnswer
from chargeback_worker.reports.audit import audited
from chargeback_worker.reports.verify import verify
from chargeback_worker.store.api_keys import Role

routes = Routes("books")

VERIFYING = threading.Lock()
"""Held while a request verifies the books."""


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


@routes.declare(
    "GET", "/verify", role=Role.READ, answers={200: VerifyAnswer}, refuses=(VerifyUnderWay,)
)
def get_verify(
    books: Books,
    period: Annotated[
        str | None, Query(pattern=MONTH, description="Only what this month bills.")
    ] = None,
) -> Answer:
    """Compute everything again from the records, and name what differs

    It reads all records, so it takes as long as there are many; one request at a time may ask.
    """
    of = None if period is None else month("period", period)
    # Its thread goes on where the request has been given up: a few would leave none for others.
    if not VERIFYING.acquire(blocking=False):
        raise VerifyUnderWay
    try:
        return Answer(verify(books.store, of).to_document())
    finally:
        VERIFYING.release()

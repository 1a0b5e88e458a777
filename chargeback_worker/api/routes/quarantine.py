"""Refused events: looked at, tried again, or given up."""

from typing import Annotated

from fastapi import Path, Query

from chargeback_worker.api.answers import Answer
from chargeback_worker.api.bodies import Fields
from chargeback_worker.api.parameters import Cursor, Limit, number
from chargeback_worker.api.refusals import BodyRefused, BodyUnreadable
from chargeback_worker.api.routing import Body, Books, Routes, Sent, Who
from chargeback_worker.api.schemas.books import (
    DismissBody,
    QuarantineAnswer,
    QuarantinedAnswer,
    ReplayAnswer,
)
from chargeback_worker.api.schemas.common import Shape
from chargeback_worker.pipeline.dismiss import dismiss
from chargeback_worker.reports.quarantine import quarantined, quarantined_event, replay_document
from chargeback_worker.store.api_keys import Role
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.quarantine import (
    AlreadyResolved,
    Held,
    NotReplayable,
    QuarantineUnknown,
)
from chargeback_worker.usage.refusal import Reason

routes = Routes("quarantine")

QuarantineId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class NothingBody(Shape):
    """No fields."""


@routes.declare("GET", "/quarantine", role=Role.READ, answers={200: QuarantineAnswer})
def list_quarantine(
    books: Books,
    state: Annotated[Held | None, Query(description="Only those; else those held.")] = Held.HELD,
    reason: Annotated[Reason | None, Query(description="Only of this reason's code.")] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Answer:
    """List refused events

    Newest first, without what they hold.
    """
    found = quarantined(
        books.store,
        state=state,
        reason=None if reason is None else reason.value,
        limit=limit,
        cursor=number("cursor", cursor),
    )
    return Answer(found)


@routes.declare(
    "GET",
    "/quarantine/{quarantine_id}",
    role=Role.OPERATE,
    answers={200: QuarantinedAnswer},
    refuses=(QuarantineUnknown,),
)
def get_quarantined(books: Books, quarantine_id: QuarantineId) -> Answer:
    """Show a refused event with what it holds"""
    return Answer(quarantined_event(books.store, quarantine_id))


@routes.declare(
    "POST",
    "/quarantine/{quarantine_id}/replay",
    role=Role.OPERATE,
    answers={200: ReplayAnswer},
    refuses=(
        BodyUnreadable,
        BodyRefused,
        QuarantineUnknown,
        AlreadyResolved,
        NotReplayable,
    ),
    body=Body(NothingBody, {}, required=False),
)
def replay_quarantined(
    books: Books, caller: Who, sent: Sent, quarantine_id: QuarantineId
) -> Answer:
    """Try a refused event again

    It is counted once, or stays where it is.
    """
    Fields.read(sent, ()).end()
    outcomes = [one for done in books.replay([quarantine_id], caller.act()) for one in done]
    return Answer(replay_document(outcomes))


@routes.declare(
    "POST",
    "/quarantine/{quarantine_id}/dismiss",
    role=Role.OPERATE,
    answers={200: QuarantinedAnswer},
    refuses=(BodyUnreadable, BodyRefused, QuarantineUnknown, AlreadyResolved, ReasonMissing),
    body=Body(DismissBody, {"reason": "a test message"}, required=False),
)
def dismiss_quarantined(
    books: Books, caller: Who, sent: Sent, quarantine_id: QuarantineId
) -> Answer:
    """Give up a refused event

    With a reason. Its bytes are erased; digest and reason stay.
    """
    fields = Fields.read(sent, ("reason",))
    reason = fields.text("reason")
    fields.end()
    dismiss(books.store, quarantine_id, caller.act(reason))
    return Answer(quarantined_event(books.store, quarantine_id))

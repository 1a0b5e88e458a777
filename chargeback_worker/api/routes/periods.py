"""Months: how each of them stands, closed and reopened."""

from chargeback_worker.api.answers import Answer, etag, expected
from chargeback_worker.api.bodies import Fields
from chargeback_worker.api.parameters import Cursor, IfMatch, Limit, PeriodPath, month
from chargeback_worker.api.refusals import BodyRefused, BodyUnreadable
from chargeback_worker.api.routing import Body, Books, Routes, Sent, Who
from chargeback_worker.api.schemas.books import (
    CloseAnswer,
    CloseBody,
    PeriodAnswer,
    PeriodsAnswer,
    ReopenBody,
)
from chargeback_worker.app import now_us
from chargeback_worker.app.closing import close_by_hand
from chargeback_worker.pipeline.closing.may_close import (
    CloseInProgress,
    EarlierNotClosed,
    EarlierReopened,
    IngestBehind,
    PeriodNotOver,
)
from chargeback_worker.pipeline.expected import NotAsExpected
from chargeback_worker.pipeline.reopen import AwaitsApproval, NotClosed
from chargeback_worker.pipeline.reopen import reopen as reopen_step
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.reports.periods import (
    PeriodUnknown,
    close_document,
    list_periods,
    show_period,
)
from chargeback_worker.store.api_keys import Role
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.periods import version_of

routes = Routes("periods")


@routes.declare(
    "GET",
    "/periods",
    role=Role.READ,
    answers={200: PeriodsAnswer},
    refuses=(UnknownPlace,),
)
def get_periods(books: Books, limit: Limit = 200, cursor: Cursor = None) -> Answer:
    """List months

    All that have usage or were closed, newest first.
    """
    delay = books.settings.billing.close_delay
    found = list_periods(
        books.store, now_us=now_us(), close_delay=delay, limit=limit, cursor=cursor
    )
    return Answer(found)


@routes.declare(
    "GET",
    "/periods/{period}",
    role=Role.READ,
    answers={200: PeriodAnswer},
    refuses=(PeriodUnknown,),
)
def get_period(books: Books, period: PeriodPath) -> Answer:
    """Show a month

    Its ETag changes whenever it opens, begins to close, or closes.
    """
    return _shown(books, period)


@routes.declare(
    "POST",
    "/periods/{period}/close",
    role=Role.OPERATE,
    answers={200: CloseAnswer},
    refuses=(
        BodyUnreadable,
        BodyRefused,
        PeriodNotOver,
        IngestBehind,
        EarlierReopened,
        EarlierNotClosed,
        CloseInProgress,
        ReasonMissing,
        NotAsExpected,
    ),
    body=Body(CloseBody, {}, required=False),
)
def close_period(
    books: Books, caller: Who, sent: Sent, period: PeriodPath, if_match: IfMatch = None
) -> Answer:
    """Close a month

    Allocates its cost, issues all its invoices, and fixes it for ever. To close it again changes
    nothing.
    """
    fields = Fields.read(sent, ("force", "reason"))
    forced, reason = fields.truth("force"), fields.text("reason")
    fields.end()
    of = month("period", period)
    done = close_by_hand(books, of, caller.act(reason), forced=forced, expected=expected(if_match))
    if not done.closed_before:
        books.metrics.closed(done.allocation_s, done.invoicing_s)
    return Answer({"close": close_document(done.close, closed_before=done.closed_before)})


@routes.declare(
    "POST",
    "/periods/{period}/reopen",
    role=Role.ADMIN,
    answers={200: PeriodAnswer},
    refuses=(
        BodyUnreadable,
        BodyRefused,
        NotClosed,
        AwaitsApproval,
        CloseInProgress,
        ReasonMissing,
        NotAsExpected,
    ),
    body=Body(ReopenBody, {"reason": "a rule was missing"}, required=False),
)
def reopen_period(
    books: Books, caller: Who, sent: Sent, period: PeriodPath, if_match: IfMatch = None
) -> Answer:
    """Reopen a month

    With a reason. Its invoices stand; its next close bills only what differs.
    """
    fields = Fields.read(sent, ("reason",))
    reason = fields.text("reason")
    fields.end()
    of, act = month("period", period), caller.act(reason)
    act.require_reason("reopen a period")
    books.compare_books_of_a_topic()
    reopen_step(books.store, of, act, expected=expected(if_match))
    return _shown(books, period)


def _shown(books: Books, period: str) -> Answer:
    delay = books.settings.billing.close_delay
    found = show_period(books.store, month("period", period), now_us=now_us(), close_delay=delay)
    row = found["period"]
    return Answer(found, headers=etag(version_of(row["state"], row["revision"])))

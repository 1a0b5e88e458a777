"""Usage: recorded one by one, summed, and listed."""

from functools import partial
from uuid import uuid4

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from chargeback_worker.allocation.directory import EMPTY
from chargeback_worker.api.access import Caller, Scoped
from chargeback_worker.api.answers import Answer
from chargeback_worker.api.batches import Batch, items_of, lines_of
from chargeback_worker.api.bodies import (
    BODY_BYTES_MAX,
    CLOUDEVENT,
    JSON,
    JSON_LINES,
    media_type,
    read_body,
    stream_body,
)
from chargeback_worker.api.parameters import Cursor, Days, Limit, TeamFilter, UserFilter
from chargeback_worker.api.refusals import (
    BodyUnreadable,
    KeyReused,
    OutOfScope,
    RangeTooLong,
    TooManyItems,
    UsageRefused,
)
from chargeback_worker.api.repeated import ONE, key_of, made_id
from chargeback_worker.api.routing import Body, Books, Routes, Sent, Taking, Waiting, Who
from chargeback_worker.api.schemas.usage import (
    BatchAnswer,
    BatchBody,
    UsageRecordAnswer,
    UsageRecordsAnswer,
    UsageSummaryAnswer,
)
from chargeback_worker.api.schemas.usage import UsageEvent as EventShape
from chargeback_worker.api.turns import Turns
from chargeback_worker.app.recording import Recorder, SentEvent, UsageConflict
from chargeback_worker.pipeline.ingest import Outcome
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.reports.usage_records import accepted_record, list_records
from chargeback_worker.reports.usage_summary import usage_summary
from chargeback_worker.store.api_keys import Role
from chargeback_worker.usage.event import EVENT_BYTES_MAX, RefusedEvent, UsageEvent

routes = Routes("usage")

# To read an event of the largest size takes 20 ms, in which nobody else would be answered.
_READ_AT_ONCE_MAX = 16 * 1024
_EXAMPLE = {
    "team_id": "team-123",
    "user_id": "user-456",
    "agent_id": "agent-789",
    "resource_type": "query",
    "quantity": 100.0,
    "cost_usd": 5.50,
}
_EXAMPLES = [_EXAMPLE | {"usage_id": "u-1"}]
_WRAPPED = {CLOUDEVENT: {"type": "object", "description": "CloudEvents 1.0, structured."}}
_LINES = {
    name: {"description": "JSON lines, each an event; any other ends as refused."}
    for name in JSON_LINES
}


@routes.declare(
    "POST",
    "/usage",
    role=Role.OPERATE,
    scoped=Scoped.OWN,
    answers={201: UsageRecordAnswer, 200: UsageRecordAnswer},
    refuses=(UsageRefused, UsageConflict, OutOfScope),
    body=Body(EventShape, _EXAMPLE, (JSON, CLOUDEVENT), _WRAPPED, EVENT_BYTES_MAX),
)
async def record_usage(
    request: Request, recorder: Taking, waiting: Waiting, caller: Who, sent: Sent
) -> Answer:
    """Record usage

    201 where it is new; 200 with what is stored where the same event was recorded before, by
    whatever door; 409 where its id is stored with other content. Usage of a closed month is taken,
    and billed in the next open one (`late`).
    """
    key, at_us = key_of(request), recorder.now_us()
    name = str(uuid4()) if key is None else made_id(caller.owner, ONE, key)
    event = await _read(recorder, sent, name, at_us)
    if isinstance(event, RefusedEvent):
        raise UsageRefused(event)
    await _require_theirs(caller, event, waiting)
    recorded = await waiting.usage.ask(SentEvent(sent, event, at_us))
    if recorded.outcome is Outcome.CONFLICT:
        raise UsageConflict(event)
    if recorded.period is None:
        return Answer(await waiting.records.ask(event))
    return Answer(accepted_record(event, recorded.period), 201)


async def _require_theirs(caller: Caller, event: UsageEvent, waiting: Turns) -> None:
    """Raises OutOfScope for usage that the caller may not record."""
    directory = await waiting.directory.ask(None) if caller.needs_directory(event) else EMPTY
    refusal = caller.refusal_of(event, directory)
    if refusal is not None:
        raise refusal


async def _read(
    recorder: Recorder, sent: bytes, name: str, at_us: int
) -> UsageEvent | RefusedEvent:
    read = partial(recorder.read, [sent], [name], at_us)
    (event,) = read() if len(sent) <= _READ_AT_ONCE_MAX else await run_in_threadpool(read)
    return event


@routes.declare(
    "POST",
    "/usage/batch",
    role=Role.OPERATE,
    scoped=Scoped.OWN,
    answers={200: BatchAnswer},
    refuses=(BodyUnreadable, TooManyItems, KeyReused),
    body=Body(BatchBody, _EXAMPLES, (JSON, *JSON_LINES), _LINES, streamed=True),
)
async def record_usage_batch(request: Request, recorder: Taking, caller: Who) -> Response:
    """Record a batch of usage

    JSON lines, up to 1,000,000 events, or a JSON array of up to 8 MiB. It is stored in transactions
    of 5,000 as it comes; each event ends by itself, and nothing of a refused one is kept. An event
    without an id needs the request's `Idempotency-Key`, and gets UUIDv5 of the API key, of that key
    and of its index. Sent again, what was stored before is a duplicate; another batch with the same
    key is refused for 48 hours, from the first piece on that differs.
    """
    key = key_of(request)
    if media_type(request) == JSON:
        values = items_of(await read_body(request, BODY_BYTES_MAX))
    else:
        values = lines_of(stream_body(request))
    batch = Batch(recorder, caller, key)
    try:
        await batch.take(values)
    except BaseException:
        batch.close()
        raise
    return batch.answer()


@routes.declare(
    "GET",
    "/usage/summary",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: UsageSummaryAnswer},
    refuses=(OutOfScope, RangeTooLong),
)
def get_usage_summary(
    books: Books, caller: Who, days: Days, team_id: TeamFilter = None, user_id: UserFilter = None
) -> Answer:
    """Sum usage

    By the usage's own day, whenever it came; its cost does not depend on the number of events.
    """
    team, user = caller.narrowed(team_id, user_id)
    return Answer(usage_summary(books.store, days, team=team, user=user))


@routes.declare(
    "GET",
    "/usage",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: UsageRecordsAnswer},
    refuses=(OutOfScope, RangeTooLong, UnknownPlace),
)
def list_usage(
    books: Books,
    caller: Who,
    days: Days,
    team_id: TeamFilter = None,
    user_id: UserFilter = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Answer:
    """List usage records

    The newest day first. A page goes on right where the one before ended, also while more comes.
    """
    team, user = caller.narrowed(team_id, user_id)
    found = list_records(books.store, days, team=team, user=user, limit=limit, cursor=cursor)
    return Answer(found)

"""Allocations: who bears which cost, by which rule."""

from typing import Annotated

from fastapi import Query

from chargeback_worker.api.access import Scoped
from chargeback_worker.api.answers import Answer
from chargeback_worker.api.bodies import Fields
from chargeback_worker.api.parameters import (
    Cursor,
    Days,
    Limit,
    NamePath,
    TeamFilter,
    UserFilter,
    range_of,
)
from chargeback_worker.api.refusals import BodyRefused, BodyUnreadable, OutOfScope, RangeTooLong
from chargeback_worker.api.routing import Body, Books, Routes, Sent, Who
from chargeback_worker.api.schemas.billing import AllocateBody, AllocationsAnswer
from chargeback_worker.api.schemas.books import AllocationUsageAnswer
from chargeback_worker.pipeline.allocate import allocate_days
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.allocation_usage import AllocationUnknown, allocation_usage
from chargeback_worker.reports.allocations import list_allocations
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.store.api_keys import Role
from chargeback_worker.store.rules import RuleUnknown
from chargeback_worker.usage.fields import TEXT_MAX

routes = Routes("allocations")

_EXAMPLE = {
    "period_start": "2024-01-01T00:00:00Z",
    "period_end": "2024-01-31T23:59:59Z",
    "team_id": "team-123",
}
_BODY = ("period", "period_start", "period_end", "rule_id", "team_id", "user_id")


@routes.declare(
    "POST",
    "/allocate",
    role=Role.OPERATE,
    answers={200: AllocationsAnswer},
    refuses=(BodyUnreadable, BodyRefused, RangeTooLong, RuleUnknown, UnknownPlace),
    body=Body(AllocateBody, _EXAMPLE),
)
def allocate_costs(
    books: Books, caller: Who, sent: Sent, limit: Limit = 200, cursor: Cursor = None
) -> Answer:
    """Allocate the cost of some days

    All of it, by all rules; `rule_id`, `team_id` and `user_id` choose what is shown. The run of an
    open month is stored in place of its last; a closed month answers with what was booked; other
    days are computed only (`stored: false`).
    """
    fields = Fields.read(sent, _BODY)
    named = {name: fields.text(name) for name in _BODY}
    fields.end()
    days = range_of(named["period"], named["period_start"], named["period_end"])
    terms = terms_of(books.settings)
    if cursor is None:
        allocate_days(books.store, days, terms, caller.act())
    found = list_allocations(
        books.store,
        days,
        terms,
        rule_id=named["rule_id"],
        team=named["team_id"],
        user=named["user_id"],
        limit=limit,
        cursor=cursor,
    )
    return Answer(found)


@routes.declare(
    "GET",
    "/allocations",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: AllocationsAnswer},
    refuses=(OutOfScope, RangeTooLong, RuleUnknown, UnknownPlace),
)
def get_allocations(
    books: Books,
    caller: Who,
    days: Days,
    team_id: TeamFilter = None,
    user_id: UserFilter = None,
    rule_id: Annotated[
        str | None, Query(min_length=1, max_length=TEXT_MAX, description="Only by this rule.")
    ] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Answer:
    """List allocations

    Those that are stored of a month, or what the rules give where none are. It writes nothing. To
    a key with a scope `usage_records` name its own usage alone: not the rest of what was divided.
    """
    team, user = caller.narrowed(team_id, user_id)
    found = list_allocations(
        books.store,
        days,
        terms_of(books.settings),
        rule_id=rule_id,
        team=team,
        user=user,
        limit=limit,
        cursor=cursor,
        usage_ids_of=caller.scope,
    )
    # What nobody bears is not theirs to see.
    return Answer(found if caller.scope is None else {**found, "unallocated": None})


@routes.declare(
    "GET",
    "/allocations/{allocation_id}/usage",
    role=Role.READ,
    answers={200: AllocationUsageAnswer},
    refuses=(AllocationUnknown, UnknownPlace),
)
def get_allocation_usage(
    books: Books,
    allocation_id: NamePath,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Answer:
    """List the usage behind an allocation

    Of shared cost, all that was divided; so no key with a scope may see it.
    """
    terms = terms_of(books.settings)
    found = allocation_usage(books.store, allocation_id, terms, limit=limit, cursor=cursor)
    return Answer(found)

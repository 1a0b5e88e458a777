"""Allocation rules: who bears which cost."""

from typing import Annotated

from fastapi import Query

from chargeback_worker.allocation.writing.faults import RulesRefused
from chargeback_worker.api.answers import Answer, etag, expected
from chargeback_worker.api.bodies import decoded
from chargeback_worker.api.parameters import Cursor, IfMatch, Limit, NamePath
from chargeback_worker.api.refusals import BodyRefused, BodyUnreadable
from chargeback_worker.api.routing import Body, Books, Routes, Sent, Who
from chargeback_worker.api.rule_bodies import changed_fields, new_rule
from chargeback_worker.api.schemas.common import Message
from chargeback_worker.api.schemas.rules import (
    ChangedRule,
    NewRule,
    RuleAnswer,
    RulesAnswer,
    SavedRuleAnswer,
)
from chargeback_worker.pipeline.expected import NotAsExpected
from chargeback_worker.pipeline.save_rules import (
    RuleExists,
    SavedRule,
    create_rule,
    delete_rule,
    merge_rule,
)
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.reports.rules import list_rules, show_rule
from chargeback_worker.store.api_keys import Role
from chargeback_worker.store.rules import RuleUnknown
from chargeback_worker.usage.fields import TEXT_MAX

routes = Routes("allocation rules")

_EXAMPLE = {
    "rule_id": "team-equal-split",
    "name": "Team Equal Split",
    "description": "Split costs equally among team members",
    "rule_type": "by_team",
    "enabled": True,
    "team_id": "team-123",
}


@routes.declare(
    "GET",
    "/allocation-rules",
    role=Role.READ,
    answers={200: RulesAnswer},
    refuses=(UnknownPlace,),
)
def list_allocation_rules(
    books: Books,
    team_id: Annotated[
        str | None, Query(max_length=TEXT_MAX, description="Only rules about this team.")
    ] = None,
    enabled_only: Annotated[bool, Query(description="Leave out those that are disabled.")] = False,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Answer:
    """List rules

    In the order in which they claim cost.
    """
    found = list_rules(
        books.store, team=team_id, enabled_only=enabled_only, limit=limit, cursor=cursor
    )
    return Answer(found)


@routes.declare(
    "POST",
    "/allocation-rules",
    role=Role.ADMIN,
    answers={201: SavedRuleAnswer},
    refuses=(BodyUnreadable, BodyRefused, RulesRefused, RuleExists),
    body=Body(NewRule, _EXAMPLE),
)
def create_allocation_rule(books: Books, caller: Who, sent: Sent) -> Answer:
    """Create a rule

    All faults are told at once, each with its place, and nothing is stored then.
    """
    saved = create_rule(books.store, new_rule(decoded(sent)), caller.act())
    return _saved(books, saved, "is created", 201)


@routes.declare(
    "GET",
    "/allocation-rules/{rule_id:text}",
    role=Role.READ,
    answers={200: RuleAnswer},
    refuses=(RuleUnknown,),
)
def get_allocation_rule(books: Books, rule_id: NamePath) -> Answer:
    """Show a rule

    Its ETag is its version.
    """
    found = show_rule(books.store, rule_id)
    return Answer(found, headers=etag(found["rule"]["version"]))


@routes.declare(
    "PUT",
    "/allocation-rules/{rule_id:text}",
    role=Role.ADMIN,
    answers={200: SavedRuleAnswer},
    refuses=(BodyUnreadable, BodyRefused, RulesRefused, RuleUnknown, NotAsExpected),
    body=Body(ChangedRule, {"enabled": False}),
)
def change_allocation_rule(
    books: Books, caller: Who, sent: Sent, rule_id: NamePath, if_match: IfMatch = None
) -> Answer:
    """Change a rule

    The fields given are changed, each as a whole; the others stay. A change makes a version, which
    covers all days of months that are not closed, or those from effective_from to effective_to.
    """
    fields = changed_fields(decoded(sent), rule_id)
    saved = merge_rule(books.store, rule_id, fields, caller.act(), expected=expected(if_match))
    return _saved(books, saved, "is changed" if saved.changed else "was like this before")


@routes.declare(
    "DELETE",
    "/allocation-rules/{rule_id:text}",
    role=Role.ADMIN,
    answers={200: Message},
    refuses=(RuleUnknown, NotAsExpected),
)
def delete_allocation_rule(
    books: Books, caller: Who, rule_id: NamePath, if_match: IfMatch = None
) -> Answer:
    """Delete a rule

    It ends for all days of months that are not closed; its versions stay.
    """
    delete_rule(books.store, rule_id, caller.act(), expected=expected(if_match))
    return Answer({"message": f"Rule {rule_id} is deleted"})


def _saved(books: Books, saved: SavedRule, what: str, status: int = 200) -> Answer:
    rule_id = saved.rule.rule_id
    found = show_rule(books.store, rule_id, saved.rule.version)
    document = {"rule_id": rule_id, "message": f"Rule {rule_id} {what}", **found}
    return Answer(document, status, etag(saved.rule.version))

"""Who would bear which cost, under the rules of now or under others; nothing is written."""

from chargeback_worker.allocation.writing.faults import RulesRefused
from chargeback_worker.api.answers import Answer
from chargeback_worker.api.bodies import decoded
from chargeback_worker.api.parameters import Cursor, Days, Limit
from chargeback_worker.api.refusals import BodyUnreadable, RangeTooLong
from chargeback_worker.api.routing import Body, Books, Routes, Sent
from chargeback_worker.api.schemas.books import PreviewAnswer, PreviewBody
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.reports.preview import preview, read_rules
from chargeback_worker.store.api_keys import Role

routes = Routes("preview")

_EXAMPLE = {"rules": [{"rule_id": "rent", "rule_type": "equal_split", "user_ids": ["ada", "bob"]}]}


@routes.declare(
    "GET",
    "/preview",
    role=Role.READ,
    answers={200: PreviewAnswer},
    refuses=(RangeTooLong, UnknownPlace),
)
def get_preview(books: Books, days: Days, limit: Limit = 200, cursor: Cursor = None) -> Answer:
    """Preview

    What each pair would bear by the rules of now, beside what was run or booked.
    """
    terms = terms_of(books.settings)
    return Answer(preview(books.store, days, terms, limit=limit, cursor=cursor))


@routes.declare(
    "POST",
    "/preview",
    role=Role.READ,
    answers={200: PreviewAnswer},
    refuses=(BodyUnreadable, RulesRefused, RangeTooLong, UnknownPlace),
    body=Body(PreviewBody, _EXAMPLE),
)
def preview_rules(
    books: Books, sent: Sent, days: Days, limit: Limit = 200, cursor: Cursor = None
) -> Answer:
    """Preview other rules

    As if those in the body were all the rules. Nothing is written.
    """
    rules = read_rules(books.store, decoded(sent))
    terms = terms_of(books.settings)
    return Answer(preview(books.store, days, terms, rules=rules, limit=limit, cursor=cursor))

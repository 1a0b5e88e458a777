"""Reports: what a team or a user used, was allocated and was billed."""

from chargeback_worker.api.access import Scoped
from chargeback_worker.api.answers import Answer
from chargeback_worker.api.parameters import Days, NamePath
from chargeback_worker.api.refusals import OutOfScope, RangeTooLong
from chargeback_worker.api.routing import Books, Routes, Who
from chargeback_worker.api.schemas.billing import TeamReportAnswer, UserReportAnswer
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.owner import team_report, user_report
from chargeback_worker.store.api_keys import Role

routes = Routes("reports")


@routes.declare(
    "GET",
    "/reports/team/{team_id:text}",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: TeamReportAnswer},
    refuses=(OutOfScope, RangeTooLong),
)
def get_team_report(books: Books, caller: Who, days: Days, team_id: NamePath) -> Answer:
    """Report on a team

    What it used by the recorded team, bears by the rules, and was billed. A team that nobody knows
    has zeros.
    """
    if caller.scope is not None and caller.scope.team != team_id:
        raise OutOfScope(caller.scope.key)
    terms, scope = terms_of(books.settings), caller.scope
    return Answer(team_report(books.store, days, terms, team_id, usage_ids_of=scope))


@routes.declare(
    "GET",
    "/reports/user/{user_id:text}",
    role=Role.READ,
    scoped=Scoped.OWN,
    answers={200: UserReportAnswer},
    refuses=(OutOfScope, RangeTooLong),
)
def get_user_report(books: Books, caller: Who, days: Days, user_id: NamePath) -> Answer:
    """Report on a user

    Their usage and allocations in whatever team, and their share of what teams were billed.
    """
    if caller.scope is not None and caller.scope.user != user_id:
        raise OutOfScope(caller.scope.key)
    terms, scope = terms_of(books.settings), caller.scope
    return Answer(user_report(books.store, days, terms, user_id, usage_ids_of=scope))

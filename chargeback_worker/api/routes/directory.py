"""The directory: teams, their members, and the names of people."""

from chargeback_worker.allocation.writing.faults import DirectoryRefused
from chargeback_worker.api.answers import Answer, etag
from chargeback_worker.api.bodies import decoded
from chargeback_worker.api.refusals import BodyUnreadable
from chargeback_worker.api.routing import Body, Books, Routes, Sent, Who
from chargeback_worker.api.schemas.books import DirectoryAnswer, DirectoryBody
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.reports.directory import show_directory
from chargeback_worker.store.api_keys import Role

routes = Routes("directory")

_EXAMPLE = {"teams": [{"team_id": "team-123", "members": [{"user_id": "user-456"}]}]}


@routes.declare("GET", "/directory", role=Role.READ, answers={200: DirectoryAnswer})
def get_directory(books: Books) -> Answer:
    """Show the directory"""
    return _shown(books)


@routes.declare(
    "PUT",
    "/directory",
    role=Role.ADMIN,
    answers={200: DirectoryAnswer},
    refuses=(BodyUnreadable, DirectoryRefused),
    body=Body(DirectoryBody, _EXAMPLE),
)
def put_directory(books: Books, caller: Who, sent: Sent) -> Answer:
    """Replace the directory

    Whole or not at all. Months that are closed keep the one of their close.
    """
    apply_directory(books.store, decoded(sent), caller.act())
    return _shown(books)


def _shown(books: Books) -> Answer:
    found = show_directory(books.store)
    return Answer(found, headers=etag(found["directory"]["version"]))

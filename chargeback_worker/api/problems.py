"""Errors as problem documents (RFC 9457): one table says which status each of them has.

A type of problem is the name of its class, `RuleUnknown` → `rule-unknown`, so that a new error
needs a line here only where its family's status is not its own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chargeback_worker.allocation.writing.faults import Refused
from chargeback_worker.api import refusals
from chargeback_worker.api.refusals import Pointed
from chargeback_worker.errors import (
    ChargebackError,
    Conflict,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
)
from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import NotOnePeriod
from chargeback_worker.pipeline.create_invoice import NoReceiver
from chargeback_worker.pipeline.expected import NotAsExpected
from chargeback_worker.store.audit import ReasonMissing

CONTENT_TYPE = "application/problem+json"
PAGES = "/docs/errors/"
RETRY_AFTER_S = 5

# The first that fits. 400: the request alone shows it; 422: only what is stored or set does.
_STATUS: Mapping[type[Exception], int] = {
    refusals.KeyMissing: 401,
    refusals.KeyUnknown: 401,
    refusals.RoleTooLow: 403,
    refusals.OutOfScope: 403,
    refusals.NotLocal: 403,
    refusals.MethodUnknown: 405,
    refusals.BodyTooSlow: 408,
    NotAsExpected: 412,
    refusals.BodyTooLarge: 413,
    refusals.TooManyItems: 413,
    refusals.NotJson: 415,
    refusals.KeyReused: 422,
    NotOnePeriod: 422,
    NoReceiver: 422,
    ReasonMissing: 422,
    # What an operator set is not the caller's mistake.
    Misconfigured: 500,
    Invalid: 400,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    refusals.InternalError: 500,
}
_WORD = re.compile(r"[A-Z][a-z0-9]*|[A-Z]+(?![a-z])")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of problem: what programs and people know it by, whatever was asked."""

    name: str
    title: str
    status: int
    meaning: str

    @property
    def uri(self) -> str:
        return f"{PAGES}{self.name}"


def kind_of(error_type: type[Exception]) -> Kind:
    """The type of problem of a class of errors, with the status that it usually has."""
    words = _WORD.findall(error_type.__name__)
    status = next(status for family, status in _STATUS.items() if issubclass(error_type, family))
    meaning = " ".join((error_type.__doc__ or "").split())
    title = " ".join(words).capitalize()
    # An error that says nothing of itself in general says it where it comes up.
    return Kind("-".join(words).lower(), title, status, meaning or f"{title}.")


def status_of(error: Exception) -> int:
    """The status of an error that came up."""
    if isinstance(error, Refused):
        return 422 if all(fault.by_state for fault in error.faults) else 400
    if isinstance(error, refusals.UsageRefused):
        return 422 if error.by_state else 400
    return kind_of(type(error)).status


def problem_document(error: ChargebackError, *, path: str, request_id: str) -> Document:
    """The body of an answer that refuses."""
    kind = kind_of(type(error))
    return {
        "type": kind.uri,
        "title": kind.title,
        "status": status_of(error),
        "detail": error.message,
        "instance": path,
        "errors": list(_errors(error)),
        "error": error.message,
        "hint": error.hint or None,
        "request_id": request_id,
    }


def internal_document(*, path: str, request_id: str) -> Document:
    """The body of the answer where the program itself failed."""
    kind = kind_of(refusals.InternalError)
    told = "The server failed to answer; nothing is known to be wrong with the request."
    return {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "detail": told,
        "instance": path,
        "errors": [],
        "error": told,
        "hint": f"Tell whoever runs it the request id {request_id}.",
        "request_id": request_id,
    }


def _errors(error: ChargebackError) -> Iterator[Document]:
    if isinstance(error, Pointed):
        for one in error.at:
            yield {one.kind: one.place, "detail": one.detail, "code": one.code}
    elif isinstance(error, Refused):
        for fault in error.faults:
            yield {
                "pointer": f"#{pointer(fault.path)}",
                "detail": fault.sentence,
                "code": str(fault.kind),
            }


def pointer(path: tuple[str | int, ...]) -> str:
    """A JSON pointer (RFC 6901) of a place."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def kinds() -> dict[str, Kind]:
    """Every type of problem that there is, by name."""
    found: dict[str, Kind] = {}
    waiting: list[type[Exception]] = [ChargebackError, refusals.InternalError]
    while waiting:
        error_type = waiting.pop()
        waiting += error_type.__subclasses__()
        if error_type in (ChargebackError, Pointed, Refused):
            continue
        kind = kind_of(error_type)
        found[kind.name] = kind
    return dict(sorted(found.items()))

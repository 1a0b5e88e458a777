"""The program that answers: all routes, what surrounds each request, and how errors are told."""

import re
import time
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chargeback_worker import __version__
from chargeback_worker.api import openapi
from chargeback_worker.api.problems import (
    CONTENT_TYPE,
    RETRY_AFTER_S,
    internal_document,
    problem_document,
    status_of,
)
from chargeback_worker.api.refusals import MethodUnknown, PathUnknown
from chargeback_worker.api.routes import ALL
from chargeback_worker.api.routing import refused_parameters
from chargeback_worker.api.turns import Turns
from chargeback_worker.app import App
from chargeback_worker.app.recording import Recorder
from chargeback_worker.errors import ChargebackError
from chargeback_worker.invoicing.document import encode

REQUEST_ID = "X-Request-ID"
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_PROBES = ("/healthz", "/readyz")
_log = structlog.get_logger(__name__)


class Health(Protocol):
    """What the process knows of itself: each part that is not well, or not ready."""

    def stuck(self) -> Mapping[str, str]: ...

    def not_ready(self) -> Mapping[str, str]: ...


def build(books: App, health: Health) -> ASGIApp:
    """The program on these books. It opens nothing, and closes nothing."""
    return Requests(program_of(books, health))


def program_of(books: App | None = None, health: Health | None = None) -> FastAPI:
    """The routes; without books only to be looked at."""
    program = FastAPI(
        title="Chargeback worker",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    program.state.books = books
    program.state.health = health
    program.state.recorder = recorder = None if books is None else Recorder(books)
    program.state.turns = None if recorder is None else Turns.of(recorder)
    for routes in ALL:
        # Not included: the routes themselves are what is matched, listed and described.
        program.router.routes.extend(routes.routes)
    # Anybody may ask for it, and to make it takes long.
    program.openapi = cache(lambda: openapi.document(program))  # type: ignore[method-assign]
    program.add_exception_handler(ChargebackError, _refusal)
    program.add_exception_handler(RequestValidationError, _bad_parameters)
    program.add_exception_handler(HTTPException, _not_served)
    program.add_exception_handler(Exception, _fault)
    return program


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChargebackError)
    return refusal(request, error)


def refusal(request: Request, error: ChargebackError) -> Response:
    """The problem document of an error."""
    status = status_of(error)
    document = problem_document(
        error, path=request.url.path, request_id=request.scope["request_id"]
    )
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="chargeback"'
    if isinstance(error, MethodUnknown):
        headers["Allow"] = ", ".join(error.allowed)
    if status >= 500:
        _log.warning("request refused", action="refused", error=error.message)
    return Response(encode(document), status, headers, CONTENT_TYPE)


async def _bad_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refusal(request, refused_parameters(error))


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return refusal(request, MethodUnknown(request.method, _methods(request)))
    return refusal(request, PathUnknown(request.url.path))


async def _fault(request: Request, error: Exception) -> Response:
    """A fault of ours; what it is, the log says."""
    request_id = request.scope["request_id"]
    document = internal_document(path=request.url.path, request_id=request_id)
    return Response(encode(document), document["status"], media_type=CONTENT_TYPE)


def _methods(request: Request) -> set[str]:
    """The methods of all routes that have the path."""
    found: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return found


class Requests:
    """Around each request: its id, a line in the log, and an answer where the program fails."""

    def __init__(self, program: ASGIApp) -> None:
        self.program = program

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.program(scope, receive, send)
            return
        request_id = scope["request_id"] = _request_id(scope)
        began, status = time.monotonic(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (REQUEST_ID.lower().encode(), request_id.encode())]
                message = {**message, "headers": [*headers, *_HEADERS]}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.program(scope, receive, told)
            except ClientDisconnect:
                _log.info("client went away", action="client_gone", path=scope["path"])
            except Exception as error:
                # Answered already, by `_fault`, unless an answer was under way.
                _log.error("request failed", action="request_failed", exc_info=error)
            finally:
                _tell(scope, status, time.monotonic() - began)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    if scope["path"] in _PROBES and status == 200:
        return
    caller = scope.get("state", {}).get("caller")
    _log.info(
        "request",
        action="request",
        method=scope["method"],
        path=scope["path"],
        status=status,
        ms=round(seconds * 1000, 1),
        by=None if caller is None else caller.actor,
    )


def _request_id(scope: Scope) -> str:
    """The one that came with the request, where it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: Any = value.decode("latin-1")
            if _GIVEN_ID.fullmatch(given):
                return str(given)
    return uuid.uuid4().hex

"""What every route has: a role, a limit, and a check of what is asked before it is done.

A route is a function that takes what was asked and gives an answer; what comes before and after it
is here, once for all.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from chargeback_worker.allocation.writing.place import near
from chargeback_worker.api import bodies
from chargeback_worker.api.access import LOCAL, Caller, Scoped, admit
from chargeback_worker.api.in_time import in_time
from chargeback_worker.api.refusals import At, ParameterRefused, StillUnderWay, TookTooLong
from chargeback_worker.api.repeated import Repeatable, digest_of
from chargeback_worker.api.turns import Turns
from chargeback_worker.app import App
from chargeback_worker.app.recording import Recorder
from chargeback_worker.store.api_keys import Role

PREFIX = "/api/chargeback"
Served = TypeVar("Served", bound=Callable[..., Any])


class _Text(PathConvertor):
    """The rest of a path, whatever it is: an id may hold a slash, and even the end of a line."""

    regex = "(?s:.*)"


register_url_convertor("text", _Text())


@dataclass(frozen=True, slots=True)
class Body:
    """What a route takes as its body. `model` is its shape, but for the media types that have a
    schema of their own in `unlike`."""

    model: type[BaseModel] | None = None
    example: object = None
    media_types: Sequence[str] = (bodies.JSON,)
    unlike: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    most: int = bodies.BODY_BYTES_MAX
    required: bool = True
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said of a route besides its path; `role` None is open to everybody.

    `writes` is whether it changes anything.
    """

    role: Role | None
    scoped: Scoped
    answers: dict[int, type[BaseModel] | str]
    refuses: tuple[type[Exception], ...] = ()
    body: Body | None = None
    writes: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class Route(APIRoute):
    """A route whose function was declared; there is no other."""

    @property
    def declared(self) -> Declared:
        found = getattr(self.endpoint, "declared", None)
        assert isinstance(found, Declared), f"{self.path} says nothing of who may ask"
        return found

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        declared, answer = self.declared, super().get_route_handler()
        known = set(_query_names(self.dependant))

        async def handle(request: Request) -> Response:
            books: App = request.app.state.books
            seconds = books.settings.api.request_timeout.total_seconds()
            if declared.role is not None:
                # In time too: all threads may be held by what was given up.
                keys = request.app.state.turns.keys
                admitted = admit(request, keys, declared.role, declared.scoped)
                request.state.caller = await in_time(admitted, seconds, TookTooLong)
            _check_parameters(request, known)
            if declared.body is not None:
                await _take_body(request, declared.body)
            if _is_streamed(declared):
                # It may take as long as it comes; each of its transactions must end in time.
                return await answer(request)
            work: Coroutine[Any, Any, Response]
            if request.method == "POST" and "idempotency-key" in request.headers:
                answers = request.app.state.turns.answers
                owner, digest = request.state.caller.owner, _digest(request)
                repeatable = Repeatable(answers, owner, request, digest, seconds)
                work = repeatable.answer(lambda: answer(request))
            else:
                work = answer(request)
            return await in_time(work, seconds, StillUnderWay if declared.writes else TookTooLong)

        return handle


class Routes(APIRouter):
    """The routes of one resource."""

    def __init__(self, resource: str, prefix: str = PREFIX) -> None:
        super().__init__(prefix=prefix, route_class=Route, tags=[resource], redirect_slashes=False)

    def declare(
        self,
        method: str,
        path: str,
        *,
        role: Role | None,
        scoped: Scoped = Scoped.NEVER,
        answers: dict[int, type[BaseModel] | str],
        refuses: Sequence[type[Exception]] = (),
        body: Body | None = None,
        **options: Any,
    ) -> Callable[[Served], Served]:
        """Serve a function. `answers` are what it answers with, by status; `refuses` the errors of
        its own that it may raise."""

        def serve(function: Served) -> Served:
            writes = method != "GET" and role is not Role.READ
            declared = Declared(role, scoped, answers, tuple(refuses), body, writes)
            function.declared = declared  # type: ignore[attr-defined]
            self.add_api_route(
                path, function, methods=[method], response_model=None, name=function.__name__,
                operation_id=function.__name__, **options,
            )  # fmt: skip
            return function

        return serve


def _query_names(dependant: Dependant) -> Iterator[str]:
    """The parameters of a query, those that several routes share too."""
    yield from (param.alias for param in dependant.query_params)
    for shared in dependant.dependencies:
        yield from _query_names(shared)


def _books(request: Request) -> App:
    books: App = request.app.state.books
    return books


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _sent(request: Request) -> bytes:
    sent: bytes = request.state.sent
    return sent


async def _take_books(request: Request) -> App:
    return _books(request)


async def _take_caller(request: Request) -> Caller:
    return _caller(request)


async def _take_sent(request: Request) -> bytes:
    return _sent(request)


async def _take_recorder(request: Request) -> Recorder:
    recorder: Recorder = request.app.state.recorder
    return recorder


async def _take_turns(request: Request) -> Turns:
    turns: Turns = request.app.state.turns
    return turns


Books = Annotated[App, Depends(_take_books)]
Taking = Annotated[Recorder, Depends(_take_recorder)]
Waiting = Annotated[Turns, Depends(_take_turns)]
Who = Annotated[Caller, Depends(_take_caller)]
Sent = Annotated[bytes, Depends(_take_sent)]


def _is_streamed(declared: Declared) -> bool:
    return declared.body is not None and declared.body.streamed


async def _take_body(request: Request, body: Body) -> None:
    announced = request.headers.get("content-type")
    # A request without a body must say JSON as well: no page of another site can do that unasked.
    if body.required or announced or request.state.caller.owner == LOCAL:
        bodies.require_media_type(request, body.media_types)
    if not body.streamed:
        request.state.sent = await bodies.read_body(request, body.most)


def _check_parameters(request: Request, known: set[str]) -> None:
    """Raises ParameterRefused for what is not known, or is given twice: what was meant is unclear,
    and a filter that is not heard shows too much."""
    faults = []
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    for name in dict.fromkeys(names):
        if name not in known:
            faults.append(At("parameter", name, f"is no parameter here{near(name, known)}"))
        elif names.count(name) > 1:
            faults.append(At("parameter", name, "is given more than once"))
    for name, value in given:
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            faults.append(At("parameter", name, "holds a character that no text can hold"))
    if faults:
        raise ParameterRefused(faults)


def refused_parameters(error: RequestValidationError) -> ParameterRefused:
    """What the framework found wrong with parameters, in our form."""
    faults = []
    for found in error.errors():
        kind = "header" if found["loc"][0] == "header" else "parameter"
        place = str(found["loc"][-1])
        faults.append(At(kind, place, found["msg"].removeprefix("Value error, ")))
    return ParameterRefused(faults)


def _digest(request: Request) -> bytes:
    """What must be the same for a request to be the same one."""
    parts = (
        request.method.encode(),
        request.url.path.encode(),
        request.url.query.encode(),
        request.headers.get("if-match", "").encode(),
        getattr(request.state, "sent", b""),
    )
    return digest_of(parts)

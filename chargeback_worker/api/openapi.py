"""The OpenAPI document, made from what the routes declare, so that it says what they do."""

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chargeback_worker import __version__
from chargeback_worker.allocation.writing.faults import RulesRefused
from chargeback_worker.api import refusals
from chargeback_worker.api.access import Scoped
from chargeback_worker.api.problems import CONTENT_TYPE, PAGES, Kind, kind_of
from chargeback_worker.api.refusals import UsageRefused
from chargeback_worker.api.repeated import HEADER, KEY_LENGTH_MAX, REPEATED
from chargeback_worker.api.routing import Declared, Route
from chargeback_worker.api.schemas.common import Problem
from chargeback_worker.documents.formats import FORMATS
from chargeback_worker.errors import Unavailable
from chargeback_worker.store.api_keys import Role

_REF = "#/components/schemas/{model}"
_STORE_AWAY = "The store did not answer. Nothing was done, or it can be done again safely."
_DESCRIPTION = (
    "Usage of AI agents, who bears its cost, and the invoices. Amounts are JSON numbers with their"
    " exact decimal digits. Without any API key only this machine may ask."
)


def document(program: FastAPI) -> dict[str, Any]:
    """The document as it is served and committed."""
    routes = served(program)
    made = get_openapi(
        title="Chargeback worker",
        version=__version__,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        routes=program.routes,
    )
    references, schemas = models_json_schema(
        [(model, mode) for model, mode in dict.fromkeys(_with_modes(routes))]
        + [(Problem, "serialization")],
        ref_template=_REF,
    )
    for route in routes:
        method = min(route.methods or ()).lower()
        operation = made["paths"][route.path_format][method]
        _describe(operation, route, references)
    of_parameters = made.get("components", {}).get("schemas", {})
    told = {name: schema for name, schema in of_parameters.items() if name not in _NOT_OURS}
    made["components"] = {
        "schemas": dict(sorted({**told, **schemas["$defs"]}.items())),
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    }
    return made


def served(program: FastAPI) -> list[Route]:
    """The routes that the document is about."""
    return [
        route for route in program.routes if isinstance(route, Route) and route.include_in_schema
    ]


def problems_of(declared: Declared, *, repeatable: bool = False) -> dict[int, list[Kind]]:
    """The types of problems that a route may answer with, by status."""
    found: dict[int, list[Kind]] = {}
    repeated = [refusals.KeyReused] if repeatable else []
    for error in [*declared.refuses, *repeated, *_everywhere(declared)]:
        kind = kind_of(error)
        statuses = [kind.status]
        if issubclass(error, UsageRefused | RulesRefused):
            statuses = [400, 422]
        for status in statuses:
            if kind not in found.setdefault(status, []):
                found[status].append(kind)
    return dict(sorted(found.items()))


def _everywhere(declared: Declared) -> Iterator[type[Exception]]:
    """What is refused before a route is reached, or whatever it does."""
    yield refusals.ParameterRefused
    if declared.role is not None:
        yield from (refusals.KeyMissing, refusals.KeyUnknown, refusals.NotLocal, Unavailable)
        yield refusals.TookTooLong
        if declared.writes:
            yield refusals.StillUnderWay
        if declared.role is not Role.READ:
            yield refusals.RoleTooLow
        if declared.scoped is Scoped.NEVER:
            yield refusals.OutOfScope
    if declared.body is not None:
        yield from (refusals.NotJson, refusals.BodyTooLarge, refusals.BodyTooSlow)


def _with_modes(routes: Iterable[Route]) -> Iterator[tuple[type[BaseModel], Any]]:
    for route in routes:
        body = route.declared.body
        if body is not None and body.model is not None:
            yield body.model, "validation"
        for answer in route.declared.answers.values():
            if not isinstance(answer, str):
                yield answer, "serialization"


def _describe(operation: dict[str, Any], route: Route, references: dict[Any, Any]) -> None:
    declared = route.declared
    summary, _, text = (route.endpoint.__doc__ or "").strip().partition("\n")
    operation["summary"] = summary
    operation["description"] = " ".join(text.split()) + _who(declared)
    operation["responses"] = {
        **{str(status): _answer(status, of, references) for status, of in declared.answers.items()},
    }
    for status, kinds in problems_of(declared, repeatable=_is_repeatable(route)).items():
        if status not in declared.answers:
            operation["responses"][str(status)] = _refusal(status, kinds)
    operation["responses"] = dict(sorted(operation["responses"].items()))
    if declared.role is not None:
        operation["security"] = [{"bearer": []}, {"key": []}, {}]
    if declared.body is not None:
        operation["requestBody"] = _body(declared, references)
    if "POST" in (route.methods or ()):
        operation.setdefault("parameters", []).append(_IDEMPOTENCY)
        for status in declared.answers:
            operation["responses"][str(status)].setdefault("headers", {})[REPEATED] = _REPLAYED
    _with_etag(operation, route)


def _is_repeatable(route: Route) -> bool:
    """Whether its answers are kept for who tries again; a stream is stored again instead."""
    body = route.declared.body
    return "POST" in (route.methods or ()) and not (body is not None and body.streamed)


def _who(declared: Declared) -> str:
    if declared.role is None:
        return " Needs no key."
    scope = "sees its own" if declared.scoped.value == "own" else "is refused"
    return f" Needs the role `{declared.role}`; a key with a scope {scope}."


def _answer(status: int, of: type[BaseModel] | str, references: dict[Any, Any]) -> dict[str, Any]:
    description = HTTPStatus(status).phrase
    if isinstance(of, str):
        media_types = [form.media_type.partition(";")[0] for form in FORMATS.values()]
        if of != "document":
            media_types = [of]
        content: dict[str, Any] = {media_type: {} for media_type in media_types}
    else:
        content = {"application/json": {"schema": references[of, "serialization"]}}
    return {"description": description, "content": content}


def _refusal(status: int, kinds: list[Kind]) -> dict[str, Any]:
    names = ", ".join(f"`{PAGES}{kind.name}`" for kind in kinds)
    found: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}: {names}",
        "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
    }
    if status == 503:
        others = [kind.name for kind in kinds if kind != kind_of(Unavailable)]
        told = [f"Also: {', '.join(f'`{PAGES}{name}`' for name in others)}."] if others else []
        found["description"] = " ".join((_STORE_AWAY, *told))
        found["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "required": True}}
    if status == 401:
        found["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}
    return found


def _body(declared: Declared, references: dict[Any, Any]) -> dict[str, Any]:
    body = declared.body
    assert body is not None
    content: dict[str, Any] = {}
    for media_type in body.media_types:
        content[media_type] = {}
        if media_type in body.unlike:
            content[media_type]["schema"] = body.unlike[media_type]
        elif body.model is not None:
            content[media_type]["schema"] = references[body.model, "validation"]
        if body.example is not None:
            content[media_type]["example"] = body.example
    return {"required": body.required, "content": content}


def _with_etag(operation: dict[str, Any], route: Route) -> None:
    if any(one.get("name") == "If-Match" for one in operation.get("parameters", [])) or (
        route.name in ("get_allocation_rule", "create_allocation_rule", "get_period")
    ):
        for status, response in operation["responses"].items():
            if status.startswith("2") and route.name not in _WITHOUT_ETAG:
                response.setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}


# The framework's own form of what we refuse in ours.
_NOT_OURS = ("HTTPValidationError", "ValidationError")
_WITHOUT_ETAG = ("delete_allocation_rule", "close_period")
_IDEMPOTENCY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Random; the same one tries the same request again, which is answered as before"
    " for 48 hours and not done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX},
}
_REPLAYED = {
    "description": "`true` where this is what was answered before.",
    "schema": {"type": "string"},
}


def _print() -> None:
    from chargeback_worker.api.program import program_of

    print(json.dumps(program_of().openapi(), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    _print()

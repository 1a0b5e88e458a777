"""Holds every answer that a test gets against the OpenAPI document: its status, type and shape."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

from chargeback_worker.api.program import program_of


@cache
def document() -> dict[str, Any]:
    """The document as a server would serve it."""
    made: dict[str, Any] = json.loads(json.dumps(program_of().openapi()))
    return made


def require_described(
    method: str, target: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Fails where the answer is not one that the document describes."""
    operation = _operation(method, urlsplit(target).path)
    if operation is None or status == 500:
        return
    described = operation["responses"].get(str(status))
    assert described is not None, f"{method} {target}: {status} is not described: {body!r}"
    media_type = headers.get("content-type", "").partition(";")[0]
    assert media_type in described["content"], (method, target, status, media_type)
    if media_type == "application/problem+json" and status != 503:
        named = json.loads(body)["type"]
        assert f"`{named}`" in described["description"], (method, target, status, named)
    for name, header in described.get("headers", {}).items():
        assert not header.get("required") or name.lower() in headers, (target, name)
    if media_type.endswith("json") and "schema" in described["content"][media_type]:
        reference = described["content"][media_type]["schema"]["$ref"]
        _validator(reference).validate(json.loads(body))


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for pattern, operations in _patterns():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


@cache
def _patterns() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    templates = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [
        (re.compile(re.sub(r"\{[^}]*\}", "[^/]+", template)), document()["paths"][template])
        for template in templates
    ]


@cache
def _validator(reference: str) -> Any:
    schema = {"$ref": reference, "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)

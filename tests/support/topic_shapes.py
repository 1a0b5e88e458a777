"""Holds messages of the invoices topic against the AsyncAPI document."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonschema_rs

from chargeback_worker.api.asyncapi import document
from chargeback_worker.broker import Message


@cache
def described() -> dict[str, Any]:
    """The document as this release makes it."""
    made: dict[str, Any] = json.loads(document())
    return made


@cache
def shape(reference: str) -> Any:
    """What checks a value against a schema of the document."""
    schema = {"$ref": reference, "components": described()["components"]}
    return jsonschema_rs.Draft7Validator(schema, validate_formats=True)


def require_described(messages: Iterable[Message]) -> None:
    """Fails where a message is not one that the document describes."""
    by_type = {one["name"]: one for one in described()["components"]["messages"].values()}
    for message in messages:
        headers = {name: (value or b"").decode() for name, value in message.headers}
        told = by_type[headers["ce_type"]]
        shape(told["headers"]["$ref"]).validate(headers)
        shape(told["payload"]["$ref"]).validate(json.loads(message.value or b""))

"""The usage topic: the formats of an event and the envelopes around it."""

from typing import Any

from chargeback_worker.api.asyncapi.references import channel_of, key, to_schema
from chargeback_worker.api.asyncapi.usage_examples import EXAMPLES, REFUSED
from chargeback_worker.api.schemas.usage import UsageEvent
from chargeback_worker.usage.event import EVENT_BYTES_MAX
from chargeback_worker.usage.fields import TEXT_MAX

OPERATION: dict[str, Any] = {
    "action": "receive",
    "channel": {"$ref": "#/channels/usage"},
    "summary": "Each event counts once, however often it comes; ends as accepted, duplicate,"
    " conflict or quarantined.",
}
RENAMED = {"usage_id": "call_id", "resource_type": "operation_type", "quantity": "total_tokens"}
"""What a CostRecord calls the fields of a usage record."""

_DESCRIPTION = (
    "JSON values, in any of these forms. An event is the same event when its source and id are the"
    " same, for ever: sent again it is a duplicate, with other content a conflict. What cannot be"
    " read goes to quarantine and stops nothing (`x-refused` has examples)."
)
_KEY = "Any; the team id is advised, so that a team's events stay in order."
_NEEDED = {
    "id": {
        "type": ["string", "integer"],
        "minLength": 1,
        "maxLength": TEXT_MAX,
        "description": "The same for the same use, for ever. A whole number is read as its text.",
    },
    "timestamp": {
        "type": "string",
        "format": "date-time",
        "description": "When it was used. ISO 8601; without a zone it is read as UTC.",
    },
}


def channel(address: str) -> dict[str, Any]:
    found = channel_of(
        address,
        "Usage events",
        _DESCRIPTION,
        list(_TITLES),
        # A topic that compacts deletes usage before it is counted.
        {"cleanup.policy": ["delete"]},
    )
    return {**found, "x-refused": REFUSED}


def messages() -> dict[str, Any]:
    return {
        name: {
            "name": name,
            "title": title,
            "contentType": content_type,
            "payload": to_schema(name),
            **({"headers": to_schema("cloudEventHeaders")} if name == "cloudEventBinary" else {}),
            "bindings": key(_KEY),
            "examples": EXAMPLES[name],
        }
        for name, (title, content_type) in _TITLES.items()
    }


def schemas() -> dict[str, Any]:
    record, cost_record = _properties(), _properties(RENAMED)
    data = {"anyOf": [_object(record, "cost_usd"), _object(cost_record, "cost_usd")]}
    return {
        "usageRecord": _object(record, "usage_id", "timestamp", "cost_usd"),
        "costRecord": _object(cost_record, "call_id", "timestamp", "cost_usd"),
        "cloudEvent": _structured(data),
        "cloudEventBinary": data,
        "cloudEventHeaders": _headers(),
    }


def _properties(renamed: dict[str, str] | None = None) -> dict[str, Any]:
    """The fields as the HTTP API declares them, where an id and a time may not be left out."""
    declared = UsageEvent.model_json_schema()["properties"]
    found: dict[str, Any] = {}
    for name, schema in declared.items():
        kept = {of: value for of, value in schema.items() if of not in ("title", "default")}
        needed = _NEEDED.get("id" if name == "usage_id" else name)
        found[(renamed or {}).get(name, name)] = needed or kept
    return found


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": True,
        "description": "Fields that are not named here count as metadata; `team_id` and `user_id`"
        f" may stand in `metadata`. At most {EVENT_BYTES_MAX:,} bytes.",
    }


def _structured(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["specversion"],
        "oneOf": [{"required": ["data"]}, {"required": ["data_base64"]}],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "description": "The id, where the data has none of its own."},
            "source": {"type": "string", "description": "Part of the identity then."},
            "time": {"type": "string", "format": "date-time"},
            "type": {"type": "string"},
            "data": data,
            "data_base64": {"type": "string", "contentEncoding": "base64"},
        },
        "additionalProperties": True,
    }


def _headers() -> dict[str, Any]:
    names = ("ce_id", "ce_source", "ce_time", "ce_type")
    return {
        "type": "object",
        "required": ["ce_specversion"],
        "properties": {
            "ce_specversion": {"const": "1.0"},
            **{name: {"type": "string"} for name in names},
        },
        "additionalProperties": True,
    }


_TITLES = {
    "usageRecord": ("Usage record", "application/json"),
    "costRecord": ("CostRecord of CostTracker", "application/json"),
    "cloudEvent": ("CloudEvent 1.0 in structured mode", "application/cloudevents+json"),
    "cloudEventBinary": ("CloudEvent 1.0 in binary mode", "application/json"),
}

"""The invoices topic: what is told of invoices and closed months."""

from typing import Any

from pydantic.json_schema import models_json_schema

from chargeback_worker.api.asyncapi.closed import told
from chargeback_worker.api.asyncapi.references import channel_of, key, to_schema
from chargeback_worker.api.schemas.billing import Invoice
from chargeback_worker.api.schemas.common import Instant, Money, Month, Shape
from chargeback_worker.invoicing.message import CONTENT_TYPE, SOURCE, MessageType

OPERATION: dict[str, Any] = {
    "action": "send",
    "channel": {"$ref": "#/channels/invoices"},
    "summary": "Each message at least once, in order per key.",
}
_DESCRIPTION = (
    "CloudEvents 1.0 in binary mode. Each message comes at least once: a repeat has the same"
    " `ce_id` and `seq`. Order holds per key, so `seq` shows a gap; of two messages that tell of"
    " the same invoice or close, the one with the higher `seq` holds. Across keys go by the"
    " revision."
)


class PeriodClosed(Shape):
    """A close, told once all its invoices are out."""

    period: Month
    revision: int
    invoices: int
    subtotal_usd: Money
    uninvoiced_usd: Money
    unallocated_usd: Money
    awaiting_approval: int
    closed_at: Instant


_TOLD: dict[MessageType, tuple[str, type[Shape], str, str]] = {
    MessageType.INVOICE_ISSUED: (
        "invoiceIssued",
        Invoice,
        "An invoice, as the HTTP API returns it; its arrival makes it `sent`.",
        "Who is billed: team:ID, user:ID, or both as team:ID/user:ID. Within an ID, /user: is"
        " written %2Fuser: (and %2Fuser: there %252Fuser:), so that no two have the same key.",
    ),
    MessageType.INVOICE_STATUS_CHANGED: (
        "invoiceStatusChanged",
        Invoice,
        "The invoice with its new status.",
        "Who is billed, as of the invoice issued.",
    ),
    MessageType.PERIOD_CLOSED: (
        "periodClosed",
        PeriodClosed,
        "The month is closed and all its invoices are out; once per revision.",
        "The period, as 2026-10.",
    ),
}


def channel(address: str) -> dict[str, Any]:
    names = [name for name, *_ in _TOLD.values()]
    # Kept by time, not by key: of each receiver all invoices are told.
    return channel_of(address, "Invoices", _DESCRIPTION, names, {"cleanup.policy": ["delete"]})


def messages() -> dict[str, Any]:
    examples = told()
    return {
        name: {
            "name": of.value,
            "title": summary,
            "contentType": CONTENT_TYPE,
            "headers": to_schema(f"{name}Headers"),
            "payload": to_schema(model.__name__),
            "bindings": key(keyed_by),
            "examples": examples[of],
        }
        for of, (name, model, summary, keyed_by) in _TOLD.items()
    }


def schemas() -> dict[str, Any]:
    _, made = models_json_schema(
        [(model, "serialization") for model in (Invoice, PeriodClosed)],
        ref_template="#/components/schemas/{model}",
    )
    headers = {f"{name}Headers": _headers(of) for of, (name, *_) in _TOLD.items()}
    return {**made["$defs"], **headers}


def _headers(of: MessageType) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "Stable: a repeat has the same."},
        "ce_type": {"const": of.value},
        "ce_source": {"const": SOURCE},
        "ce_time": {"type": "string", "format": "date-time"},
        "content-type": {"const": CONTENT_TYPE},
        "seq": {
            "type": "string",
            "pattern": "^[1-9][0-9]{0,17}$",
            "description": "Counts from 1 per key.",
        },
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }

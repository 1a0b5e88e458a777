"""The AsyncAPI document: what may be sent to the usage topic, and what comes on the invoices topic.

Owns: `docs/asyncapi.json`, which `make asyncapi` writes. Its shapes are those of the HTTP API, and
its headers and payloads what the steps write: the examples of invoices are what a close of the
examples of usage publishes.

Does not own: how an event is read (`usage`), nor what a message says (`invoicing.message`).

Invariants:
* Examples of usage stand in the order in which they are sent; the name of each begins with what
  becomes of it then. What is refused stands apart, under `x-refused`, with the reason.
* The same release writes the same document: no clock is read, no id is drawn.
"""

from typing import Any

import msgspec

from chargeback_worker import __version__
from chargeback_worker.api.asyncapi import invoices, usage
from chargeback_worker.settings import Kafka

__all__ = ["document"]

_DESCRIPTION = (
    "The two topics of the worker: usage events in, invoices out. Topics are named as"
    " `kafka.usage_topic` and `kafka.invoices_topic` say; these are their defaults. Amounts are"
    " JSON numbers with their exact decimal digits: read them as decimals, not as floats."
)


def document() -> bytes:
    """The document as it is committed: JSON, for people too."""
    return msgspec.json.format(msgspec.json.encode(_document()), indent=1) + b"\n"


def _document() -> dict[str, Any]:
    kafka = Kafka()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chargeback worker",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "`kafka.bootstrap_servers`",
                "variables": {"bootstrap": {"default": kafka.bootstrap_servers[0]}},
            }
        },
        "channels": {
            "usage": usage.channel(kafka.usage_topic),
            "invoices": invoices.channel(kafka.invoices_topic),
        },
        "operations": {"ingest": usage.OPERATION, "publish": invoices.OPERATION},
        "components": {
            "messages": {**usage.messages(), **invoices.messages()},
            "schemas": {**usage.schemas(), **invoices.schemas()},
        },
    }

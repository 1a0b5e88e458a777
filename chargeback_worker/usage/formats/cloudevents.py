"""CloudEvents 1.0: an envelope around any format, in the value (structured) or in headers (binary).

Its id, source and time are used only where the data has none; all else of it is left aside, so
that the same data counts once in whatever envelope it comes.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

from chargeback_worker.usage.json_object import JsonObject, decode_object, kind_of
from chargeback_worker.usage.refusal import Reason, Refusal, shown

_VERSION = "1.0"
_HEADERS = {
    "ce_specversion": "specversion",
    "ce_id": "id",
    "ce_source": "source",
    "ce_time": "time",
}


class Envelope(NamedTuple):
    """The data of a CloudEvent, and the attributes that may stand in for missing fields."""

    data: JsonObject
    id: object
    source: object
    time: object


def open_envelope(
    document: JsonObject, headers: Sequence[tuple[str, bytes | None]]
) -> Envelope | None:
    """The envelope around an event, or None for a bare one. Raises Refusal.

    A value that is a structured CloudEvent is one whatever the headers say: bridges add their own.
    """
    if "specversion" in document:
        _check_version(document["specversion"])
        return Envelope(
            _data(document), document.get("id"), document.get("source"), document.get("time")
        )
    attributes = _attributes(headers)
    if "specversion" not in attributes:
        return None
    _check_version(attributes["specversion"])
    return Envelope(
        document, attributes.get("id"), attributes.get("source"), attributes.get("time")
    )


def _check_version(version: object) -> None:
    if version != _VERSION:
        raise Refusal(
            Reason.UNKNOWN_VERSION,
            f'The specversion of the CloudEvent is {shown(version)}; only "{_VERSION}" is known.',
        )


def _data(document: JsonObject) -> JsonObject:
    data = document.get("data")
    if type(data) is dict:
        return data
    if data is not None:
        raise Refusal(
            Reason.NOT_AN_OBJECT, f"The data of the CloudEvent is {kind_of(data)}, not an object."
        )
    encoded = document.get("data_base64")
    if encoded is None:
        raise Refusal(Reason.NOT_AN_OBJECT, "The CloudEvent carries no data.")
    if type(encoded) is not str:
        raise Refusal(Reason.WRONG_TYPE, f"data_base64 is {shown(encoded)}, not a text.")
    try:
        return decode_object(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as fault:
        raise Refusal(Reason.NOT_JSON, f"data_base64 cannot be decoded: {fault}.") from None
    except Refusal as refusal:
        raise Refusal(refusal.reason, f"In data_base64: {refusal.detail}") from None


def _attributes(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, str]:
    """The attributes in headers; those of other standards may hold anything and are left aside."""
    found: dict[str, str] = {}
    for header, value in headers:
        attribute = _HEADERS.get(header)
        if attribute is None or value is None:
            continue
        if attribute in found:
            raise Refusal(Reason.DUPLICATE_KEYS, f"The header {header} comes twice.")
        try:
            text = value.decode()
        except UnicodeDecodeError:
            raise Refusal(
                Reason.BAD_TEXT, f"The header {header} is {shown(value)}, which is not UTF-8."
            ) from None
        if "\0" in text:
            raise Refusal(Reason.BAD_TEXT, f"The header {header} holds the character NUL.")
        found[attribute] = text
    return found

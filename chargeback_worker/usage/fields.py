"""What a format finds in an event, not yet checked, and how each kind of value is checked."""

import msgspec

from chargeback_worker.money import NANO, NUMBER_TEXT_MAX, NotADecimal, OutOfRange, nano_from_text
from chargeback_worker.usage.json_object import JsonObject
from chargeback_worker.usage.refusal import Reason, Refusal, shown

TEXT_MAX = 512
"""Characters of an id, a team, user, agent, resource type or label."""


class Fields(msgspec.Struct, gc=False):
    """The fields of an event under their common names, each as it was decoded.

    `rest` holds the top-level fields that the format does not know; they count as metadata.
    """

    usage_id: object
    timestamp: object
    team: object
    user: object
    agent: object
    resource_type: object
    resource_id: object
    quantity: object
    cost: object
    metadata: object
    rest: JsonObject


_POINTERS = {"the id": "/usage_id", "the resource type": "/resource_type"}

MISSING = (None, "")
"""Absent, null and empty are the same for an id, a team, a user, an agent and a time."""


def identifier(value: object, field: str) -> str | None:
    """An id: a text, or an integer read as its text; None where it is missing. Raises Refusal."""
    if type(value) is str:
        if len(value) > TEXT_MAX:
            raise _too_long(value, field)
        return value or None
    if value is None:
        return None
    if type(value) is int:
        return identifier(str(value), field)
    raise _wrong_type(value, field, "a text or a whole number")


def name(value: object, field: str, default: str) -> str:
    """A text that is not an id, so that a number is a fault. Raises Refusal."""
    if type(value) is str and len(value) <= TEXT_MAX:
        return value or default
    if value is None:
        return default
    if type(value) is str:
        raise _too_long(value, field)
    raise _wrong_type(value, field, "a text")


def label(value: object, field: str) -> str | None:
    """A label: an empty text is a value, a number or boolean is its JSON text. Raises Refusal."""
    if value is None:
        return None
    if isinstance(value, bool | msgspec.Raw | int):
        value = msgspec.json.encode(value).decode()
    if type(value) is not str:
        raise _wrong_type(value, field, "a text")
    if len(value) > TEXT_MAX:
        raise _too_long(value, field)
    return value


def nano(value: object, field: str, limit: int) -> int:
    """Nano-units of a JSON number, or of a text that is a plain decimal. Raises Refusal."""
    try:
        if type(value) is msgspec.Raw:
            return nano_from_text(str(value, "ascii"), limit=limit)
        if type(value) is int:
            if abs(value) * NANO > limit:
                raise OutOfRange
            return value * NANO
        if type(value) is str:
            return nano_from_text(value, limit=limit)
    except NotADecimal:
        pass
    except OutOfRange:
        raise Refusal(
            Reason.OUT_OF_RANGE,
            f"{field} is {shown(value)}; the limit is ±{limit // NANO}, "
            f"in {NUMBER_TEXT_MAX} characters.",
            _pointer(field),
        ) from None
    raise Refusal(
        Reason.NOT_A_NUMBER,
        f"{field} is {shown(value)}, neither a number nor the text of a plain decimal number.",
        _pointer(field),
    )


def _too_long(value: str, field: str) -> Refusal:
    return Refusal(
        Reason.ID_TOO_LONG,
        f"{field} has {len(value)} characters, more than {TEXT_MAX}: {shown(value)}.",
        _pointer(field),
    )


def _wrong_type(value: object, field: str, wanted: str) -> Refusal:
    detail = f"{field} is {shown(value)}, not {wanted}."
    return Refusal(Reason.WRONG_TYPE, detail, _pointer(field))


def _pointer(field: str) -> str:
    return _POINTERS.get(field, f"/{field}")

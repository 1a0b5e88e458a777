"""Why an event is refused: a stable code for programs, and a sentence for people."""

from enum import StrEnum

import msgspec

_SHOWN_MAX = 60


class Reason(StrEnum):
    """Stable codes: they are stored with quarantined events and counted by them."""

    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    BAD_TEXT = "bad_text"
    NOT_JSON = "not_json"
    TRAILING_DATA = "trailing_data"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEYS = "duplicate_keys"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_VERSION = "unknown_version"
    NO_ID = "no_id"
    ID_TOO_LONG = "id_too_long"
    WRONG_TYPE = "wrong_type"
    MISSING_TIMESTAMP = "missing_timestamp"
    BAD_TIMESTAMP = "bad_timestamp"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    TOO_OLD = "too_old"
    MISSING_COST = "missing_cost"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event that is not counted; `detail` names the field and shows the value, shortened.

    `pointer` is the JSON pointer of that field; empty where it is the event as a whole.
    """

    reason: Reason
    detail: str
    pointer: str = ""


class Refusal(Exception):
    """How a refusal leaves the depth of this room; `Reader.read` makes it a RefusedEvent."""

    def __init__(self, reason: Reason, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.pointer = pointer


def shown(value: object) -> str:
    """A decoded value for a sentence: short, on one line, and free of what cannot be stored."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case str() | bytes():
            return shortened(repr(value[:_SHOWN_MAX]), len(value) > _SHOWN_MAX)
        case msgspec.Raw():
            return shortened(str(value, "ascii"))
        case _:
            return shortened(str(value))


def shortened(text: str, cut: bool = False) -> str:
    """At most 60 characters of a text; `cut` says that some are missing already."""
    if len(text) > _SHOWN_MAX + 2:
        return f"{text[:_SHOWN_MAX]}…"
    return f"{text}…" if cut else text

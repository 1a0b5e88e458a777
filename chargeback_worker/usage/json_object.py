"""Bytes to one JSON object, exactly: numbers keep their text, and no key comes twice.

msgspec does the work. What it lets pass is checked here: of two equal keys it takes the last, and
it accepts NUL in texts. An integer becomes an `int`, any other number a `msgspec.Raw` of its text,
which is written again digit by digit.
"""

import json
import re
from typing import NoReturn

import msgspec

from chargeback_worker.usage.refusal import Reason, Refusal, shown

NESTING_MAX = 64
"""Levels of objects and lists. Python's own limit depends on how deep the caller stands."""

JsonObject = dict[str, object]

_DECODER = msgspec.json.Decoder(float_hook=msgspec.Raw)
# An even number of backslashes before it are escaped backslashes themselves.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "a UTF-8 byte order mark; JSON has none"),
    (b"\xff\xfe", "the byte order mark of UTF-16 or UTF-32; JSON is UTF-8"),
    (b"\xfe\xff", "the byte order mark of UTF-16; JSON is UTF-8"),
    (b"\x00\x00\xfe\xff", "the byte order mark of UTF-32; JSON is UTF-8"),
)


def decode_object(text: bytes) -> JsonObject:
    """The JSON object in `text`. Raises Refusal."""
    try:
        document = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _refuse_unreadable(text, error)
    if type(document) is not dict:
        raise Refusal(
            Reason.NOT_AN_OBJECT,
            f"It is {kind_of(document)}, not an object; every event needs a message of its own.",
        )
    _check_texts(text, document)
    return document


def kind_of(value: object) -> str:
    """What a decoded value is, for a sentence."""
    match value:
        case str():
            return f"the text {shown(value)}"
        case int() | msgspec.Raw() if not isinstance(value, bool):
            return f"the number {shown(value)}"
        case _:
            return shown(value)


def _check_texts(text: bytes, document: JsonObject) -> None:
    """Refuse deep nesting, equal keys and NUL.

    Every text, key or value, has two quotes: a key that comes twice leaves more quotes than the
    decoded texts account for. Only then, or where a backslash is escaped and quotes cannot simply
    be counted, are the bytes read a second time.
    """
    texts = _texts_in(document, NESTING_MAX)
    quotes = text.count(b'"')
    if b"\\" not in text:
        if quotes != 2 * texts:
            _refuse_equal_keys(text)
        return
    if b"\\\\" in text or quotes - text.count(b'\\"') != 2 * texts:
        _refuse_equal_keys(text)
    if _ESCAPED_NUL.search(text):
        raise Refusal(
            Reason.BAD_TEXT, "A text in it holds the character NUL (\\u0000), which cannot be kept."
        )


def _texts_in(document: JsonObject, levels: int) -> int:
    """How many texts an object holds at any depth, keys included."""
    count = len(document)
    for value in document.values():
        kind = type(value)
        if kind is str:
            count += 1
        elif kind is dict or kind is list:
            count += _texts_below(value, levels - 1)
    return count


def _texts_below(value: object, levels: int) -> int:
    if not levels:
        raise _too_deep()
    if type(value) is dict:
        return _texts_in(value, levels)
    count = 0
    for item in value:  # type: ignore[attr-defined]
        kind = type(item)
        if kind is str:
            count += 1
        elif kind is dict or kind is list:
            count += _texts_below(item, levels - 1)
    return count


def _refuse_equal_keys(text: bytes) -> None:
    json.loads(text, object_pairs_hook=_distinct, parse_int=str, parse_float=str)


def _distinct(members: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in members:
        if key in seen:
            raise Refusal(
                Reason.DUPLICATE_KEYS,
                f"The field {shown(key)} comes twice in one object; which one holds is unclear.",
            )
        seen.add(key)


def _too_deep() -> Refusal:
    return Refusal(Reason.TOO_DEEP, f"Its objects and lists nest deeper than {NESTING_MAX} levels.")


def _refuse_unreadable(text: bytes, error: Exception) -> NoReturn:
    """Find out, off the fast path, what msgspec could not read, and say it."""
    if not text or text.isspace():
        raise Refusal(Reason.EMPTY, "Its value is empty.")
    _refuse_other_encodings(text)
    if isinstance(error, RecursionError):
        raise _too_deep()
    if isinstance(error, msgspec.ValidationError):
        raise Refusal(Reason.OUT_OF_RANGE, "A whole number in it has thousands of digits.")
    if "trailing characters" in str(error):
        raise Refusal(
            Reason.TRAILING_DATA, "Something follows the JSON object; a message holds one event."
        )
    constants: list[str] = []
    try:
        json.loads(text.decode(), parse_int=str, parse_float=str, parse_constant=constants.append)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as fault:
        rest = fault.doc[fault.pos :]
        where = f"character {fault.pos + 1}, {shown(rest)}" if rest else "the end"
        raise Refusal(Reason.NOT_JSON, f"It is not JSON. {fault.msg}: {where}.") from None
    if constants:
        raise Refusal(Reason.NOT_A_NUMBER, f"{constants[0]} in it is no number that JSON knows.")
    # The one thing left that Python's decoder takes and msgspec does not.
    raise Refusal(
        Reason.BAD_TEXT, "A text in it holds half of a character (a lone \\ud800-\\udfff escape)."
    )


def _refuse_other_encodings(text: bytes) -> None:
    for mark, name in _BYTE_ORDER_MARKS:
        if text.startswith(mark):
            raise Refusal(Reason.BAD_TEXT, f"It begins with {name}.")
    if text[:1] == b"\x00" or text[1:2] == b"\x00":
        raise Refusal(Reason.BAD_TEXT, "It is UTF-16 or UTF-32, or binary; JSON is UTF-8.")
    try:
        text.decode()
    except UnicodeDecodeError as fault:
        raise Refusal(
            Reason.BAD_TEXT, f"It is not UTF-8: byte {fault.start} is 0x{text[fault.start]:02x}."
        ) from None

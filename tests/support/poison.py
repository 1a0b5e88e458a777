"""Usage events that must be refused, each with its reason, for the room and for both stores.

Every event but the envelopes is GOOD with one thing changed, so that only that can be its fault.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from chargeback_worker.period import to_us
from chargeback_worker.usage.event import RawEvent, Reason

# Commands read the corpus by the real clock: nothing in it depends on the day it runs on.
NOW_US = to_us(datetime(2026, 11, 22, 12, tzinfo=UTC))
"""The clock that the corpus is meant for."""

GOOD = (
    b'{"usage_id": "u-1", "timestamp": "2026-10-31T12:00:00Z", "team_id": "T", "user_id": "U",'
    b' "agent_id": "g", "resource_type": "query", "quantity": 1, "cost_usd": 0.5, "metadata": {}}'
)
ENVELOPE: Mapping[str, object] = {"specversion": "1.0", "id": "e", "source": "/s", "type": "usage"}


class Poison(NamedTuple):
    """One refused event."""

    name: str
    raw: RawEvent
    reason: Reason


def changed(**fields: bytes | None) -> bytes:
    """GOOD with some fields replaced by JSON text, or dropped for None."""
    texts = {key: json.dumps(value).encode() for key, value in json.loads(GOOD).items()}
    for key, text in fields.items():
        if text is None:
            del texts[key]
        else:
            texts[key] = text
    members = [json.dumps(key).encode() + b": " + text for key, text in texts.items()]
    return b"{" + b", ".join(members) + b"}"


def wrapped(data: object, **attributes: object) -> bytes:
    """A structured CloudEvent around `data`."""
    return json.dumps({**ENVELOPE, "data": data, **attributes}).encode()


def _nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    return changed(metadata=b'{"a": ' + opening * depth + b"1" + closing * depth + b"}")


NO_ID_DATA = {"timestamp": "2026-10-31T12:00:00Z", "cost_usd": 1}

_NOT_JSON: list[tuple[str, bytes | None, Reason]] = [
    ("tombstone", None, Reason.TOMBSTONE),
    ("empty value", b"", Reason.EMPTY),
    ("only white space", b" \r\n\t", Reason.EMPTY),
    ("a word", b"hello", Reason.NOT_JSON),
    ("binary", bytes(range(1, 128)), Reason.NOT_JSON),
    ("truncated", GOOD[:-9], Reason.NOT_JSON),
    ("truncated in a text", GOOD[:20], Reason.NOT_JSON),
    ("single quotes", GOOD.replace(b'"', b"'"), Reason.NOT_JSON),
    ("trailing comma", GOOD[:-1] + b",}", Reason.NOT_JSON),
    ("a comment", b"// usage\n" + GOOD, Reason.NOT_JSON),
    ("a raw newline in a text", changed(team_id=b'"a\nb"'), Reason.NOT_JSON),
    ("a raw NUL in a text", changed(team_id=b'"a\x00b"'), Reason.NOT_JSON),
    ("a leading zero", changed(cost_usd=b"01"), Reason.NOT_JSON),
    ("a bare point", changed(cost_usd=b".5"), Reason.NOT_JSON),
    ("a plus sign", changed(cost_usd=b"+1"), Reason.NOT_JSON),
    ("trailing garbage", GOOD + b"x", Reason.TRAILING_DATA),
    ("two events", GOOD + b"\n" + GOOD, Reason.TRAILING_DATA),
    ("a NUL at the end", GOOD + b"\x00", Reason.TRAILING_DATA),
    ("a list", b"[" + GOOD + b"]", Reason.NOT_AN_OBJECT),
    ("an empty list", b"[]", Reason.NOT_AN_OBJECT),
    ("a text", b'"usage"', Reason.NOT_AN_OBJECT),
    ("a number", b"42", Reason.NOT_AN_OBJECT),
    ("a huge number", b"1e400", Reason.NOT_AN_OBJECT),
    ("null", b"null", Reason.NOT_AN_OBJECT),
    ("true", b"true", Reason.NOT_AN_OBJECT),
]
_TEXTS: list[tuple[str, bytes | None, Reason]] = [
    ("UTF-8 byte order mark", b"\xef\xbb\xbf" + GOOD, Reason.BAD_TEXT),
    ("UTF-16 with mark", GOOD.decode().encode("utf-16"), Reason.BAD_TEXT),
    ("UTF-16 little-endian", GOOD.decode().encode("utf-16-le"), Reason.BAD_TEXT),
    ("UTF-16 big-endian", GOOD.decode().encode("utf-16-be"), Reason.BAD_TEXT),
    ("UTF-32 with mark", GOOD.decode().encode("utf-32"), Reason.BAD_TEXT),
    ("UTF-32 big-endian", GOOD.decode().encode("utf-32-be"), Reason.BAD_TEXT),
    ("Latin-1", changed(team_id=b'"M\xfcller"'), Reason.BAD_TEXT),
    ("bad UTF-8 in a key", changed(metadata=b'{"\xff": 1}'), Reason.BAD_TEXT),
    ("a surrogate in UTF-8", changed(team_id=b'"\xed\xa0\x80"'), Reason.BAD_TEXT),
    ("overlong UTF-8", changed(team_id=b'"\xc0\x80"'), Reason.BAD_TEXT),
    ("a lone high surrogate", changed(team_id=rb'"\ud800"'), Reason.BAD_TEXT),
    ("a lone low surrogate", changed(team_id=rb'"\udc00x"'), Reason.BAD_TEXT),
    ("a high surrogate before a text", changed(team_id=rb'"\ud83dabcdef"'), Reason.BAD_TEXT),
    ("a lone surrogate in metadata", changed(metadata=rb'{"a": ["\ud800"]}'), Reason.BAD_TEXT),
    ("NUL in an id", changed(usage_id=rb'"a\u0000"'), Reason.BAD_TEXT),
    ("NUL in a team", changed(team_id=rb'"\u0000"'), Reason.BAD_TEXT),
    ("NUL after a backslash", changed(team_id=rb'"\\\u0000"'), Reason.BAD_TEXT),
    ("NUL deep in metadata", changed(metadata=rb'{"a": [{"b": "\u0000"}]}'), Reason.BAD_TEXT),
    ("NUL in a key", changed(metadata=rb'{"\u0000": 1}'), Reason.BAD_TEXT),
]
_SHAPES: list[tuple[str, bytes | None, Reason]] = [
    ("duplicate keys", changed(cost_usd=b'1, "cost_usd": 2'), Reason.DUPLICATE_KEYS),
    ("equal duplicate keys", changed(cost_usd=b'1, "cost_usd": 1'), Reason.DUPLICATE_KEYS),
    ("an escaped duplicate", changed(cost_usd=rb'1, "cost\u005fusd": 2'), Reason.DUPLICATE_KEYS),
    ("a duplicate set apart", changed(cost_usd=b'1, "cost_usd"\n : 2'), Reason.DUPLICATE_KEYS),
    (
        "duplicate keys deep inside",
        changed(metadata=b'{"a": [1, {"b": {"c": 1, "c": 1}}]}'),
        Reason.DUPLICATE_KEYS,
    ),
    (
        "duplicate keys among quotes",
        changed(metadata=rb'{"say": "\\\"a\":", "b": "\\", "b": ":"}'),
        Reason.DUPLICATE_KEYS,
    ),
    ("deep lists", _nested(100, b"[", b"]"), Reason.TOO_DEEP),
    ("deep objects", _nested(100, b'{"a": ', b"}"), Reason.TOO_DEEP),
    ("100,000 lists", b"[" * 100_000, Reason.TOO_DEEP),
    ("40,000 objects", b'{"a":' * 40_000, Reason.TOO_DEEP),
    ("100,000 lists in metadata", _nested(100_000, b"[", b"]"), Reason.TOO_DEEP),
    ("a text of 1 MB", changed(team_id=b'"' + b"x" * 1_000_000 + b'"'), Reason.TOO_LARGE),
    ("10 MB of spaces", b" " * 10_000_000, Reason.TOO_LARGE),
    ("a million keys", b"{%s}" % b",".join(b'"%d":1' % n for n in range(10**6)), Reason.TOO_LARGE),
    ("metadata is a text", changed(metadata=b'"{}"'), Reason.WRONG_TYPE),
    ("metadata is a list", changed(metadata=b"[]"), Reason.WRONG_TYPE),
    ("a list for a team", changed(team_id=b'["T"]'), Reason.WRONG_TYPE),
    ("an object for a user", changed(user_id=b'{"id": "U"}'), Reason.WRONG_TYPE),
    ("true for an agent", changed(agent_id=b"true"), Reason.WRONG_TYPE),
    ("a fraction for a team", changed(team_id=b"1.5"), Reason.WRONG_TYPE),
    ("a number for a type", changed(resource_type=b"7"), Reason.WRONG_TYPE),
    ("a list for a resource", changed(resource_id=b"[]"), Reason.WRONG_TYPE),
]
_IDS: list[tuple[str, bytes | None, Reason]] = [
    ("no known field at all", b'{"hello": "world"}', Reason.NO_ID),
    ("an empty object", b"{}", Reason.NO_ID),
    ("no id", changed(usage_id=None), Reason.NO_ID),
    ("an empty id", changed(usage_id=b'""'), Reason.NO_ID),
    ("a null id", changed(usage_id=b"null"), Reason.NO_ID),
    ("true for an id", changed(usage_id=b"true"), Reason.WRONG_TYPE),
    ("a fraction for an id", changed(usage_id=b"1.0"), Reason.WRONG_TYPE),
    ("an object for an id", changed(usage_id=b"{}"), Reason.WRONG_TYPE),
    ("an id of 10 KB", changed(usage_id=b'"' + b"x" * 10_240 + b'"'), Reason.ID_TOO_LONG),
    ("an id of 4,000 digits", changed(usage_id=b"9" * 4_000), Reason.ID_TOO_LONG),
    ("a team of 513 characters", changed(team_id=b'"' + b"x" * 513 + b'"'), Reason.ID_TOO_LONG),
    ("a type of 1 KB", changed(resource_type=b'"' + b"x" * 1_024 + b'"'), Reason.ID_TOO_LONG),
]
_TIMES: list[tuple[str, bytes | None, Reason]] = [
    ("no time", changed(timestamp=None), Reason.MISSING_TIMESTAMP),
    ("a null time", changed(timestamp=b"null"), Reason.MISSING_TIMESTAMP),
    ("an empty time", changed(timestamp=b'""'), Reason.MISSING_TIMESTAMP),
    ("seconds", changed(timestamp=b"1793448000"), Reason.BAD_TIMESTAMP),
    ("seconds with a fraction", changed(timestamp=b"1793448000.25"), Reason.BAD_TIMESTAMP),
    ("seconds as a text", changed(timestamp=b'"1793448000"'), Reason.BAD_TIMESTAMP),
    ("milliseconds", changed(timestamp=b"1793448000000"), Reason.BAD_TIMESTAMP),
    ("nanoseconds", changed(timestamp=b"1793448000000000000"), Reason.BAD_TIMESTAMP),
    ("true for a time", changed(timestamp=b"true"), Reason.BAD_TIMESTAMP),
    ("a list for a time", changed(timestamp=b"[2026, 10, 31]"), Reason.BAD_TIMESTAMP),
    ("a word for a time", changed(timestamp=b'"yesterday"'), Reason.BAD_TIMESTAMP),
    ("a bare date", changed(timestamp=b'"2026-10-31"'), Reason.BAD_TIMESTAMP),
    ("a bare hour", changed(timestamp=b'"2026-10-31T12"'), Reason.BAD_TIMESTAMP),
    ("a week date", changed(timestamp=b'"2026-W44-6T12:00:00Z"'), Reason.BAD_TIMESTAMP),
    ("a German date", changed(timestamp=b'"31.10.2026 12:00"'), Reason.BAD_TIMESTAMP),
    ("a leap second", changed(timestamp=b'"2016-12-31T23:59:60Z"'), Reason.BAD_TIMESTAMP),
    ("second 60.5", changed(timestamp=b'"2026-10-31T12:00:60.500000Z"'), Reason.BAD_TIMESTAMP),
    ("24 o'clock", changed(timestamp=b'"2026-10-31T24:00:00Z"'), Reason.BAD_TIMESTAMP),
    ("February 30", changed(timestamp=b'"2026-02-30T12:00:00Z"'), Reason.BAD_TIMESTAMP),
    ("an offset of a day", changed(timestamp=b'"2026-10-31T12:00:00+24:00"'), Reason.BAD_TIMESTAMP),
    ("a zone by name", changed(timestamp=b'"2026-10-31T12:00:00 CET"'), Reason.BAD_TIMESTAMP),
    ("spaces around", changed(timestamp=b'" 2026-10-31T12:00:00Z "'), Reason.BAD_TIMESTAMP),
    (
        "Arabic digits in a time",
        changed(timestamp='"٢٠٢٦-10-31T12:00:00Z"'.encode()),
        Reason.BAD_TIMESTAMP,
    ),
    ("a time of 100 KB", changed(timestamp=b'"' + b"2" * 100_000 + b'"'), Reason.BAD_TIMESTAMP),
    ("year 0", changed(timestamp=b'"0000-10-31T12:00:00Z"'), Reason.BAD_TIMESTAMP),
    ("year 10000", changed(timestamp=b'"10000-10-31T12:00:00Z"'), Reason.BAD_TIMESTAMP),
    ("year 1", changed(timestamp=b'"0001-01-01T00:00:00+14:00"'), Reason.TIME_OUT_OF_RANGE),
    ("1970", changed(timestamp=b'"1970-01-21T18:10:48Z"'), Reason.TIME_OUT_OF_RANGE),
    ("1999", changed(timestamp=b'"1999-12-31T23:59:59.999999Z"'), Reason.TIME_OUT_OF_RANGE),
    ("year 9999", changed(timestamp=b'"9999-12-31T23:59:59-12:00"'), Reason.TIME_OUT_OF_RANGE),
    ("a century ahead", changed(timestamp=b'"2126-11-24T12:00:00Z"'), Reason.TIME_OUT_OF_RANGE),
]
_NUMBERS: list[tuple[str, bytes | None, Reason]] = [
    ("no cost", changed(cost_usd=None), Reason.MISSING_COST),
    ("a null cost", changed(cost_usd=b"null"), Reason.MISSING_COST),
    ("NaN", changed(cost_usd=b"NaN"), Reason.NOT_A_NUMBER),
    ("-Infinity", changed(quantity=b"-Infinity"), Reason.NOT_A_NUMBER),
    ("NaN as a text", changed(cost_usd=b'"NaN"'), Reason.NOT_A_NUMBER),
    ("a word for a cost", changed(cost_usd=b'"many"'), Reason.NOT_A_NUMBER),
    ("an empty cost", changed(cost_usd=b'""'), Reason.NOT_A_NUMBER),
    ("a cost in dollars", changed(cost_usd=b'"$1"'), Reason.NOT_A_NUMBER),
    ("an underscore", changed(cost_usd=b'"1_0"'), Reason.NOT_A_NUMBER),
    ("a comma", changed(cost_usd=b'"1,5"'), Reason.NOT_A_NUMBER),
    ("a space before a number", changed(cost_usd=b'" 1"'), Reason.NOT_A_NUMBER),
    ("a zero too many", changed(cost_usd=b'"007"'), Reason.NOT_A_NUMBER),
    ("Arabic digits", changed(cost_usd='"١"'.encode()), Reason.NOT_A_NUMBER),
    ("a superscript", changed(cost_usd='"1²"'.encode()), Reason.NOT_A_NUMBER),
    ("true for a cost", changed(cost_usd=b"true"), Reason.NOT_A_NUMBER),
    ("true for a quantity", changed(quantity=b"true"), Reason.NOT_A_NUMBER),
    ("a list for a quantity", changed(quantity=b"[1]"), Reason.NOT_A_NUMBER),
    ("an object for a cost", changed(cost_usd=b'{"usd": 1}'), Reason.NOT_A_NUMBER),
    ("1e400", changed(cost_usd=b"1e400"), Reason.OUT_OF_RANGE),
    ("1e3000000", changed(cost_usd=b"1e3000000"), Reason.OUT_OF_RANGE),
    ("-1e3000000 of quantity", changed(quantity=b"-1e3000000"), Reason.OUT_OF_RANGE),
    ("an exponent of 30 digits", changed(cost_usd=b"1e" + b"9" * 30), Reason.OUT_OF_RANGE),
    ("1e3000000 as a text", changed(cost_usd=b'"1e3000000"'), Reason.OUT_OF_RANGE),
    ("a cost above the limit", changed(cost_usd=b"1000000000.0000000001"), Reason.OUT_OF_RANGE),
    ("a whole cost above the limit", changed(cost_usd=b"-1000000001"), Reason.OUT_OF_RANGE),
    ("a quantity above the limit", changed(quantity=b"1000000000000000001"), Reason.OUT_OF_RANGE),
    ("a cost of 1,000 digits", changed(cost_usd=b"9" * 1_000), Reason.OUT_OF_RANGE),
    ("a cost of 5,000 digits", changed(cost_usd=b"9" * 5_000), Reason.OUT_OF_RANGE),
    (
        "5,000 digits in metadata",
        changed(metadata=b'{"n": %s}' % (b"9" * 5_000)),
        Reason.OUT_OF_RANGE,
    ),
    ("100,000 decimals", changed(cost_usd=b"0." + b"1" * 100_000), Reason.OUT_OF_RANGE),
]
_GOOD_OBJECT: dict[str, object] = json.loads(GOOD)
_ENVELOPES: list[tuple[str, bytes | None, Reason]] = [
    ("CloudEvents 0.3", wrapped(_GOOD_OBJECT, specversion="0.3"), Reason.UNKNOWN_VERSION),
    ("a number for a version", wrapped(_GOOD_OBJECT, specversion=1.0), Reason.UNKNOWN_VERSION),
    ("a CloudEvent without data", wrapped(None), Reason.NOT_AN_OBJECT),
    ("a text for data", wrapped("usage"), Reason.NOT_AN_OBJECT),
    ("a list for data", wrapped([_GOOD_OBJECT]), Reason.NOT_AN_OBJECT),
    ("no id anywhere", wrapped(NO_ID_DATA, id=None), Reason.NO_ID),
    ("no source beside the id", wrapped(NO_ID_DATA, source=""), Reason.NO_ID),
    ("a list for the id around", wrapped(NO_ID_DATA, id=["e"]), Reason.WRONG_TYPE),
    ("no time anywhere", wrapped({"usage_id": "a", "cost_usd": 1}), Reason.MISSING_TIMESTAMP),
    (
        "a number for the time around",
        wrapped({"usage_id": "a", "cost_usd": 1}, time=1793448000),
        Reason.BAD_TIMESTAMP,
    ),
    ("a number in data_base64", wrapped(None, data_base64=7), Reason.WRONG_TYPE),
    ("no base64", wrapped(None, data_base64="@@@@"), Reason.NOT_JSON),
    (
        "duplicate keys in data_base64",
        wrapped(None, data_base64=base64.b64encode(b'{"a": 1, "a": 2}').decode()),
        Reason.DUPLICATE_KEYS,
    ),
    (
        "UTF-16 in data_base64",
        wrapped(None, data_base64=base64.b64encode("{}".encode("utf-16")).decode()),
        Reason.BAD_TEXT,
    ),
]
_NO_ID_BYTES = json.dumps(NO_ID_DATA).encode()
_HEADERS: list[tuple[str, tuple[tuple[str, bytes | None], ...], bytes | None, Reason]] = [
    ("version 2 in headers", (("ce_specversion", b"2.0"),), GOOD, Reason.UNKNOWN_VERSION),
    (
        "a header in Latin-1",
        (("ce_specversion", b"1.0"), ("ce_id", b"\xff")),
        GOOD,
        Reason.BAD_TEXT,
    ),
    ("NUL in a header", (("ce_specversion", b"1.0"), ("ce_id", b"\0")), GOOD, Reason.BAD_TEXT),
    ("a header twice", (("ce_specversion", b"1.0"),) * 2, GOOD, Reason.DUPLICATE_KEYS),
    ("no id in headers", (("ce_specversion", b"1.0"),), _NO_ID_BYTES, Reason.NO_ID),
    (
        "an id of 10 KB in headers",
        (("ce_specversion", b"1.0"), ("ce_id", b"x" * 10_240), ("ce_source", b"/s")),
        _NO_ID_BYTES,
        Reason.ID_TOO_LONG,
    ),
    ("a tombstone in an envelope", (("ce_specversion", b"1.0"),), None, Reason.TOMBSTONE),
    ("a list in an envelope", (("ce_specversion", b"1.0"),), b"[]", Reason.NOT_AN_OBJECT),
]

CORPUS: list[Poison] = [
    *(
        Poison(name, RawEvent(value), reason)
        for group in (_NOT_JSON, _TEXTS, _SHAPES, _IDS, _TIMES, _NUMBERS, _ENVELOPES)
        for name, value, reason in group
    ),
    *(Poison(name, RawEvent(value, headers), reason) for name, headers, value, reason in _HEADERS),
]

"""How the text of a setting becomes a value: durations, sizes, fractions, names, addresses.

Every reader takes what a file or the environment gives (a text; a whole number or a truth value
from TOML) or the finished value, and raises ValueError with a sentence that says what is allowed.
"""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import BeforeValidator

from chargeback_worker.errors import Invalid
from chargeback_worker.period import Period
from chargeback_worker.settings.faults import did_you_mean

_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_PART = r"([0-9]{1,18}(?:\.[0-9]{1,6})?)"
_PARTS = re.compile(rf"{_PART}\s*(us|ms|s|m|h|d|w)\s*", re.ASCII)
_SECONDS = re.compile(_PART, re.ASCII)
_ISO = re.compile(
    rf"P(?=.)(?:{_PART}W)?(?:{_PART}D)?(?:T(?=.)(?:{_PART}H)?(?:{_PART}M)?(?:{_PART}S)?)?", re.ASCII
)
_BYTES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2}
_SIZE = re.compile(r"([0-9]{1,12})\s*([A-Za-z]*)", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_FRACTION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,18})?", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:\[\],]+)(?::([0-9]{1,5}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LINES_MAX, LINE_MAX = 12, 500
_NEAR_MAX = 5
_NOTHING = ("", "none", "off", "never")
TRUTH = {"true": True, "yes": True, "on": True, "1": True}
TRUTH |= {"false": False, "no": False, "off": False, "0": False}


def read_text(value: object) -> str:
    """A name: a whole number stands for its text, so that an id need not be quoted."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or _CONTROL.search(value):
        raise ValueError("must be a text without control characters")
    return value


def read_name(value: object) -> str:
    if not (name := read_text(value).strip()):
        raise ValueError("must not be empty")
    return name


def read_whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(digits := value.strip().replace("_", "")):
        return int(digits)
    raise ValueError("must be a whole number")


def read_truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (known := TRUTH.get(value.strip().lower())) is not None:
        return known
    raise ValueError("must be true or false")


def read_duration(value: object) -> timedelta:
    """`48h`, `1h30m`, `PT48H`, or a number of seconds."""
    if isinstance(value, timedelta):
        return value
    text = str(value).strip() if isinstance(value, str | int) else ""
    if _SECONDS.fullmatch(text):
        return _microseconds([(text, "s")])
    if iso := _ISO.fullmatch(text.upper()):
        return _microseconds(
            [(count, unit) for count, unit in zip(iso.groups(), "wdhms", strict=True) if count]
        )
    parts = _PARTS.findall(text)
    if parts and re.fullmatch(rf"(?:{_PARTS.pattern})+", text, re.ASCII):
        return _microseconds(parts)
    raise ValueError("must be a duration such as 48h, 30s, 15m, 7d, PT48H or a number of seconds")


def _microseconds(parts: list[tuple[str, str]]) -> timedelta:
    total = sum(Decimal(count) * _US[unit] for count, unit in parts)
    if total > 36_525 * _US["d"]:
        raise ValueError("must be a duration of at most 100 years")
    return timedelta(microseconds=int(total))


def read_size(value: object) -> int:
    """Bytes: `1048576`, `1 MiB`, `500kB`."""
    match = _SIZE.fullmatch(str(read_text(value)).strip())
    if not match or match[2] not in _BYTES:
        raise ValueError("must be a size such as 1 MiB, 512 KiB or a number of bytes")
    return int(match[1]) * _BYTES[match[2]]


def read_fraction(value: object) -> Decimal:
    """An exact fraction from 0 to 1; a binary float is refused, as its digits are not exact."""
    text = str(value).strip() if isinstance(value, str | int | Decimal) else ""
    if not _FRACTION.fullmatch(text):
        raise ValueError("must be a plain decimal fraction from 0 to 1, for instance 0.19")
    fraction = Decimal(text)
    if fraction > 1:
        raise ValueError("must be a fraction from 0 to 1: 0.19 is 19 %")
    return fraction


def read_zone(value: object) -> str:
    name = read_text(value).strip()
    if name != "UTC" and name not in (known := available_timezones()):
        near = did_you_mean(name, known)
        raise ValueError(f"must be an IANA time zone such as UTC or Europe/Berlin{near}")
    return name


def read_period(value: object) -> Period:
    if isinstance(value, Period):
        return value
    try:
        return Period.parse(read_text(value).strip())
    except Invalid:
        raise ValueError("must be a month such as 2026-10") from None


def read_topic(value: object) -> str:
    name = read_text(value)
    if not _TOPIC.fullmatch(name) or name in (".", ".."):
        raise ValueError("must be a topic's name: 1 to 249 of the letters a-z A-Z 0-9 . _ -")
    return name


def read_list(value: object) -> tuple[str, ...]:
    """An array, or one text with commas between."""
    if isinstance(value, str):
        return tuple(part for item in value.split(",") if (part := item.strip()))
    if isinstance(value, list | tuple):
        return tuple(read_text(item) for item in value)
    raise ValueError("must be a list, or a text with commas between")


def read_lines(value: object) -> tuple[str, ...]:
    """Lines of text: an array, or one text with line ends between; a comma is part of a line."""
    given = value.splitlines() if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError("must be a list of lines, or a text with line ends between")
    lines = tuple(line for item in given if (line := read_text(item).strip()))
    if len(lines) > LINES_MAX or any(len(line) > LINE_MAX for line in lines):
        raise ValueError(f"must be at most {LINES_MAX} lines of {LINE_MAX} characters")
    return lines


def read_locale(value: object) -> str:
    """A locale of dates and numbers as babel names it, `de_CH` or `de-CH`."""
    # The tables are read where a locale is given: most commands need none.
    from babel import Locale, UnknownLocaleError, localedata

    name = read_text(value).strip().replace("-", "_")
    try:
        # It would take likely tables for a country that has none.
        found = Locale.parse(name) if localedata.exists(name) else None
    except (ValueError, UnknownLocaleError):
        found = None
    if found is None:
        raise ValueError(f"must be a locale such as en, en_GB or de_CH{_near_locale(name)}")
    return str(found)


def _near_locale(name: str) -> str:
    """One that is written alike, else those of the same language, of the same country first."""
    from babel import localedata

    known = localedata.locale_identifiers()
    language, _, country = name.partition("_")
    same = sorted(
        (other for other in known if other.partition("_")[0] == language),
        key=lambda other: (not other.endswith(f"_{country}"), len(other), other),
    )
    if near := did_you_mean(name, known):
        return near
    return f", did you mean one of {', '.join(same[:_NEAR_MAX])}?" if same else ""


def read_servers(value: object) -> tuple[str, ...]:
    servers = read_list(value)
    for server in servers:
        match = _SERVER.fullmatch(server)
        if not match or not 0 < int(match[1] or 1) < 65536:
            raise ValueError(f"must be host:port, several with commas between, not {server!r}")
    if not servers:
        raise ValueError("must name at least one host:port")
    return servers


def read_labels(value: object) -> tuple[str, ...]:
    """Sorted, so that the order of writing makes no other grain."""
    labels = tuple(sorted(read_list(value)))
    if len(labels) > 8:
        raise ValueError(f"must be at most 8 metadata keys, not {len(labels)}")
    if len(set(labels)) < len(labels):
        raise ValueError("must not name a metadata key twice")
    if any(not label or len(label) > 128 for label in labels):
        raise ValueError("must be metadata keys of 1 to 128 characters")
    return labels


def read_level(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def none_or(read: object) -> BeforeValidator:
    """The reader of a setting that may be left out: an empty text, `none`, `off` or `never`."""
    assert callable(read)

    def read_or_none(value: object) -> object:
        nothing = value is None or value is False
        return None if nothing or _is_nothing(value) else read(value)

    return BeforeValidator(read_or_none)


def _is_nothing(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower() in _NOTHING


Text = Annotated[str, BeforeValidator(read_text)]
Name = Annotated[str, BeforeValidator(read_name)]
Topic = Annotated[str, BeforeValidator(read_topic)]
Lines = Annotated[tuple[str, ...], BeforeValidator(read_lines)]
LocaleName = Annotated[str, BeforeValidator(read_locale)]
Servers = Annotated[tuple[str, ...], BeforeValidator(read_servers)]
Labels = Annotated[tuple[str, ...], BeforeValidator(read_labels)]
Zone = Annotated[str, BeforeValidator(read_zone)]
Whole = Annotated[int, BeforeValidator(read_whole)]
Size = Annotated[int, BeforeValidator(read_size)]
Fraction = Annotated[Decimal, BeforeValidator(read_fraction)]
Duration = Annotated[timedelta, BeforeValidator(read_duration)]
MaybeText = Annotated[str | None, none_or(read_text)]
MaybeDuration = Annotated[timedelta | None, none_or(read_duration)]
MaybePeriod = Annotated[Period | None, none_or(read_period)]

"""How each kind of value is read: ids, texts, truth, numbers, days.

Each reader gives the value, or notes a fault at its place and gives None.
"""

import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import TypeVar

from chargeback_worker.allocation.writing.faults import FaultKind
from chargeback_worker.allocation.writing.place import Place, near
from chargeback_worker.money import (
    NANO,
    NotADecimal,
    OutOfRange,
    TooManyDecimals,
    exact_nano_from_text,
    plain,
)
from chargeback_worker.period import YEAR_MAX, YEAR_MIN
from chargeback_worker.usage.fields import TEXT_MAX
from chargeback_worker.usage.refusal import shown

LONG_TEXT_MAX = 10_000
"""Characters of a description or an address."""

_A_FRACTION = "a fraction from 0 to 1 (0.19 is 19 %)"

T = TypeVar("T")

# Half characters too: no store and no JSON can hold them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MIDNIGHT = re.compile(r"[Tt ]00:00(?::00(?:\.0+)?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def optional(place: Place | None, read: Callable[[Place], T | None]) -> T | None:
    """What is read of a field that may be absent."""
    return None if place is None else read(place)


def identifier(place: Place) -> str | None:
    """An id: a text that is not empty, or a number read as its digits."""
    found = name(place)
    if found == "":
        place.refuse(FaultKind.MISSING, "must not be empty; leave the field out where it has none")
        return None
    return found


def name(place: Place) -> str | None:
    """A text of one line, empty or not; a number is read as its digits."""
    return one_line(place, str(place.value)) if is_text(place) else None


def is_text(place: Place) -> bool:
    """Whether it is a text or a number, which is one by its digits."""
    if isinstance(place.value, str):
        return True
    place.wrong_type("a text")
    return False


def one_line(place: Place, text: str) -> str | None:
    """A text as it may be an id, a name or a label."""
    if (control := _CONTROL.search(text)) is not None:
        _refuse_control(place, control[0])
        return None
    return _bounded(place, text, TEXT_MAX)


def paragraph(place: Place) -> str | None:
    """A text that may have lines."""
    if not is_text(place):
        return None
    text = str(place.value)
    if (control := _CONTROL_BUT_LINES.search(text)) is not None:
        _refuse_control(place, control[0])
        return None
    return _bounded(place, text, LONG_TEXT_MAX)


def _refuse_control(place: Place, control: str) -> None:
    place.refuse(FaultKind.BAD_TEXT, f"must not hold the character {shown(control)}; take it out")


def _bounded(place: Place, text: str, most: int) -> str | None:
    if len(text) > most:
        place.refuse(FaultKind.TOO_LONG, f"has {len(text):,} characters; at most {most:,} are kept")
        return None
    return text


def truth(place: Place) -> bool | None:
    if isinstance(place.value, bool):
        return place.value
    place.wrong_type("true or false, without quotes")
    return None


def one_of(place: Place, known: Iterable[str], kind: str = FaultKind.NOT_ONE_OF) -> str | None:
    """One of a few words."""
    names = list(known)
    found = place.value
    if isinstance(found, str) and found in names:
        return str(found)
    meant = near(found, names) if isinstance(found, str) else ""
    place.refuse(kind, f"must be one of {', '.join(names)}{meant}")
    return None


def nano(place: Place, limit: int, wanted: str) -> int | None:
    """An exact number in units of 10**-9, or the text of one; more than 9 decimals are refused.

    `limit` is the largest magnitude, in the same units.
    """
    written = place.value
    if not isinstance(written, str):
        place.wrong_type(wanted)
        return None
    text = str(written)
    try:
        return exact_nano_from_text(text, limit=limit)
    except NotADecimal:
        place.wrong_type(f"{wanted}, such as 33.3")
    except OutOfRange:
        place.refuse(FaultKind.OUT_OF_RANGE, f"must be {wanted} of at most {plain(limit)}")
    except TooManyDecimals:
        place.refuse(FaultKind.OUT_OF_RANGE, "must have at most 9 decimals")
    return None


def fraction(place: Place) -> int | None:
    """A fraction from 0 to 1 in units of 10**-9, as a rate is."""
    found = nano(place, NANO, _A_FRACTION)
    if found is not None and found < 0:
        place.refuse(FaultKind.OUT_OF_RANGE, f"must be {_A_FRACTION}")
        return None
    return found


def whole(place: Place, limit: int) -> int | None:
    """A whole number of at most that magnitude."""
    found = nano(place, limit * NANO, "a whole number")
    if found is not None and found % NANO:
        place.wrong_type("a whole number")
        return None
    return None if found is None else found // NANO


def day(place: Place) -> date | None:
    """A billing date, or a time that is its midnight; a written offset does not shift it."""
    written = place.value
    text = str(written) if isinstance(written, str) else ""
    rest = text[10:]
    if not _DAY.fullmatch(text[:10]) or (rest and not _MIDNIGHT.fullmatch(rest)):
        place.refuse(
            FaultKind.BAD_DATE, "must be a date such as 2026-10-01; rules and members go by days"
        )
        return None
    try:
        found = date.fromisoformat(text[:10])
    except ValueError:
        place.refuse(FaultKind.BAD_DATE, "is no day of the calendar")
        return None
    if not YEAR_MIN <= found.year <= YEAR_MAX:
        place.refuse(FaultKind.BAD_DATE, f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
        return None
    return found


def days(first: Place | None, until: Place | None) -> tuple[date | None, date | None]:
    """A half-open range of billing dates, each side of which may be open."""
    start, end = optional(first, day), optional(until, day)
    if until is not None and start is not None and end is not None and start >= end:
        until.refuse(
            FaultKind.NO_DAYS,
            f"must be later than {start}, the first day; the end itself is not part of it",
        )
    return start, end

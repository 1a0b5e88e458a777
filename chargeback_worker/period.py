"""Billing periods (calendar months in the billing time zone) and ranges of whole billing days.

A start is inclusive and an end exclusive, always.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Self

from chargeback_worker.errors import Invalid

_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
_BOUND = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
YEAR_MIN = 2000
YEAR_MAX = 9998


class InvalidRange(Invalid):
    """A period or range that cannot be read."""

    def __init__(self, text: str, fault: str) -> None:
        super().__init__(
            f"{text!r} is no period: {fault}.",
            "Write a month as 2026-10, or days as 2026-10-01/2026-11-01 (the end is exclusive).",
        )


class NotOnePeriod(Invalid):
    """A range was given where exactly one billing period is needed."""

    def __init__(self, days: "BillingRange") -> None:
        self.periods = days.periods()
        named = ", ".join(map(str, self.periods))
        super().__init__(
            f"{days} is not exactly one billing period; it touches {named}.",
            f"Name one month, for instance {self.periods[0]}.",
        )


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One calendar month: stored as its `number` (202610), written as its `str` (2026-10)."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2026-10`. Raises InvalidRange."""
        match = _MONTH.fullmatch(text)
        if not match:
            raise InvalidRange(text, "a month is written YYYY-MM")
        year, month = int(match[1]), int(match[2])
        if not 1 <= month <= 12 or not YEAR_MIN <= year <= YEAR_MAX:
            raise InvalidRange(text, f"months go from {YEAR_MIN}-01 to {YEAR_MAX}-12")
        return cls(year, month)

    @classmethod
    def from_number(cls, number: int) -> Self:
        return cls(*divmod(number, 100))

    @classmethod
    def of(cls, day: date) -> Self:
        """The period a billing day belongs to."""
        return cls(day.year, day.month)

    @property
    def number(self) -> int:
        return self.year * 100 + self.month

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def next(self) -> Self:
        return type(self)(self.year + self.month // 12, self.month % 12 + 1)

    def days(self) -> "BillingRange":
        return BillingRange(date(self.year, self.month, 1), self._first_day_after())

    def _first_day_after(self) -> date:
        following = self.next()
        return date(following.year, following.month, 1)

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """First instant of the period and of the next one, in UTC."""
        return (
            first_instant(date(self.year, self.month, 1), zone),
            first_instant(self._first_day_after(), zone),
        )


@dataclass(frozen=True, slots=True)
class BillingRange:
    """Whole billing days, `start` inclusive, `end` exclusive."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise InvalidRange(str(self), "its end is not after its start")

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.end.isoformat()}"

    @classmethod
    def parse(cls, text: str) -> "BillingRange":
        """Read `2026-10` or `2026-10-01/2026-11-01`. Raises InvalidRange."""
        if "/" not in text:
            return Period.parse(text).days()
        start, _, end = text.partition("/")
        return cls.between(start, end)

    @classmethod
    def between(cls, start: str, end: str) -> "BillingRange":
        """Read a start and an end as dates or times; a written offset shifts neither.

        The start is its date as written. The end is its date as written when its time is 00:00:00
        or absent, otherwise the next day: `2024-01-31T23:59:59Z` means the whole of that day.
        """
        start_day, _ = _bound(start)
        end_day, end_is_midnight = _bound(end)
        return cls(start_day, end_day if end_is_midnight else end_day + timedelta(days=1))

    def each(self) -> Iterator[date]:
        """Its days, in order."""
        return (self.start + timedelta(days=n) for n in range((self.end - self.start).days))

    def periods(self) -> list[Period]:
        """The billing periods it touches, in order."""
        touched = [Period.of(self.start)]
        last = Period.of(self.end - timedelta(days=1))
        while touched[-1] < last:
            touched.append(touched[-1].next())
        return touched

    def period(self) -> Period:
        """The one billing period it is. Raises NotOnePeriod."""
        period = Period.of(self.start)
        if period.days() != self:
            raise NotOnePeriod(self)
        return period


def _bound(text: str) -> tuple[date, bool]:
    match = _BOUND.fullmatch(text)
    if not match:
        raise InvalidRange(text, "a bound is a date or an ISO 8601 time")
    try:
        day = date.fromisoformat(match[1])
    except ValueError as error:
        raise InvalidRange(text, str(error)) from None
    if not YEAR_MIN <= day.year <= YEAR_MAX:
        raise InvalidRange(text, f"days go from the year {YEAR_MIN} to {YEAR_MAX}")
    time = match[2] or ""
    if time and (int(time[:2]) > 23 or int(time[3:5]) > 59 or int(time[6:8] or 0) > 59):
        raise InvalidRange(text, f"{time} is no time of day")
    return day, not time.strip("0:.")


def first_instant(day: date, zone: tzinfo) -> datetime:
    """The first instant of a local day, in UTC, also where the clocks skip midnight."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    # Where midnight is skipped, fold 0 reads it with the offset before the change, which is the
    # instant of the change itself; where it comes twice, fold 0 is the first.
    return midnight.astimezone(UTC)


def billing_day(instant: datetime, zone: tzinfo) -> date:
    """The date of an instant in the billing time zone."""
    return instant.astimezone(zone).date()


def to_us(instant: datetime) -> int:
    """Microseconds since 1970 of an aware time: how instants are stored."""
    return (instant - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The aware UTC time of stored microseconds."""
    return _EPOCH + us * _MICROSECOND


def day_number(day: date) -> int:
    """A billing day as it is stored: 20261031."""
    return day.year * 10000 + day.month * 100 + day.day


def day_from_number(number: int) -> date:
    return date(number // 10000, number // 100 % 100, number % 100)


def format_us(us: int) -> str:
    """RFC 3339 with `Z`, with as many decimals of the second as are needed."""
    return from_us(us).isoformat().replace("+00:00", "Z")

"""What is asked for in paths and queries: periods, ranges, filters, pages."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Query

from chargeback_worker.api.refusals import At, ParameterRefused, RangeTooLong
from chargeback_worker.errors import Invalid
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.usage.fields import TEXT_MAX

RANGE_DAYS_MAX = 3_660
_MONTH = r"[2-9][0-9]{3}-(0[1-9]|1[0-2])"
_DAY = rf"{_MONTH}-(0[1-9]|[12][0-9]|3[01])"
MONTH = f"^{_MONTH}$"
RANGE = f"^({_MONTH}|{_DAY}/{_DAY})$"
_SECTIONS = "a month as 2026-10, or days as 2026-10-01/2026-11-01 (the end is exclusive)"

T = TypeVar("T")

TeamFilter = Annotated[
    str | None,
    Query(max_length=TEXT_MAX, description="Only of this team; empty: of none."),
]
UserFilter = Annotated[
    str | None,
    Query(max_length=TEXT_MAX, description="Only of this user; empty: of none."),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="The most rows of a page.")]
Cursor = Annotated[
    str | None,
    # It holds names, each character of which may take eight.
    Query(max_length=16_384, description="The next_cursor of the page before."),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag of what was read; 412 where it was changed since.",
    ),
]
NamePath = Annotated[str, Path(min_length=1, max_length=TEXT_MAX)]
"""An id as a producer or a person has given it."""
PeriodPath = Annotated[str, Path(pattern=MONTH, description="A month, as 2026-10.")]


def read(name: str, reading: Callable[[], T]) -> T:
    """What a parameter says. Raises ParameterRefused with its name."""
    try:
        return reading()
    except Invalid as error:
        hint = f" {error.hint}" if error.hint else ""
        raise ParameterRefused([At("parameter", name, f"{error.message}{hint}")]) from None


async def _range(
    period: Annotated[
        str | None, Query(pattern=RANGE, description=f"Of which days: {_SECTIONS}.")
    ] = None,
    period_start: Annotated[
        str | None,
        Query(max_length=64, description="Instead of `period`: the first day, or a time on it."),
    ] = None,
    period_end: Annotated[
        str | None,
        Query(
            max_length=64,
            description="The end: exclusive where it is a date or midnight, else the whole day.",
        ),
    ] = None,
) -> BillingRange:
    return range_of(period, period_start, period_end)


Days = Annotated[BillingRange, Depends(_range)]


def range_of(period: str | None, start: str | None, end: str | None) -> BillingRange:
    """The days that are named in either way. Raises ParameterRefused, or RangeTooLong."""
    if period is not None and start is None and end is None:
        days = read("period", lambda: BillingRange.parse(period))
    elif period is None and start is not None and end is not None:
        days = read("period_start", lambda: BillingRange.between(start, end))
    else:
        both = "name the days either by period, or by period_start and period_end"
        raise ParameterRefused([At("parameter", "period", both)])
    count = (days.end - days.start).days
    if count > RANGE_DAYS_MAX:
        raise RangeTooLong(count, RANGE_DAYS_MAX)
    return days


def month(name: str, text: str) -> Period:
    """One period. Raises ParameterRefused."""
    return read(name, lambda: Period.parse(text))


def number(name: str, text: str | None) -> int | None:
    """A cursor that is a number. Raises ParameterRefused."""
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,18}", text, re.ASCII):
        raise ParameterRefused([At("parameter", name, "is no next_cursor of such a page")])
    return int(text)


def since(text: str | None) -> date | datetime | None:
    """A day, or an instant with its offset. Raises ParameterRefused."""
    if text is None:
        return None
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
        begin = datetime.fromisoformat(text)
    except ValueError:
        begin = None
    if begin is None or begin.tzinfo is None or begin.year < 2 or begin.year > 9997:
        wrong = "is neither a day as 2026-10-01 nor a time as 2026-10-01T08:00:00Z"
        raise ParameterRefused([At("parameter", "since", wrong)])
    return begin

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargeback_worker.errors import Invalid
from chargeback_worker.period import (
    BillingRange,
    InvalidRange,
    NotOnePeriod,
    Period,
    billing_day,
    day_from_number,
    day_number,
    first_instant,
    format_us,
    from_us,
    to_us,
)

# Clocks that skip or repeat midnight, half hours, a skipped day, and a change at 00:01.
ZONES = [
    "UTC", "America/New_York", "Europe/Berlin", "Asia/Beirut", "America/Sao_Paulo", "Asia/Kolkata",
    "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana",
    "Asia/Amman", "Africa/Cairo", "Asia/Tehran", "America/Asuncion", "Pacific/Kiritimati",
    "Etc/GMT+12", "Africa/Casablanca", "Asia/Gaza", "America/Scoresbysund", "Asia/Pyongyang",
]  # fmt: skip
US = timedelta(microseconds=1)
zones = st.sampled_from(ZONES).map(ZoneInfo)
periods = st.builds(Period, st.integers(2000, 9998), st.integers(1, 12))
# On 1 November 2009 the clocks of St John's went from 00:01 back to 23:01, from one month into the
# other and back, as no clocks have done since.
instants = st.datetimes(datetime(2010, 1, 2), datetime(2037, 12, 30)).map(
    lambda naive: naive.replace(tzinfo=UTC)
)
days = st.dates(date(2000, 1, 1), date(9998, 12, 31))
any_us = st.integers(
    to_us(datetime(1, 1, 2, tzinfo=UTC)), to_us(datetime(9999, 12, 30, tzinfo=UTC))
)


@given(instants, zones)
@example(datetime(2024, 3, 30, 22, tzinfo=UTC), ZoneInfo("Asia/Beirut"))
@example(datetime(2018, 11, 4, 3, tzinfo=UTC), ZoneInfo("America/Sao_Paulo"))
@example(datetime(2011, 12, 30, 10, tzinfo=UTC), ZoneInfo("Pacific/Apia"))
def test_every_instant_is_in_exactly_one_period(instant: datetime, zone: ZoneInfo) -> None:
    period = Period.of(billing_day(instant, zone))
    start, end = period.bounds(zone)
    assert start <= instant < end
    assert period.next().bounds(zone)[0] == end


@pytest.mark.parametrize("name", ZONES)
def test_the_first_instant_of_a_day_divides_it_from_the_day_before(name: str) -> None:
    zone = ZoneInfo(name)
    for offset in range(0, 9 * 366):
        day = date(2016, 1, 1) + timedelta(days=offset)
        first = first_instant(day, zone)
        assert billing_day(first - US, zone) < day <= billing_day(first, zone), day


def test_a_skipped_midnight_starts_when_the_clocks_change() -> None:
    # On 31 March 2024 Beirut's clocks went from 00:00 to 01:00.
    assert first_instant(date(2024, 3, 31), ZoneInfo("Asia/Beirut")) == datetime(
        2024, 3, 30, 22, tzinfo=UTC
    )
    # On 4 November 2018 those of São Paulo did.
    assert first_instant(date(2018, 11, 4), ZoneInfo("America/Sao_Paulo")) == datetime(
        2018, 11, 4, 3, tzinfo=UTC
    )


def test_a_midnight_that_comes_twice_starts_at_the_first() -> None:
    # On 5 November 2023 Havana's clocks went from 01:00 back to 00:00.
    assert first_instant(date(2023, 11, 5), ZoneInfo("America/Havana")) == datetime(
        2023, 11, 5, 4, tzinfo=UTC
    )


@given(periods)
def test_a_period_survives_its_number_and_its_text(period: Period) -> None:
    assert Period.from_number(period.number) == period
    assert Period.parse(str(period)) == period
    assert BillingRange.parse(str(period)).period() == period


@given(periods, periods)
def test_periods_are_ordered_as_their_numbers_and_texts(one: Period, other: Period) -> None:
    assert (one < other) == (one.number < other.number) == (str(one) < str(other))


@given(days, st.integers(1, 900))
def test_a_range_touches_the_periods_of_its_days(start: date, length: int) -> None:
    if start > date(9990, 1, 1):
        start = date(9990, 1, 1)
    days = BillingRange(start, start + timedelta(days=length))
    touched = {Period.of(start + timedelta(days=offset)) for offset in range(length)}
    assert days.periods() == sorted(touched)


MONTHS = [
    "2026-10",
    "2026-10-01/2026-11-01",
    "2026-10-01T00:00:00Z/2026-11-01T00:00:00Z",
    "2026-10-01T00:00/2026-10-31T23:59:59Z",
    "2026-10-01 00:00:00/2026-10-31 23:59:59.999999",
    "2026-10-01T00:00:00+02:00/2026-11-01T00:00:00.000+02:00",
    "2026-10-01T07:00:00-0500/2026-10-31T00:00:01-05:00",
    "2026-10-01t00:00:00z/2026-11-01t00:00z",
]


@pytest.mark.parametrize("text", MONTHS)
def test_every_spelling_of_a_month_is_that_month(text: str) -> None:
    days = BillingRange.parse(text)
    assert days == BillingRange(date(2026, 10, 1), date(2026, 11, 1))
    assert days.period() == Period(2026, 10)
    assert str(days) == "2026-10-01/2026-11-01"


def test_an_end_within_a_day_includes_that_day() -> None:
    assert BillingRange.between("2024-01-01", "2024-01-31T23:59:59Z").end == date(2024, 2, 1)
    assert BillingRange.between("2024-01-01", "2024-01-31T00:00:00.000001").end == date(2024, 2, 1)
    assert BillingRange.between("2024-01-01", "2024-01-31T00:00:00").end == date(2024, 1, 31)
    assert BillingRange.between("2024-01-01", "2024-01-31").end == date(2024, 1, 31)


@pytest.mark.parametrize(
    "text",
    ["", "2026", "2026-1", "2026-13", "2026-00", "26-10", "2026-10-01", "2026/10", " 2026-10",
     "2026-10/2026-11", "2026-10-01/", "/2026-11-01", "2026-10-32/2026-11-01",
     "2026-11-01/2026-10-01", "2026-10-01/2026-10-01", "2026-10-01/2026-10-02/2026-10-03",
     "2026-10-01T24:00:00/2026-11-01", "2026-10-01T12:60:00/2026-11-01",
     "2026-10-01T12:00:60/2026-11-01", "1999-12", "9999-01", "0000-01",
     "1999-12-31/2026-01-01", "٢٠٢٦-10", "2026-10-01Z/2026-11-01", "last month"],
)  # fmt: skip
def test_what_is_no_period_is_refused_with_a_way_to_write_one(text: str) -> None:
    with pytest.raises(InvalidRange) as refused:
        BillingRange.parse(text)
    assert isinstance(refused.value, Invalid)
    assert "2026-10" in refused.value.hint


@given(st.text(max_size=40))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    with suppress(InvalidRange):
        assert BillingRange.parse(text).periods()


@pytest.mark.parametrize("text", ["2026-10-01/2026-12-01", "2026-10-02/2026-11-01"])
def test_a_range_that_is_not_one_month_names_the_months_it_touches(text: str) -> None:
    with pytest.raises(NotOnePeriod) as refused:
        BillingRange.parse(text).period()
    assert "2026-10" in str(refused.value)
    assert refused.value.periods == BillingRange.parse(text).periods()


@given(days)
def test_a_day_survives_its_number(day: date) -> None:
    assert day_from_number(day_number(day)) == day
    assert day_number(day) // 100 == Period.of(day).number


@given(any_us)
def test_an_instant_survives_its_microseconds(us: int) -> None:
    assert to_us(from_us(us)) == us
    assert datetime.fromisoformat(format_us(us)) == from_us(us)
    assert format_us(us).endswith("Z")

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargeback_worker.period import billing_day, day_number, from_us, to_us
from chargeback_worker.usage.instant import BillingDays, Instants
from chargeback_worker.usage.refusal import Reason, Refusal

NOON = to_us(datetime(2026, 10, 31, 12, tzinfo=UTC))
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
recent = st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1))
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
zones = st.sampled_from(
    ["UTC", "America/New_York", "America/St_Johns", "Asia/Beirut", "Australia/Lord_Howe",
     "Pacific/Apia", "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Monrovia", "America/Caracas"]
).map(ZoneInfo)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["2026-10-31T12:00:00Z", "2026-10-31T12:00:00", "2026-10-31 12:00:00", "2026-10-31t12:00:00z",
     "2026-10-31T12:00", "2026-10-31T12:00Z", "2026-10-31T14:00:00+02:00", "2026-10-31T14:00+02",
     "2026-10-31T04:30:00-0730", "2026-11-01T11:59:00+23:59", "2026-10-31T12:00:00-00:00",
     "2026-10-31T12:00:00.0Z", "2026-10-31T12:00:00,000Z", "2026-10-31T12:00:00.000000Z",
     "2026-10-31T12:00:00.000000", "2026-10-31T12:00:00.000000+00:00",
     "2026-10-31T12:00:00.000000999Z", "2026-10-31T13:00:00.000000+01:00"],
)  # fmt: skip
def test_one_instant_has_many_spellings(text: str) -> None:
    instants = Instants()
    assert instants.us(text) == NOON
    assert instants.us(text) == NOON


@pytest.mark.parametrize(
    ("text", "us"),
    [("12:00:00.1Z", 100_000), ("12:00:00.123Z", 123_000), ("12:00:00.5", 500_000),
     ("12:00:00.123456", 123_456), ("12:00:59.999999Z", 59_999_999), ("12:00:00.1234569", 123_456),
     ("12:00:00.000001+00:00", 1), ("12:00:00.123456789123+00:00", 123_456)],
)  # fmt: skip
def test_a_fraction_is_cut_to_the_microsecond(text: str, us: int) -> None:
    instants = Instants()
    for _ in range(2):
        assert instants.us(f"2026-10-31T{text}") == NOON + us
        assert instants.us("2026-10-31T12:00:07.000001Z") == NOON + 7_000_001


@given(recent, offsets, st.sampled_from(["T", "t", " "]))
def test_any_time_with_an_offset_is_read_as_its_instant(
    naive: datetime, offset: timezone, separator: str
) -> None:
    moment = naive.replace(tzinfo=offset)
    assert Instants().us(moment.isoformat(separator)) == to_us(moment)


@given(st.lists(moments, min_size=1, max_size=5), st.sampled_from(["", "Z", "z", "+00:00"]))
def test_a_remembered_minute_gives_what_a_fresh_reading_gives(
    naives: list[datetime], zone: str
) -> None:
    instants = Instants()
    for naive in naives:
        for moment in (naive, naive.replace(second=0), naive.replace(microsecond=7)):
            assert instants.us(moment.isoformat() + zone) == to_us(moment.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    ["2026-10-31T12:00:60.000000Z", "2026-10-31T12:00:99.000000Z", "2026-10-31T24:00:00.000000Z",
     "2026-02-29T12:00:00.000000Z", "2026-10-31T12:60:00.000000Z", "2026-10-31X12:00:00.000000Z",
     "2026-10-31T12-00-00.000000Z", "2026-10-31T12:00:00.00000²Z", "2026-10-31T12:00:٠٠.000000Z",
     "2026-10-31T12:00:00.000000ZZ", "20261031T120000Z", "2026-10-31T12:00:00.Z", "2026-10-31T",
     "2026-304T12:00:00Z", "2026-10-31T12:00:00+02:00:30", "2026-10-31T12:00:00+02:60", ""],
)  # fmt: skip
def test_what_is_no_time_is_refused_also_in_a_remembered_minute(text: str) -> None:
    instants = Instants()
    instants.us("2026-10-31T12:00:00.000000Z")
    with pytest.raises(Refusal) as refused:
        instants.us(text)
    assert refused.value.reason == Reason.BAD_TIMESTAMP


@given(st.text(max_size=40) | st.from_regex(r"[0-9T:.Z+ -]{10,35}"))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(Refusal):
        assert isinstance(Instants().us(text), int)


@pytest.mark.parametrize(
    ("value", "unit"),
    [(1793448000, "seconds"), ("1793448000", "seconds"), (1793448000123, "milliseconds"),
     (1793448000123456, "microseconds"), (1793448000123456789, "nanoseconds")],
)  # fmt: skip
def test_a_count_since_1970_is_refused_with_what_it_may_mean(value: object, unit: str) -> None:
    with pytest.raises(Refusal) as refused:
        Instants().us(value)
    assert f"looks like {unit} since 1970" in refused.value.detail
    assert "2026-10-31T12:00:00" in refused.value.detail


@given(st.lists(recent, min_size=1, max_size=20), zones)
@example([datetime(2009, 11, 1, 2, 30), datetime(2009, 11, 1, 2, 31)], ZoneInfo("America/St_Johns"))
def test_billing_days_are_those_of_the_zone(naives: list[datetime], zone: ZoneInfo) -> None:
    days = BillingDays(zone)
    for naive in naives:
        us = to_us(naive.replace(tzinfo=UTC))
        near = [us, us - us % 900_000_000, us - us % 900_000_000 + 899_999_999]
        for time_us in near:
            expected = day_number(billing_day(from_us(time_us), zone))
            assert days.of(time_us) == expected
            assert days.of(time_us) == expected


def test_billing_days_are_right_in_every_minute_around_clock_changes() -> None:
    changes = [
        ("America/St_Johns", datetime(2009, 11, 1)),
        ("America/St_Johns", datetime(2010, 3, 14)),
        ("Asia/Beirut", datetime(2024, 3, 30)),
        ("America/Sao_Paulo", datetime(2018, 2, 17)),
        ("Pacific/Apia", datetime(2011, 12, 30)),
        ("Australia/Lord_Howe", datetime(2024, 4, 6)),
        ("Asia/Pyongyang", datetime(2018, 5, 4)),
    ]
    for name, around in changes:
        zone = ZoneInfo(name)
        days = BillingDays(zone)
        first = to_us(around.replace(tzinfo=UTC)) - 43_200_000_000
        for minute in range(48 * 60):
            time_us = first + minute * 60_000_000
            assert days.of(time_us) == day_number(billing_day(from_us(time_us), zone)), name

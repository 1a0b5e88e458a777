"""Timestamps to microseconds since 1970, and instants to billing days."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from chargeback_worker.period import day_number, from_us, to_us
from chargeback_worker.usage.json_object import kind_of
from chargeback_worker.usage.refusal import Reason, Refusal, shown

# Python's own reader takes more, and more of it with each version (24:00, week dates).
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-9]{2}"
    r"(?::[0-9]{2}(?:[.,][0-9]{1,30})?)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)?",
    re.ASCII,
)
_EPOCH_NUMBER = re.compile(r"[0-9]{9,20}(?:\.[0-9]{1,9})?", re.ASCII)
_EPOCH_UNITS = (
    (11, 1_000_000_000, "seconds"),
    (14, 1_000_000, "milliseconds"),
    (17, 1_000, "microseconds"),
    (20, 1, "nanoseconds"),
)
_UTC_SUFFIXES = ("Z", "", "+00:00")
# Daylight saving starts and ends on such a boundary nearly everywhere, nearly always.
_SLOT_US = 15 * 60 * 1_000_000
_REMEMBERED_MAX = 50_000


class Instants:
    """Reads timestamps, and remembers the minutes it has seen: most are written alike."""

    def __init__(self) -> None:
        self._minutes: dict[str, int] = {}

    def us(self, value: object) -> int:
        """Microseconds of an ISO 8601 date and time; without a zone it is UTC. Raises Refusal.

        Digits beyond the microsecond are cut off.
        """
        if type(value) is not str:
            raise _unreadable(value)
        # `2026-10-31T23:59:` is a minute of UTC where `08.123456Z` follows.
        if value[19:20] == "." and value[26:] in _UTC_SUFFIXES:
            digits = value[17:19] + value[20:26]
            if len(digits) == 8 and digits < "6" and digits.isdigit() and digits.isascii():
                minute = self._minutes.get(value[:17])
                if minute is None:
                    return self._remember(value, int(digits))
                return minute + int(digits)
        return _instant_us(value)

    def _remember(self, value: str, within_minute_us: int) -> int:
        time_us = _instant_us(value)
        if len(self._minutes) >= _REMEMBERED_MAX:
            self._minutes.clear()
        self._minutes[value[:17]] = time_us - within_minute_us
        return time_us


def _instant_us(value: str) -> int:
    if not _ISO_8601.fullmatch(value):
        raise _unreadable(value)
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError as fault:
        raise Refusal(
            Reason.BAD_TIMESTAMP, f"timestamp is {shown(value)}, which is no time: {fault}."
        ) from None
    return to_us(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _unreadable(value: object) -> Refusal:
    sentence = (
        f"timestamp is {_named(value)}, not an ISO 8601 date and time as 2026-10-31T23:59:59Z"
    )
    number = _EPOCH_NUMBER.fullmatch(shown(value).strip("'"))
    if number and not isinstance(value, bool):
        whole = number[0].partition(".")[0]
        for digits, scale, unit in _EPOCH_UNITS:
            if len(whole) <= digits:
                meant = from_us(int(whole) * scale // 1_000).isoformat().replace("+00:00", "Z")
                sentence += f"; it looks like {unit} since 1970, which would be {meant}"
                break
    return Refusal(Reason.BAD_TIMESTAMP, f"{sentence}.")


def _named(value: object) -> str:
    return shown(value) if isinstance(value, str) else kind_of(value)


class BillingDays:
    """The billing day of instants in one time zone, remembered by quarter of an hour.

    A quarter is remembered only where its first and last instant agree in day and offset, so it
    is right for every zone, whenever and by how much its clocks change.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._days: dict[int, int] = {}

    def of(self, time_us: int) -> int:
        """The billing day, as a number (20261031)."""
        slot = time_us // _SLOT_US
        day = self._days.get(slot)
        return self._find(slot, time_us) if day is None else day

    def _find(self, slot: int, time_us: int) -> int:
        first = from_us(slot * _SLOT_US).astimezone(self._zone)
        last = from_us((slot + 1) * _SLOT_US - 1).astimezone(self._zone)
        if first.date() == last.date() and first.utcoffset() == last.utcoffset():
            if len(self._days) >= _REMEMBERED_MAX:
                self._days.clear()
            self._days[slot] = day_number(first.date())
        return day_number(from_us(time_us).astimezone(self._zone).date())

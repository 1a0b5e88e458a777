"""How busy each hour of a month is, team by team: working hours, weekdays, machines at night."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import accumulate
from typing import NamedTuple

from chargeback_worker.period import Period, to_us
from chargeback_worker.simulation.organisation import Organisation, Team

_HOUR_US = 3_600_000_000
# By local hour, in percent of the busiest one.
_WORKDAY = (2, 1, 1, 1, 1, 2, 6, 18, 55, 88, 100, 94, 66, 82, 98, 97, 86, 60, 32, 20, 14, 10, 6, 3)
_WEEKEND_SHARE = 12
_ALWAYS_ON = 60


class Slot(NamedTuple):
    """The part of a UTC hour that is in the month, and how many events fall in it."""

    start: datetime
    length_us: int
    events: int
    upto: tuple[int, ...]
    """The teams' activity, added up in their order."""


def slots(month: Period, events: int, organisation: Organisation, zone: tzinfo) -> Iterator[Slot]:
    """The hours of the month in their order; their events sum to `events` exactly."""
    hours = list(_hours(month, zone))
    upto = [
        tuple(accumulate(_activity(team, start) for team in organisation)) for start, _ in hours
    ]
    whole = sum(weights[-1] for weights in upto)
    busy = before = 0
    for (start, length_us), weights in zip(hours, upto, strict=True):
        busy += weights[-1]
        due = events * busy // whole
        yield Slot(start, length_us, due - before, weights)
        before = due


def _hours(month: Period, zone: tzinfo) -> Iterator[tuple[datetime, int]]:
    start, end = month.bounds(zone)
    while start < end:
        start_us = to_us(start)
        length_us = min(_HOUR_US - start_us % _HOUR_US, to_us(end) - start_us)
        yield start, length_us
        start += timedelta(microseconds=length_us)


def _activity(team: Team, hour: datetime) -> int:
    if team.always_on:
        return team.weight * _ALWAYS_ON * 100
    local = hour.astimezone(UTC) + timedelta(hours=team.utc_offset_hours)
    share = 100 if local.weekday() < 5 else _WEEKEND_SHARE
    return team.weight * _WORKDAY[local.hour] * share

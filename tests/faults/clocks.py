"""A clock that is moved over the changes of summer time, into the next month and back again."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from chargeback_worker.period import Period
from tests.faults.books import books, months_from
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground
from tests.faults.worker import Worker

# The zone, its first month, and the delay of its closes. The clocks go forward in the first month
# of the one, and in the other go back between the end of the first and the time when it is due.
_SITES = (
    ("Europe/Berlin", Period(2031, 3), timedelta(0)),
    ("America/New_York", Period(2031, 10), timedelta(hours=48)),
)
_INSTANT = timedelta(microseconds=1)


def clock(ground: Ground, pace: Pace) -> Figures:
    """In two time zones, `pace.faults` months each, by two schedulers: no month is closed before
    its end and the delay, as a calendar on the wall of that zone says, and none twice."""
    done = [_moved(ground, pace, *site) for site in _SITES]
    return replace(
        done[0],
        events=sum(figures.events for figures in done),
        faults=sum(figures.faults for figures in done),
        mismatches=[line for figures in done for line in figures.mismatches],
        detail=" | ".join(figures.detail for figures in done),
    )


def _moved(ground: Ground, pace: Pace, zone: str, first: Period, delay: timedelta) -> Figures:
    moves = 0
    settings = {"CHARGEBACK_BILLING__CLOSE_DELAY": f"{delay // timedelta(hours=1)}h"}
    months = months_from(first, pace.faults)
    with books(ground, pace, months, zone=zone, settings=settings) as given:
        schedulers = [given.worker(f"scheduler-{number}", "scheduler") for number in range(2)]
        latest = given.clock.now
        for at in _instants(months, ZoneInfo(zone), delay):
            given.clock.set(at)
            latest, moves = max(latest, at), moves + 1
            for scheduler in schedulers:
                _wait_for_poke(scheduler, at)
            due = {month for month in months if _end(month, ZoneInfo(zone)) + delay <= latest}
            closed = {month for month in months if given.is_closed(month)}
            if due != closed:
                given.wrong.append(f"{zone} at {at}: closed {sorted(closed)}, due {sorted(due)}")
        for scheduler in schedulers:
            assert scheduler.stop() == 0, scheduler.last_words
        figures = given.figures("clock moved to and fro", moves, published=False)
        return replace(figures, detail=f"{zone}: {moves} moves{figures.detail}")


def _instants(months: tuple[Period, ...], zone: ZoneInfo, delay: timedelta) -> Iterator[datetime]:
    """Around each change of the clock and the due time of each month: up to it, past it, back."""
    for month in months:
        for change in _changes(month, zone):
            yield from (change - _INSTANT, change, change + timedelta(hours=1), change - _INSTANT)
        end = _end(month, zone)
        yield from (end - _INSTANT, end + delay - _INSTANT, end + delay)
        # An hour that a wrong zone would be off by, and back into the month that is closed.
        yield from (end + delay - timedelta(hours=1), end - timedelta(days=10), end + delay)


def _end(month: Period, zone: ZoneInfo) -> datetime:
    """The midnight after its last day, as a clock on the wall there shows it."""
    return datetime(
        month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=zone
    ).astimezone(UTC)


def _changes(month: Period, zone: ZoneInfo) -> Iterator[datetime]:
    """The instants at which the clocks of a zone are changed, to the hour."""
    at = datetime(month.year, month.month, 1, tzinfo=UTC)
    while at.month == month.month:
        following = at + timedelta(hours=1)
        if at.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            yield following
        at = following


def _wait_for_poke(scheduler: Worker, at: datetime) -> None:
    """Until it has looked at that time: a poke that it began when the clock stood there."""
    before = len(scheduler.lines("poked"))

    def poked() -> bool:
        lines = scheduler.lines("poked")[before:]
        return any(datetime.fromisoformat(line["at"]) == at for line in lines)

    assert scheduler.wait_until(poked), scheduler.last_words

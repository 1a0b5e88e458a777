"""One history: its clocks, its weather, what was seen on the way, and the calm at its end."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from chargeback_worker.broker.memory import SendFault
from chargeback_worker.period import to_us
from chargeback_worker.pipeline.publish import LEASE_S
from tests.interleaving.baton import SECOND_US, Actor, Baton, Process
from tests.interleaving.database import Fate
from tests.interleaving.topics import Member, Topics
from tests.interleaving.truth import FIRST_DAY

_HOUR_US = 3600 * SECOND_US
DAY_US = 24 * _HOUR_US
SESSION_US = 10 * SECOND_US
_STARTS_US = to_us(datetime.combine(FIRST_DAY, datetime.min.time(), UTC)) + 20 * DAY_US


class Broken(AssertionError):
    """A law that holds at every moment did not."""


@dataclass(frozen=True, slots=True)
class Climate:
    """How rough a history is; drawn once, so that some are all of one kind."""

    steps: int
    tick_us: int
    stay: float
    trouble: float
    lost: float
    unheard: float
    sends_fail: float
    sleeps: float
    skewed: float
    bad_moments: float
    kills_max: int

    @staticmethod
    def drawn(draw: Random) -> "Climate":
        return Climate(
            steps=draw.randint(550, 1450),
            tick_us=draw.choice((5_000, 50_000, 400_000)),
            stay=draw.choice((0.3, 0.7, 0.9)),
            trouble=draw.choice((0.005, 0.02, 0.04)),
            lost=draw.choice((0.0, 0.03, 0.1)),
            unheard=draw.choice((0.0, 0.03, 0.1)),
            sends_fail=draw.choice((0.0, 0.1, 0.3)),
            sleeps=draw.choice((0.2, 0.5)),
            skewed=draw.choice((0.0, 0.3, 0.8)),
            bad_moments=draw.choice((0.0, 0.1, 0.5)),
            kills_max=draw.randint(0, 3),
        )


@dataclass(slots=True)
class Taken:
    """The last transaction of a publisher: when it ended, what time it read in it, and whether
    another has read a time since at which a lease that was taken in it has lapsed."""

    step: int
    read_us: int
    lapsed: bool = False


@dataclass
class World:
    """See the package. `months` is how many of them end in it."""

    draw: Random
    months: int
    climate: Climate
    topics: Topics
    baton: Baton = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    processes: list[Process] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    calm: bool = False
    stopping: bool = False
    told: int = 0
    reopening: int = 0
    waits_for: str = ""
    restart: Callable[[Process], None] = lambda _: None
    watch_close: Callable[[Actor], None] = lambda _: None
    cut_idle: Callable[[], None] = lambda: None
    _database_off_us: int = 0
    _leaps: list[tuple[int, int]] = field(default_factory=list)
    _later: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _taken: dict[Process, "Taken"] = field(default_factory=dict)
    _rounds: dict[Process, "Taken"] = field(default_factory=dict)
    _kills: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        climate = self.climate
        self.baton = Baton(self.draw, now_us=_STARTS_US, tick_us=climate.tick_us, stay=climate.stay)
        self.baton.happens = self._happens
        # Each month is over at some moment of the storm, or a little before it.
        for number in range(self.months):
            step = climate.steps * (2 * number + 1) // (2 * self.months + 1)
            moment_us = (
                self.month_end_us(number) + self.draw.choice((-1, 47, 49, 60, 90)) * _HOUR_US
            )
            self._leaps.append((step + self.draw.randint(-40, 40), moment_us))
        self._leaps.sort(reverse=True)

    @staticmethod
    def month_end_us(number: int) -> int:
        """When the month of that number, from the first one on, is over."""
        year, month = divmod(FIRST_DAY.year * 12 + FIRST_DAY.month + number, 12)
        return to_us(datetime(year, month + 1, 1, tzinfo=UTC))

    @property
    def ends_us(self) -> int:
        """When the last month is over and due."""
        return self.month_end_us(self.months - 1) + 5 * DAY_US

    @property
    def database_us(self) -> int:
        return self.baton.now_us + self._database_off_us

    def now_us(self, process: Process) -> int:
        """The clock of a process."""
        return self.baton.now_us + process.skew_us

    def rested_us(self, least_s: float, steps_max: int) -> int:
        """Until when one waits who has nothing to do: however fast time passes, some steps are left
        to those who have."""
        steps = self.draw.randint(0, steps_max)
        return self.baton.now_us + max(int(least_s * SECOND_US), steps * self.baton.tick_us)

    @contextmanager
    def unsettled(self) -> Iterator[None]:
        """While a closed month is about to be reopened: it is not the end yet."""
        self.reopening += 1
        try:
            yield
        finally:
            self.reopening -= 1

    def process(self, name: str, kind: str) -> Process:
        made = Process(name, kind)
        if not self.calm and self.draw.random() < self.climate.skewed:
            self._skew(made)
        self.processes.append(made)
        return made

    def law(self, holds: bool, sentence: str) -> None:
        if not holds:
            raise Broken(sentence)

    # What a store and a broker ask.

    def fate(self) -> tuple[Fate, int]:
        if self.calm:
            return Fate.KEPT, 0
        drawn = self.draw.random()
        if drawn < self.climate.lost:
            self.counts["commits failed before"] += 1
            return Fate.LOST, self.draw.choice((0, 1, 2, 4, 8, 1000))
        if drawn < self.climate.lost + self.climate.unheard:
            self.counts["commits failed after"] += 1
            return Fate.UNHEARD, 0
        return Fate.KEPT, 0

    def read_is_lost(self) -> bool:
        return not self.calm and self.draw.random() < self.climate.lost / 3

    def ended(self, actor: Actor, fate: Fate) -> None:
        if actor.process.kind == "publisher":
            self._rounds.pop(actor.process, None)
            read_us = self.database_us if actor.read_clock_us is None else actor.read_clock_us
            for taken in self._taken.values():
                taken.lapsed |= read_us >= taken.read_us + int(LEASE_S * SECOND_US)
            self._taken[actor.process] = Taken(self.baton.steps, read_us)
        if actor.process.kind in ("closer", "person"):
            self.told += 1
            self.watch_close(actor)

    def send_fault(self) -> SendFault:
        if self.calm or self.draw.random() >= self.climate.sends_fail:
            return SendFault.NONE
        fault = self.draw.choice((SendFault.LOST, SendFault.UNACKNOWLEDGED))
        self.counts[f"sends {fault.value}"] += 1
        return fault

    def poll_size(self) -> int:
        return self.draw.choice((1, 3, 8, 20))

    def sending(self, process: Process) -> None:
        """Of two publishers at work the later one began when the lease of the other had lapsed."""
        if process in self._rounds:
            return
        mine = self._taken[process]
        for other, theirs in self._rounds.items():
            earlier = min(mine, theirs, key=lambda taken: taken.step)
            self.law(earlier.lapsed, f"{process.name} and {other.name} publish at once")
        self._rounds[process] = mine
        self.counts["rounds published"] += 1
        self.bad_moment(process)

    # What happens between two steps.

    def after(self, delay_us: int, then: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self.baton.now_us + delay_us, next(self._numbers), then))

    def joined(self, member: Member) -> None:
        self.members.append(member)

    def be_calm(self) -> None:
        """Nothing more goes wrong; all wake up, and the last month is over."""
        self.calm = True
        self.topics.away = False
        for process in self.processes:
            process.asleep_until_us = 0
            process.skew_us = 0
        self.baton.now_us = max(self.baton.now_us, self.ends_us)
        self.baton.tick_us = 1_000

    def _happens(self) -> None:
        baton = self.baton
        while self._later and self._later[0][0] <= baton.now_us:
            heapq.heappop(self._later)[2]()
        self.cut_idle()
        if self.calm:
            return
        if self._leaps and baton.steps >= self._leaps[-1][0]:
            baton.now_us = max(baton.now_us, self._leaps.pop()[1])
            self.counts["months passed"] += 1
        if baton.steps >= self.climate.steps:
            self.be_calm()
        elif self.draw.random() < self.climate.trouble:
            self._trouble()

    def _trouble(self) -> None:
        drawn = self.draw.random()
        if drawn < self.climate.sleeps:
            self._put_to_sleep(self.draw.choice(self.processes))
        elif drawn < 0.62:
            # Leases, sessions and back-offs run out.
            self.baton.now_us += self.draw.choice((1, 12, 61, 95, 200)) * SECOND_US
        elif drawn < 0.74:
            self._database_off_us += self.draw.choice((-100, -61, -5, 5, 61, 100)) * SECOND_US
            self.counts["leaps of the database's clock"] += 1
        elif drawn < 0.80:
            self._skew(self.draw.choice(self.processes))
        elif drawn < 0.88:
            self._evict(self.draw.choice(self.members) if self.members else None)
        elif drawn < 0.93:
            self.topics.away = not self.topics.away
            if self.topics.away:
                self.after(self.draw.choice((1, 20)) * SECOND_US, self._come_back)
        elif self._kills < self.climate.kills_max:
            self._kill()

    def _skew(self, process: Process) -> None:
        """By minutes, as leases bear it, or by weeks."""
        by_us = self.draw.choice((5 * 60 * SECOND_US, 40 * DAY_US))
        process.skew_us = int(self.draw.uniform(-1, 1) * by_us)
        self.counts["leaps of a process's clock"] += 1

    def _come_back(self) -> None:
        self.topics.away = False

    def bad_moment(self, process: Process) -> None:
        """It has just taken a lease and is about to use it: a moment to fall asleep at."""
        if not self.calm and self.draw.random() < self.climate.bad_moments:
            self._put_to_sleep(process)

    def _put_to_sleep(self, process: Process) -> None:
        if process.kind == "producer" or process.asleep_until_us > self.baton.now_us:
            return
        for_us = int(self.draw.choice((2, 15, 40, 70, 130)) * self.draw.uniform(0.5, 1.5))
        process.asleep_until_us = self.baton.now_us + for_us * SECOND_US
        self.counts["sleepers"] += 1
        busy = any(
            actor.process is process and (actor.transaction or process.kind == "worker")
            for actor in self.baton.actors
        )
        if busy or process in self._rounds:
            self.after(for_us * SECOND_US, lambda: self._woke(process))
        for member in self.members:
            if member.process is process and for_us * SECOND_US > SESSION_US:
                self.after(SESSION_US, lambda member=member: self._evict(member))  # type: ignore[misc]

    def _woke(self, process: Process) -> None:
        self.counts["zombies woken"] += 1

    def _evict(self, member: Member | None) -> None:
        if member is not None and member.in_group:
            member.evict()
            self.counts["rebalances"] += 1

    def _kill(self) -> None:
        process = self.draw.choice(self.processes)
        if process.kind in ("producer", "judge") or process.killed:
            return
        if any(actor.process is process and actor.stuck for actor in self.baton.actors):
            return
        self._kills += 1
        self.counts["kills"] += 1
        process.killed = True
        process.asleep_until_us = 0
        self._rounds.pop(process, None)
        self.processes.remove(process)
        for member in self.members:
            if member.process is process:
                member.kill()
                self.after(SESSION_US, lambda member=member: self._evict(member))  # type: ignore[misc]
        self.restart(process)


def delay() -> timedelta:
    """How long after its end a month is due."""
    return timedelta(hours=48)

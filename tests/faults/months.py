"""Workers of all roles, killed while usage flows and month after month is closed and published."""

import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from functools import partial
from typing import Any

import kafka

from chargeback_worker.period import Period
from chargeback_worker.simulation import Anomalies, Simulated, simulate
from chargeback_worker.store import periods
from chargeback_worker.store.periods import PeriodState
from tests.faults.books import FIRST, Books, books, due_at, months_from
from tests.faults.flow import Pace, Sending
from tests.faults.scene import Figures, Ground, until
from tests.faults.worker import Worker

_WORKERS = 3
_MOST_MONTHS = 6
_SEEN_WITHIN_S = 2.0
_LET_BE = 0.3
_SENT_WITHIN_S = 180
_TRICKLE_S = 0.05
_ANOMALIES = Anomalies(duplicate=0.02, late=0.05, conflict=0.002, poison=0.002)
_NO_LATE = Anomalies(duplicate=0.02, late=0, conflict=0.002, poison=0.002)


def month_kills(ground: Ground, pace: Pace) -> Figures:
    """kill -9 of one of three workers at random, started again at once, over up to six months with
    late usage. Each third one is closed by a person, the others by the schedulers; one is reopened,
    takes more usage, and is closed again."""
    draw = random.Random(pace.seed)
    months = months_from(FIRST, min(_MOST_MONTHS, max(3, pace.faults - 1)))
    with books(ground, pace, months, lease_s=1, filled=False) as given:
        course = _Course.known(given, pace)
        course.start()
        running = [given.worker(_name(number), "all") for number in range(_WORKERS)]
        closing = 0
        pause_s = min(4.0, pace.events / pace.rate / pace.faults)
        while not course.done.is_set():
            comes_due = course.comes_due.wait(draw.uniform(0, 1.6) * pause_s)
            if course.kills >= course.allowed:
                time.sleep(0.05)
                continue
            number = draw.randrange(_WORKERS)
            if comes_due:
                # Whoever closes it dies over it, once or several times in a row.
                number = _closer(given, running, number)
                if draw.random() < _LET_BE:
                    course.comes_due.clear()
            victim = running[number]
            if not comes_due:
                # One that does nothing yet is not worth it; usage may have ended.
                assert victim.wait_for("poked"), victim.last_words
                victim.wait_for("first_commit", 2)
            victim.kill()
            closing += _is_closing(given, victim)
            running[number] = given.worker(_name(number), "all")
            course.kills += 1
        course.join()
        assert given.comes_to_rest(running[0]), running[0].last_words
        for worker in running:
            assert worker.wait_for("poked"), worker.last_words
            worker.signal(signal.SIGTERM)
        for worker in running:
            if worker.ended():
                given.wrong.append(f"a worker did not end in order: {worker.last_words[-800:]}")
        detail = f"{closing} of them in the midst of a close, {course.by_hand} closes by a person"
        what = f"{_WORKERS} workers of all roles killed over {len(months)} months"
        return given.figures(what, course.kills, detail, revisions={course.reopened: 2})


def _name(number: int) -> str:
    return f"worker-{number}"


def _closer(given: Books, running: Sequence[Worker], otherwise: int) -> int:
    """The worker that is closing a month, if one is soon seen at it."""
    deadline = time.monotonic() + _SEEN_WITHIN_S
    while time.monotonic() < deadline:
        for number, worker in enumerate(running):
            if _is_closing(given, worker):
                return number
        time.sleep(0.005)
    return otherwise


def _is_closing(given: Books, worker: Worker) -> bool:
    """Whether a month is being closed by it, or was when it was killed."""
    with given.store.read() as transaction:
        found = periods.listed(transaction)
    return any(
        row.state is PeriodState.CLOSING and f":{worker.pid}:" in (row.lease_owner or "")
        for row in found
    )


@dataclass
class _Course:
    """What happens meanwhile, in a thread of its own: usage, the clock, and what people do.

    The last quarter of each month's usage trickles until that month's kills have happened.
    """

    given: Books
    pace: Pace
    usage: Sequence[tuple[Period, Sequence[Simulated]]]
    more: Sequence[Simulated]
    """Usage of the month that is reopened, for its second close."""
    kills: int = 0
    allowed: int = 0
    """How many kills there are to be until the next month."""
    by_hand: int = 0
    comes_due: threading.Event = field(default_factory=threading.Event)
    """Set when the schedulers have a month to close."""
    done: threading.Event = field(default_factory=threading.Event)
    _failed: list[BaseException] = field(default_factory=list)

    @classmethod
    def known(cls, given: Books, pace: Pace) -> "_Course":
        """The course whose truth is known to the books, before anything is sent."""
        each = pace.events // (len(given.months) + 1)
        usage = []
        for number, month in enumerate(given.months):
            anomalies = _ANOMALIES if number else _NO_LATE
            seed = pace.seed * 1_000 + number
            usage.append((month, list(simulate(month, each, seed=seed, anomalies=anomalies))))
        more = list(
            simulate(given.months[1], each, seed=pace.seed * 1_000 + 999, anomalies=_NO_LATE)
        )
        for month, events in usage:
            for one in events:
                given.know(one, month)
        for one in more:
            given.know(one, given.months[1], revision=2)
        return cls(given, pace, usage, more)

    @property
    def reopened(self) -> Period:
        return self.given.months[1]

    def start(self) -> None:
        threading.Thread(target=self._run, name="course", daemon=True).start()

    def join(self) -> None:
        assert self.done.wait(600), "the course of months did not end"
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        try:
            with Sending(self.given.scene.flow.servers) as producer:
                self._pass(producer)
        except BaseException as error:
            self._failed.append(error)
        finally:
            self.done.set()

    def _pass(self, producer: kafka.KafkaProducer) -> None:
        for number, (month, events) in enumerate(self.usage):
            self.allowed = self.pace.faults * (number + 1) // (len(self.usage) + 1)
            self.given.clock.set(month.bounds(UTC)[0] + timedelta(days=14))
            half = len(events) // 2
            if number:
                self.comes_due.set()
                self._send(producer, events[:half])
                # From here on what is of the month before is late for certain.
                before = self.usage[number - 1][0]
                until(partial(self.given.is_closed, before), f"{before} closed")
            self._send(producer, events[half if number else 0 :], slowly=True)
            if number % 3 == 2:
                # It is over, and not yet due.
                self.given.clock.set(month.bounds(UTC)[1] + timedelta(hours=1))
                self._close_by_hand(month)
        self.allowed = self.pace.faults
        self.given.clock.set(due_at(self.usage[-1][0]))
        self.comes_due.set()
        until(lambda: all(map(self.given.is_closed, self.given.months)), "all months closed")
        self._ask("reopen", str(self.reopened), "--yes", "--reason", "usage was lost on its way")
        self._send(producer, self.more, slowly=True)
        self._close_by_hand(self.reopened)

    def _send(
        self, producer: kafka.KafkaProducer, events: Sequence[Simulated], *, slowly: bool = False
    ) -> None:
        """All of them, `slowly` from the middle on until enough were killed; that is waited for."""
        began, under_way = time.monotonic(), list[Any]()
        for number, one in enumerate(events):
            ahead_s = number / self.pace.rate - (time.monotonic() - began)
            if slowly and number >= len(events) // 2 and self.kills < self.allowed:
                ahead_s = _TRICKLE_S
            if ahead_s > 0.01:
                time.sleep(ahead_s)
            topic = self.given.scene.flow.topic
            under_way.append(
                producer.send(topic, key=one.key, value=one.value, headers=list(one.headers))
            )
        for sent in under_way:
            sent.get(_SENT_WITHIN_S)
        if slowly:
            until(lambda: self.kills >= self.allowed, "enough kills", 3600)

    def _close_by_hand(self, month: Period) -> None:
        """Ask for it until it is done; each second time the command is killed."""
        number = 0

        def closed() -> bool:
            nonlocal number
            asked = self._command("close", str(month))
            number += 1
            if number % 2 == 1:
                time.sleep(0.8)
                asked.kill()
            else:
                # Usage may have to be read first, or a killed close to be finished.
                asked.ended()
            return self.given.is_closed(month)

        until(closed, f"{month} closed by hand")
        self.by_hand += 1

    def _ask(self, *arguments: str) -> None:
        asked = self._command(*arguments)
        assert asked.ended() == 0, asked.last_words

    def _command(self, *arguments: str) -> Worker:
        """A person's command, by the clock of the workers."""
        return self.given.scene.worker(
            "person", member=False, arguments=("tests.faults.quick_worker", *arguments)
        )

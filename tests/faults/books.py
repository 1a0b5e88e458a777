"""Months of usage that are to be closed, billed and published, by workers whose clock stands still.

What the rows of closing and publishing need beside a `Scene`; `Books.figures` ends each of them.
"""

import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.simulation import Anomalies, Simulated, simulate
from chargeback_worker.store import Store, periods, schema
from chargeback_worker.store.audit import Act
from chargeback_worker.store.outbox import backlog
from chargeback_worker.store.periods import PeriodRow, PeriodState
from chargeback_worker.usage.event import Grain, RawEvent
from tests.faults.billed import Used, billed
from tests.faults.flow import Pace
from tests.faults.quick import CLOCK, LEASE, Clock
from tests.faults.scene import Figures, Ground, Scene, mismatches, scene
from tests.faults.worker import Worker
from tests.support.feed import Feed

FIRST = Period(2031, 1)
# Late usage of a month moves its shared cost between these.
_RULES = [
    {
        "rule_id": "shared",
        "rule_type": "by_usage",
        "allocation_metadata": {"receivers": ["team:platform", "team:search", "team:legal"]},
    }
]
_NO_LATE = Anomalies(duplicate=0.05, late=0, conflict=0.01, poison=0.01)
_NOBODY_LOOKS_AHEAD = {"CHARGEBACK_INGEST__MAX_FUTURE": "40d"}


def months_from(first: Period, count: int) -> tuple[Period, ...]:
    found = [first]
    while len(found) < count:
        found.append(found[-1].next())
    return tuple(found)


def due_at(month: Period, zone: str = "UTC") -> datetime:
    """A time at which a month is due, and the next one is not."""
    return month.bounds(ZoneInfo(zone))[1] + timedelta(days=3)


@dataclass(slots=True)
class Books:
    """The months with usage, oldest first, and who is to bill them to which topic."""

    scene: Scene
    clock: Clock
    months: list[Period]
    topic: str
    used: list[Used] = field(default_factory=list)
    """All usage that counts, and from which revision of its billing period on."""

    @property
    def store(self) -> Store:
        return self.scene.store

    @property
    def wrong(self) -> list[str]:
        return self.scene.wrong

    def worker(
        self, name: str, *roles: str, point: str = "", count: int = 1, how: str = "KILL"
    ) -> Worker:
        """A worker with those roles; one that sends itself a signal, where a point is named."""
        program = ["tests.faults.quick_worker"]
        if point:
            program = ["tests.faults.failing_worker", point, str(count), how]
        chosen = [part for role in roles for part in ("--role", role)]
        return self.scene.worker(name, arguments=(*program, "run", *chosen))

    def know(self, one: Simulated, month: Period, revision: int = 1) -> None:
        """That an event is sent: the truth of it."""
        self.scene.flow.expected.add(one.truth)
        if one.truth.outcome == "accepted":
            origin = month
            if one.truth.late:
                origin = Period.of(month.days().start - timedelta(days=1))
            self.used.append(Used(origin, one.truth, revision))

    def row(self, month: Period) -> PeriodRow | None:
        with self.store.read() as transaction:
            return periods.find(transaction, month)

    def is_closed(self, month: Period) -> bool:
        row = self.row(month)
        return row is not None and row.state is PeriodState.CLOSED

    def keep_due(self) -> None:
        """Let the next month be due once those before it are closed; those past all usage too."""
        due = [month for month in self.months if due_at(month) <= self.clock.now]
        if due and not self.is_closed(due[-1]):
            return
        if len(due) == len(self.months):
            self.months.append(self.months[-1].next())
        self.clock.set(due_at(self.months[len(due)]))

    def unpublished(self) -> int:
        with self.store.read() as transaction:
            return backlog(transaction).messages

    def comes_to_rest(self, scheduler: Worker, held: int = 0, limit_s: float = 120) -> bool:
        """Whether all is published but what is held, and nothing more comes: what was sent can be
        overdue by that clock, and is told again."""

        def rests() -> bool:
            if self.unpublished() != held:
                return False
            pokes = len(scheduler.lines("poked"))
            scheduler.wait_until(lambda: len(scheduler.lines("poked")) > pokes + 1, 30)
            return self.unpublished() == held

        return scheduler.wait_until(rests, limit_s)

    def close_and_publish_all(self) -> None:
        """Let one worker do what is left of the months that are due, and end in order."""
        last = self.worker("last", "scheduler", "publisher")
        # Before that it has no say in how it ends.
        assert last.wait_for("poked"), last.last_words
        due = [month for month in self.months if due_at(month) <= self.clock.now]
        closed = last.wait_until(lambda: all(map(self.is_closed, due)), 120)
        if not closed or not self.comes_to_rest(last):
            self.wrong.append(f"not all was closed and published: {last.last_words[-800:]}")
            last.kill()
        elif last.stop():
            self.wrong.append(f"the last worker did not end in order: {last.last_words[-800:]}")

    def closes_in_time(self, worker: Worker, month: Period, limit_s: float = 60) -> bool:
        """Whether a month is closed before the limit and the end of that worker."""
        return worker.wait_until(lambda: self.is_closed(month), limit_s)

    def figures(
        self,
        what: str,
        faults: int,
        detail: str = "",
        *,
        revisions: Mapping[Period, int] | None = None,
        published: bool = True,
        held: Collection[str] = (),
    ) -> Figures:
        """Hold the books and the topic against the truth. `revisions` are how often months are
        closed, where that is not once; `held` the messages that cannot be published."""
        once = {month: 1 for month in self.months if self.is_closed(month)}
        closed = {**once, **(revisions or {})}
        topic = self.topic if published else None
        found = billed(self.store, self.used, closed, self.scene.broker, topic, held)
        expected = self.scene.flow.expected
        wrong = [*self.wrong, *mismatches(self.store, expected), *found.wrong]
        return Figures(what, expected.events, faults, wrong, f"{detail}; {found}")


@contextmanager
def books(
    ground: Ground,
    pace: Pace,
    months: Sequence[Period],
    *,
    lease_s: float = 1.0,
    zone: str = "UTC",
    settings: Mapping[str, str] | None = None,
    topic_config: Mapping[str, str] | None = None,
    filled: bool = True,
) -> Iterator[Books]:
    """Books with the usage of those months, each with its part of the events; none is due yet."""
    topic = f"invoices-{uuid.uuid4().hex[:12]}"
    given: dict[str, str] = {
        "CHARGEBACK_KAFKA__INVOICES_TOPIC": topic,
        "CHARGEBACK_BILLING__FIRST_PERIOD": str(months[0]),
        "CHARGEBACK_BILLING__TIMEZONE": zone,
        LEASE: str(lease_s),
        **_NOBODY_LOOKS_AHEAD,
        **(settings or {}),
    }
    with scene(ground, replace(pace, events=0), settings=given) as stage:
        stage.broker.create_topic(topic, 1, topic_config)
        clock = Clock(stage.folder / "clock", months[0].bounds(UTC)[0] + timedelta(days=14))
        given[CLOCK] = str(clock.path)
        made = Books(stage, clock, list(months), topic)
        schema.upgrade(made.store)
        save_rules(made.store, _RULES, Act("tester", to_us(clock.now)))
        if filled:
            _fill(made, pace, zone)
        (stage.folder / "truth.json").write_text(
            json.dumps({"seed": pace.seed, **stage.flow.expected.outcomes})
        )
        yield made


def _fill(made: Books, pace: Pace, zone: str) -> None:
    feed = Feed(made.store, grain=Grain(zone))
    each = max(1, pace.events // len(made.months))
    for number, month in enumerate(made.months):
        feed.now_us = to_us(due_at(month, zone))
        sent = list(
            simulate(
                month,
                each,
                seed=pace.seed * 1_000 + number,
                anomalies=_NO_LATE,
                zone=ZoneInfo(zone),
            )
        )
        for one in sent:
            made.know(one, month)
        feed.send(*(RawEvent(one.value, one.headers, one.key) for one in sent))

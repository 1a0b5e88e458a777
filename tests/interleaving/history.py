"""One seed, from an empty ledger to the oracle."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from unittest import mock

import sqlalchemy as sa
import structlog

from chargeback_worker.period import Period
from chargeback_worker.store import Store, Transaction
from chargeback_worker.store.tables import billing_period, ingest_cursor, outbox
from chargeback_worker.worker import consumer, lag, lifecycle, silence, writing
from tests.interleaving.actors import Cast
from tests.interleaving.baton import SECOND_US, Actor, Baton, NoRest, Process
from tests.interleaving.database import WatchedStore
from tests.interleaving.oracle import mismatches
from tests.interleaving.topics import INVOICES, USAGE, Topics
from tests.interleaving.truth import FIRST_DAY, truth
from tests.interleaving.world import Climate, World

_CALM_STEPS_MAX = 8_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a history ended. `trace` tells two apart that went other ways."""

    seed: int
    mismatches: list[str]
    counts: Counter[str]
    steps: int
    trace: int
    last_steps: list[str]


class Ground:
    """A database that histories run on, one after the other."""

    store: WatchedStore

    def clear(self) -> None:
        """Empty books, with a grain and a first month."""
        raise NotImplementedError

    def watch_over(self, world: World) -> None:
        """Until the history is over."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    @contextmanager
    def look(self) -> Iterator[Transaction]:
        """The books as they are committed, past all weather."""
        with Store.read(self.store) as transaction:
            yield transaction


def run(seed: int, ground: Ground) -> Outcome:
    """One history; what is wrong with it is in the outcome."""
    draw = Random(f"interleaving {seed}")
    ground.clear()
    topics = Topics()
    partitions = draw.randint(2, 4)
    topics.create_topic(USAGE, partitions)
    topics.create_topic(INVOICES, draw.randint(1, 2))
    months = draw.choice((2, 2, 3))
    world = World(draw, months, Climate.drawn(draw), topics)
    cast = Cast(world, ground.store, truth(draw, partitions, months))
    world.restart = cast.leave
    _play(world, cast, ground)
    return Outcome(
        seed,
        _wrong(world, cast, ground),
        world.counts,
        world.baton.steps,
        world.baton.trace,
        [f"{step} {who}: {what}" for step, who, what in world.baton.last_steps],
    )


def _play(world: World, cast: Cast, ground: Ground) -> None:
    draw, baton = world.draw, world.baton
    world.watch_close = _ClosingLaw(world, ground).look
    for kind, least, most in (
        ("worker", 2, 4),
        ("closer", 1, 3),
        ("publisher", 1, 3),
        ("person", 1, 1),
        ("producer", 1, 1),
    ):
        for _ in range(draw.randint(least, most)):
            cast.enter(kind)
    baton.steps_max = world.climate.steps + _CALM_STEPS_MAX
    judge = Process("judge", "judge")
    baton.start("judge", judge, lambda: _judge(world, ground))
    ground.store.sky = world
    try:
        with _simulated(baton):
            ground.watch_over(world)
    finally:
        ground.store.sky = None


def _judge(world: World, ground: Ground) -> None:
    """Once it is calm: wait until all is read, closed and published, and send everybody home."""
    baton = world.baton
    baton.wait(lambda: world.calm, 1 << 60, "calm")
    while True:
        with ground.look() as transaction:
            waits_for = _unrest(world, transaction)
        if not waits_for:
            break
        world.waits_for = waits_for
        baton.wait(None, baton.now_us + SECOND_US, "judge")
        # Nobody is to wait for long for a lease or a back-off.
        baton.now_us += 45 * SECOND_US
    world.stopping = True


def _unrest(world: World, transaction: Transaction) -> str:
    """What is still to be done, or nothing."""
    if world.reopening:
        return "a month is about to be reopened"
    rows = transaction.execute(sa.select(ingest_cursor)).all()
    reached = {row.partition: row.next_position for row in rows}
    stopped = [row.stopped for row in rows if row.stopped]
    if stopped:
        return f"stopped: {stopped}"
    for place in world.topics.partitions(USAGE):
        log = world.topics.log(place)
        assert log is not None
        if reached.get(place.partition, -1) < log.end:
            return f"{place} at {reached.get(place.partition)} of {log.end}"
    column = billing_period.c
    known = transaction.execute(sa.select(column.period, column.state, column.ends_us)).all()
    for row in known:
        if row.state in ("closing", "reopened"):
            # Whose clock was ahead closed it early: it must be over to be closed again.
            world.baton.now_us = max(world.baton.now_us, row.ends_us)
            return f"{row.period} is {row.state}"
    states = {row.period: row.state for row in known}
    period = Period.of(FIRST_DAY)
    for _ in range(world.months):
        if states.get(period.number) != "closed":
            return f"{period} is {states.get(period.number)}"
        period = period.next()
    waiting = sa.select(sa.func.count()).where(outbox.c.published_us.is_(None))
    left = transaction.execute(waiting).scalar_one()
    return f"{left} messages wait" if left else ""


def _wrong(world: World, cast: Cast, ground: Ground) -> list[str]:
    failure = world.baton.failure
    if isinstance(failure, NoRest):
        return [f"{failure}; {world.waits_for}"]
    if failure is not None:
        return [f"{type(failure).__name__}: {failure}"]
    with ground.look() as transaction:
        return mismatches(transaction, cast.truth, world.topics.appended, world.counts["closes"])


class _ClosingLaw:
    """A close is taken over only when its lease has lapsed on the database's clock."""

    def __init__(self, world: World, ground: Ground) -> None:
        self._world = world
        self._ground = ground
        self._leases: dict[int, tuple[str, int]] = {}

    def look(self, actor: Actor) -> None:
        with self._ground.look() as transaction:
            rows = transaction.execute(
                sa.select(
                    billing_period.c.period,
                    billing_period.c.lease_owner,
                    billing_period.c.lease_until_us,
                ).where(billing_period.c.state == "closing")
            ).all()
        now = {row.period: (row.lease_owner, row.lease_until_us) for row in rows}
        for period, (owner, _) in now.items():
            before, until_us = self._leases.get(period, ("", 0))
            if before == owner:
                continue
            self._world.bad_moment(actor.process)
            if before:
                read_us = actor.read_clock_us or self._world.database_us
                self._world.law(
                    read_us >= until_us, f"{owner} takes {period} from {before}, whose lease runs"
                )
                self._world.counts["closes taken over"] += 1
        under_way = any(a.name.endswith(" writes") for a in self._world.baton.actors)
        self._world.counts["races of ingest against close"] += under_way
        self._leases = now


@contextmanager
def _simulated(baton: Baton) -> Iterator[None]:
    """The clocks of workers that measure time are the history's, and nothing is logged."""

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return baton.now_us / SECOND_US

    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        with (
            mock.patch.object(consumer, "time", Clock),
            mock.patch.object(silence, "time", Clock),
            mock.patch.object(writing, "time", Clock),
            mock.patch.object(lifecycle, "random", baton.draw),
            mock.patch.object(consumer, "learn_keys"),
            mock.patch.object(lag.Ends, "watch"),
        ):
            yield
    finally:
        structlog.configure(**before)

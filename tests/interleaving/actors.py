"""The roles, each as it runs in a process of its own: the code of `worker/` and `pipeline/`."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.broker.memory_log import Transaction
from chargeback_worker.errors import ChargebackError, Unavailable
from chargeback_worker.metrics import Metrics
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.closing.settlement import NotConserved
from chargeback_worker.pipeline.due import Due, due, note_ends
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.settings import Ingest, Settings
from chargeback_worker.store import periods
from chargeback_worker.store.audit import Act
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.usage.event import Grain, Reader
from chargeback_worker.worker.consumer import UsageConsumer
from chargeback_worker.worker.publisher import InvoicePublisher
from chargeback_worker.worker.scheduler import POKE_S
from tests.interleaving.baton import SECOND_US, Process
from tests.interleaving.database import WatchedStore
from tests.interleaving.topics import INVOICES, USAGE, Connection
from tests.interleaving.truth import Truth
from tests.interleaving.world import World, delay

# Leaps of the clocks of workers must not make an event one of the future: the truth knows no such.
SETTINGS = Settings(ingest=Ingest(batch_events=8, max_future=timedelta(days=10_000)))
TERMS = Snapshot()
REOPENS_MAX = 2
# Who has nothing to do leaves the steps to others, and time leaps once nobody has.
_REST_STEPS = 500
_PUBLISHERS_REST_STEPS = 4_000
_NEVER = 1 << 62
_METRICS = Metrics("simulated")


class Stop(threading.Event):
    """Asked for by the calm; every look at it is a place where another may go on."""

    def __init__(self, world: World, rest_steps: int = _REST_STEPS) -> None:
        super().__init__()
        self._world = world
        self._rest_steps = rest_steps

    def is_set(self) -> bool:
        self._world.baton.step("turn")
        return self._world.stopping

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        baton, world = self._world.baton, self._world
        # Some hear of what others have closed at once, some find it when they look again.
        told = world.told if world.draw.random() < 0.5 else _NEVER
        until_us = world.rested_us(timeout, self._rest_steps)
        baton.wait(lambda: world.stopping or world.told > told, until_us, "rest")
        return world.stopping


class Writer:
    """The thread of a worker that writes, as an actor of the same process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._ended: list[Callable[[], Any]] = []

    def start(self, job: Callable[[], Any]) -> None:
        def work() -> None:
            try:
                result = job()
            except Exception as error:
                self._ended.append(lambda error=error: _raise(error))  # type: ignore[misc]
            else:
                self._ended.append(lambda: result)

        self._world.baton.start(f"{self._process.name} writes", self._process, work)

    def done(self) -> bool:
        return bool(self._ended)

    def result(self) -> Any:
        while not self._ended:
            self._world.baton.wait(self.done, 1 << 60, "its batch")
        return self._ended.pop()()


def _raise(error: Exception) -> None:
    raise error


@dataclass
class Cast:
    """Who takes part, and with what."""

    world: World
    store: WatchedStore
    truth: Truth
    _numbers: dict[str, int] = field(default_factory=dict)
    _reopens: int = 0

    def enter(self, kind: str) -> None:
        """Another process of that kind."""
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        process = self.world.process(f"{kind}-{number}", kind)
        role = getattr(self, f"_{kind}")
        self.world.baton.start(process.name, process, lambda: role(process))

    def leave(self, process: Process) -> None:
        """Killed; its supervisor starts another."""
        self.enter(process.kind)

    def connection(self, process: Process) -> Connection:
        return Connection(self.world.topics, self.world, process, self.world.joined)

    def _worker(self, process: Process) -> None:
        connection: Any = self.connection(process)
        role = UsageConsumer(
            self.store,
            connection,
            SETTINGS,
            Reader(Grain("UTC"), max_future=SETTINGS.ingest.max_future),
            _METRICS,
            lambda: self.world.now_us(process),
            writer=lambda: Writer(self.world, process),
        )
        role.run(Stop(self.world), lambda waits_for=None: None)

    def _publisher(self, process: Process) -> None:
        connection: Any = self.connection(process)
        InvoicePublisher(
            self.store,
            connection,
            INVOICES,
            process.name,
            _METRICS,
            lambda: self.world.now_us(process),
            # No history here goes back to a backup.
            compare=lambda: None,
        ).run(Stop(self.world, _PUBLISHERS_REST_STEPS), lambda waits_for=None: None)

    def _closer(self, process: Process) -> None:
        """A scheduler: all that is due, at every poke."""
        stop = Stop(self.world)
        while not stop.is_set():
            self._refused(lambda: self._close_all_due(process))
            stop.wait(self.world.draw.choice((1, 5, POKE_S)))

    def _close_all_due(self, process: Process) -> None:
        ends = self.connection(process).ends
        while True:
            now_us = self.world.now_us(process)
            found = due(self.store, now_us, delay(), ends)
            if not isinstance(found, Due):
                return
            self._close(found.period, process, forced=False)

    def _close(self, period: Period, process: Process, *, forced: bool) -> None:
        act = Act(process.kind, self.world.now_us(process), "it is time")
        done = close(self.store, period, TERMS, act, owner=process.name, forced=forced)
        self.world.counts["closes"] += not done.closed_before
        self.world.counts["closes in the storm"] += not (done.closed_before or self.world.calm)

    def _person(self, process: Process) -> None:
        """Reopens months, and closes them by hand."""
        stop = Stop(self.world)
        while not stop.is_set():
            self._refused(lambda: self._by_hand(process))
            stop.wait(self.world.draw.choice((2, 20, 60)))

    def _by_hand(self, process: Process) -> None:
        world = self.world
        with self.store.read() as transaction:
            known = periods.listed(transaction)
        reopened = [row.period for row in known if row.state is PeriodState.REOPENED]
        closed = [row.period for row in known if row.state is PeriodState.CLOSED]
        closing = [row.period for row in known if row.state is PeriodState.CLOSING]
        if reopened and (world.calm or world.draw.random() < 0.5):
            forced = not world.calm and world.draw.random() < 0.5
            self._close_by_hand(reopened[0], process, forced=forced)
        elif closing and world.draw.random() < 0.8:
            # Whoever finds that it takes too long.
            self._close_by_hand(closing[0], process, forced=False)
        elif closed and not world.calm and self._reopens < REOPENS_MAX:
            self._reopens += 1
            act = Act("person", world.now_us(process), "a price was wrong")
            with world.unsettled():
                reopen(self.store, world.draw.choice(closed), act)
            world.counts["reopens"] += 1
        elif known and not world.calm and world.draw.random() < 0.3:
            chosen = world.draw.choice(known).period
            self._close_by_hand(chosen, process, forced=world.draw.random() < 0.3)

    def _close_by_hand(self, period: Period, process: Process, *, forced: bool) -> None:
        now_us = self.world.now_us(process)
        if not forced:
            note_ends(self.store, period, self.connection(process).ends, now_us)
        self._close(period, process, forced=forced)

    def _refused(self, do: Callable[[], None]) -> None:
        """What is refused now is tried again later; a close that would not conserve is a bug."""
        try:
            do()
        except NotConserved:
            raise
        except Unavailable:
            self.world.counts["closers cut off"] += 1
        except ChargebackError as refusal:
            self.world.counts[f"refused: {type(refusal).__name__}"] += 1

    def _producer(self, process: Process) -> None:
        world = self.world
        batches: dict[int, Transaction] = {}
        left = list(reversed(self.truth.puts))
        # All is sent before the storm ends, some at once and some late.
        step = max(1, world.climate.steps * 3 // 4 // max(1, len(left)))
        while left:
            for _ in range(world.draw.choice((1, 1, 2, 6))):
                if left:
                    put = left.pop()
                    batch = None
                    if put.batch is not None:
                        batch = batches.setdefault(put.batch, Transaction())
                    world.topics.put(USAGE, put.value, partition=put.partition, transaction=batch)
                    if put.batch is not None and not any(p.batch == put.batch for p in left):
                        assert batch is not None
                        _end(batch, commits=put.commits)
            at = world.baton.steps + world.draw.randint(0, 3 * step)
            with suppress(Unavailable):
                world.baton.wait(
                    lambda at=at: world.calm or world.baton.steps >= at,  # type: ignore[misc]
                    world.baton.now_us + 3600 * SECOND_US,
                    "produce",
                )
        world.counts["messages"] += len(self.truth.puts)


def _end(batch: Transaction, *, commits: bool) -> None:
    if commits:
        batch.commit()
    else:
        batch.abort()

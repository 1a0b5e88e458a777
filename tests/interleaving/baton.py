"""Threads of which exactly one runs: who holds the baton; and the time that passes meanwhile."""

import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

SECOND_US = 1_000_000
_NEVER = 1 << 62
_LAST_STEPS = 120


class Gone(BaseException):
    """The process of this actor was killed, or the history is over: unwind and touch nothing."""


class NoRest(AssertionError):
    """The history did not come to its end."""


@dataclass(eq=False)
class Process:
    """What is killed, sleeps and has a clock as a whole. `skew_us` is how far its clock is off."""

    name: str
    kind: str
    skew_us: int = 0
    killed: bool = False
    asleep_until_us: int = 0
    robbed: bool = False
    """Whether what it held was given to another while it slept."""


@dataclass(eq=False)
class Actor:
    """One thread. `ready` and `until_us` say what it waits for; `stuck` is set in a statement that
    waits for a lock of another, until it has `arrived` behind it."""

    name: str
    process: Process
    go: threading.Lock = field(default_factory=threading.Lock)
    ready: Callable[[], bool] | None = None
    until_us: int = _NEVER
    stuck: bool = False
    arrived: bool = False
    transaction: Any = None
    read_clock_us: int | None = None
    """What the database's clock said when it was last asked in a transaction of this actor."""


class Baton:
    """Who runs, drawn from `draw`. A step takes `tick_us`, and is followed by one of the same actor
    with the probability `stay`."""

    def __init__(self, draw: Random, *, now_us: int, tick_us: int, stay: float) -> None:
        self.draw = draw
        self.now_us = now_us
        self.stay = stay
        self.steps = 0
        self.trace = 0
        self.last_steps: deque[tuple[int, str, str]] = deque(maxlen=_LAST_STEPS)
        self.failure: BaseException | None = None
        self.actors: list[Actor] = []
        self.happens: Callable[[], None] = lambda: None
        self.unstick: Callable[[], bool] = lambda: False
        self.steps_max = 100_000
        self.tick_us = tick_us
        self._mine = threading.local()
        self.running: Actor | None = None
        self.over = threading.Lock()
        self.over.acquire()

    @property
    def me(self) -> Actor:
        """The actor whose thread asks."""
        actor: Actor = self._mine.actor
        return actor

    def holds(self) -> bool:
        """Whether the thread that asks is that of the running actor."""
        return getattr(self._mine, "actor", None) is self.running

    def start(self, name: str, process: Process, body: Callable[[], None]) -> None:
        """Let an actor join, which runs when it is drawn."""
        actor = Actor(name, process)
        actor.go.acquire()
        self.actors.append(actor)
        threading.Thread(target=self._live, args=(actor, body), name=name, daemon=True).start()

    def begin(self) -> None:
        """Hand the baton to the first one; `over` is released when the last one has ended."""
        self._pass_on()

    def step(self, what: str) -> None:
        """The running actor has come to a place where another may go on. Raises Gone."""
        me = self.me
        if me.process.killed:
            raise Gone
        self._note(me, what)
        if self.draw.random() < self.stay and me.process.asleep_until_us <= self.now_us:
            return
        self._hand_over(me)

    def wait(self, ready: Callable[[], bool] | None, until_us: int, what: str) -> bool:
        """Go on when `ready`, or at that moment of simulated time; whether it was ready."""
        me = self.me
        if me.process.killed:
            raise Gone
        self._note(me, what)
        me.ready, me.until_us = ready or _not_ready, until_us
        self._hand_over(me)
        me.ready, me.until_us = None, _NEVER
        return ready is not None and ready()

    def fail(self, error: BaseException) -> None:
        """Keep the first error, and end the history."""
        if self.failure is None:
            self.failure = error
        self.end()

    def end(self) -> None:
        for actor in self.actors:
            actor.process.killed = True

    def next(self, me: Actor | None) -> Actor | None:
        """Who goes on: one that is to unwind, else one that can; None when all have ended."""
        while self.actors:
            for actor in self.actors:
                if actor.process.killed and (not actor.stuck or actor.arrived):
                    return actor
            able = [actor for actor in self.actors if self._able(actor)]
            if able:
                return me if me in able and len(able) == 1 else self.draw.choice(able)
            if not self._leap() and not self.unstick():
                waiting = ", ".join(actor.name for actor in self.actors)
                self.fail(NoRest(f"nobody can go on: {waiting}"))
                if all(actor.stuck and not actor.arrived for actor in self.actors):
                    return None
        return None

    def let_run(self, actor: Actor) -> None:
        self.running = actor
        actor.go.release()

    def await_baton(self, me: Actor) -> None:
        """Sleep until it is handed to us. Raises Gone."""
        me.go.acquire()
        if me.process.killed:
            raise Gone

    def _note(self, me: Actor, what: str) -> None:
        self.steps += 1
        self.now_us += self.tick_us
        if self.steps > self.steps_max:
            self.fail(NoRest(f"not at rest after {self.steps} steps"))
            raise Gone
        self.trace = zlib.crc32(f"{me.name}:{what}".encode(), self.trace)
        self.last_steps.append((self.steps, me.name, what))
        self.happens()
        if me.process.killed:
            raise Gone

    def _hand_over(self, me: Actor) -> None:
        chosen = self.next(me)
        if chosen is not me and chosen is not None:
            self.let_run(chosen)
            me.go.acquire()
        if me.process.killed:
            raise Gone

    def _able(self, actor: Actor) -> bool:
        if actor.process.asleep_until_us > self.now_us:
            return False
        if actor.stuck:
            return actor.arrived
        return actor.ready is None or self.now_us >= actor.until_us or actor.ready()

    def _leap(self) -> bool:
        """Go to the first moment at which somebody wakes up; False where nobody ever does."""
        moments = []
        for actor in self.actors:
            if actor.stuck and not actor.arrived:
                continue
            wakes_us = actor.process.asleep_until_us
            if actor.ready is not None and not actor.ready():
                wakes_us = max(wakes_us, actor.until_us)
            moments.append(wakes_us)
        first = min(moments, default=_NEVER)
        if first >= _NEVER:
            return False
        self.now_us = max(self.now_us, first)
        return True

    def _live(self, actor: Actor, body: Callable[[], None]) -> None:
        self._mine.actor = actor
        actor.go.acquire()
        try:
            if not actor.process.killed:
                body()
        except Gone:
            pass
        except BaseException as error:
            self.fail(error)
        self.actors.remove(actor)
        self._pass_on()

    def _pass_on(self) -> None:
        chosen = self.next(None)
        if chosen is None:
            self.over.release()
        else:
            self.let_run(chosen)


def _not_ready() -> bool:
    return False

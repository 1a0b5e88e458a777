"""Workers that come and go, and workers that were given up and wake again."""

import random
import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground, Scene, scene
from tests.faults.worker import Worker

_LEAST, _MOST = 2, 6
# Short, so that those who are killed are soon given up; brokers of the tests allow it.
_SESSION = {"CHARGEBACK_KAFKA__SESSION_TIMEOUT": "3s"}
_FREEZES = ("before COMMIT", "in a COPY")
# Where a zombie stops: with a batch in hand, and in the midst of writing it.
_STOPS = ("after decode", "after poll", "after decode", "before COMMIT")


def rebalance_storm(ground: Ground, pace: Pace) -> Figures:
    """2 to 6 workers on 8 partitions; every 1 to 3 s one is started, stopped or killed.

    The faults are those that were stopped or killed.
    """
    draw = random.Random(pace.seed)
    ended = {"stopped": 0, "killed": 0}
    with scene(ground, pace, partitions=8, settings=_SESSION) as given:
        given.flow.start()
        running = [_another(given) for _ in range(_LEAST + 1)]
        while not given.flow.done.is_set():
            if len(running) <= _LEAST or (len(running) < _MOST and draw.random() < 0.5):
                running.append(_another(given))
            else:
                leaving = running.pop(draw.randrange(len(running)))
                how = draw.choice(("stopped", "killed"))
                leaving.signal(signal.SIGTERM if how == "stopped" else signal.SIGKILL)
                ended[how] += 1
            if sum(ended.values()) >= pace.faults:
                given.flow.enough.set()
            time.sleep(draw.uniform(1, 3))
        figures = given.figures("rebalance storm", sum(ended.values()), readers=running)
        detail = (
            f"{len(given.workers)} started, {ended['stopped']} stopped, {ended['killed']} killed;"
            f" {_count(given.workers, 'assigned')} assignments,"
            f" {_count(given.workers, 'position_taken')} batches dropped, 0 partitions stuck"
        )
        return replace(figures, detail=detail)


def _another(given: Scene) -> Worker:
    """A worker that is no static member: each that comes or goes makes the group deal anew."""
    return given.worker(f"worker-{len(given.workers)}", member=False)


def _count(workers: Iterable[Worker], action: str) -> int:
    return sum(len(worker.lines(action)) for worker in workers)


def zombies(ground: Ground, pace: Pace) -> Figures:
    """A worker is stopped (SIGSTOP) with a batch in hand until another has taken its place.

    Awake again, it must not write what the other has written; who writes first wins.
    """
    settings = {
        **_SESSION,
        # Who waits past twice of it counts as stuck, and a transaction that sleeps may hold it up
        # for 30 s, and for two looks more where it sleeps in the midst of a statement.
        "CHARGEBACK_KAFKA__MAX_POLL_INTERVAL": "30s",
        "CHARGEBACK_INGEST__BATCH_EVENTS": "200",
    }
    refused = cut_off = given_way = 0
    with scene(ground, pace, settings=settings) as given:
        given.flow.start()
        heir = given.worker("heir", member=False)
        assert heir.wait_for("first_commit"), heir.last_words
        for number in range(pace.faults):
            point = _STOPS[number % len(_STOPS)]
            zombie = _zombie(given, f"zombie-{number}", point)
            if not _inherited(given, heir, zombie, writes=point != "before COMMIT"):
                given.wrong.append(f"nobody took over: {heir.last_words[-800:]}")
            dropped, assigned = len(heir.lines("position_taken")), len(zombie.lines("assigned"))
            zombie.signal(signal.SIGCONT)
            if point == "before COMMIT":
                # Its transaction holds the rows: it ends, and whoever waited for them gives way.
                zombie.wait_for("position_taken", 10)
                given_way += len(heir.lines("position_taken")) - dropped
            elif zombie.wait_until(partial(_back, zombie, assigned), 60):
                # One that was stopped in the midst of a COPY has no transaction any more.
                refused += zombie.said("position_taken")
                cut_off += not zombie.said("position_taken")
            else:
                given.wrong.append(f"the zombie was not refused: {zombie.last_words[-800:]}")
            zombie.kill()
        detail = (
            f"{refused} late writes refused, {cut_off} cut off in the midst of one,"
            f" {given_way} heirs gave way to an open transaction"
        )
        return given.figures("zombies", pace.faults, detail, readers=[heir])


def _back(zombie: Worker, assigned: int) -> bool:
    """Whether it has learned that its partitions are another's."""
    return zombie.said("position_taken") or len(zombie.lines("assigned")) > assigned


def frozen_in_transaction(ground: Ground, pace: Pace) -> Figures:
    """A worker sleeps for ever while it writes: whoever inherits its partitions gets past it.

    Its transaction holds rows that the heir needs. Between two statements the database gives it up
    by itself, in the midst of one whoever is awake ends it.
    """
    settings = {
        **_SESSION,
        "CHARGEBACK_KAFKA__MAX_POLL_INTERVAL": "40s",
        "CHARGEBACK_INGEST__BATCH_EVENTS": "200",
    }
    waited: list[float] = []
    with scene(ground, pace, settings=settings) as given:
        given.flow.start()
        heir = given.worker("heir", member=False)
        assert heir.wait_for("first_commit"), heir.last_words
        for number in range(pace.faults):
            zombie = _zombie(given, f"zombie-{number}", _FREEZES[number % len(_FREEZES)])
            began = time.monotonic()
            if _inherited(given, heir, zombie, writes=True):
                waited.append(time.monotonic() - began)
            else:
                given.wrong.append("the heir waits for a transaction that nobody ends")
            zombie.kill()
        detail = f"past it after {max(waited, default=0):.0f} s at most"
        return given.figures("frozen in a transaction", pace.faults, detail, readers=[heir])


def _zombie(given: Scene, name: str, point: str) -> Worker:
    """A worker that has stopped itself at that point, partitions and a batch in its hands."""
    arguments = ("tests.faults.failing_worker", point, "3", "STOP", "run", "--role", "ingest")
    zombie = given.worker(name, member=False, arguments=arguments)
    assert zombie.wait_for("failpoint"), zombie.last_words
    return zombie


def _inherited(given: Scene, heir: Worker, zombie: Worker, *, writes: bool) -> bool:
    """Whether the heir has all partitions and, if it can, has written where the zombie was."""
    lost = {int(place.rpartition(":")[2]) for place in zombie.lines("assigned")[-1]["partitions"]}
    at = {partition: given.cursors()[partition].next_position for partition in lost}
    before = len(heir.lines("assigned"))

    def has_all() -> bool:
        said = heir.lines("assigned")
        return len(said[-1]["partitions"]) == 4 and len(said) >= before

    def has_written() -> bool:
        return all(given.cursors()[partition].next_position > at[partition] for partition in lost)

    return heir.wait_until(has_all, 60) and (not writes or heir.wait_until(has_written, 90))

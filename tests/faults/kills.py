"""Workers that are killed: at random, and at each step of what they do."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from tests.faults.flow import Pace
from tests.faults.points import INGEST
from tests.faults.scene import Figures, Ground, Scene, scene
from tests.faults.worker import Worker

_LANES = 2


def random_kills(ground: Ground, pace: Pace, *, workers: int = 3, sqlite: bool = False) -> Figures:
    """kill -9 of one of several workers at random, which is started again at once."""
    draw = random.Random(pace.seed)
    pause_s = pace.events / pace.rate / pace.faults
    took: list[float] = []
    with scene(ground, pace, partitions=2 * workers, sqlite=sqlite) as given:
        given.flow.start()
        running = [_Started(given, f"worker-{number}") for number in range(workers)]
        while not given.flow.done.is_set() or len(took) < pace.faults:
            time.sleep(draw.uniform(0, 1.6) * min(pause_s, 8))
            number = draw.randrange(workers)
            victim = running[number]
            # Only a kill after the first commit of its start counts.
            if victim.worker.wait_for("first_commit", 5):
                took.append(victim.took_s)
                victim.worker.kill()
                running[number] = _Started(given, victim.name)
            assert running[number].worker.running, victim.worker.last_words
            if len(took) >= pace.faults:
                given.flow.enough.set()
        detail = f"start to first commit: median {median(took):.1f} s, most {max(took):.1f} s"
        where = "SQLite" if sqlite else "PostgreSQL"
        what = f"{workers} worker{'s' * (workers > 1)} killed at random, {where}"
        readers = [started.worker for started in running]
        return given.figures(what, len(took), detail, readers=readers)


class _Started:
    """A worker, and how long it took to its first commit."""

    def __init__(self, given: Scene, name: str) -> None:
        self.name = name
        self.worker: Worker = given.worker(name)
        self._began = time.monotonic()
        self._took: float | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        if self.worker.wait_for("first_commit"):
            self._took = time.monotonic() - self._began

    @property
    def took_s(self) -> float:
        return self._took or time.monotonic() - self._began


def failpoint_kills(ground: Ground, pace: Pace) -> Figures:
    """kill -9 by the worker's own hand at each step, `pace.faults` times each."""
    draw = random.Random(pace.seed)
    plans: list[list[tuple[str, int]]] = [[] for _ in range(_LANES)]
    for _ in range(pace.faults):
        for number, name in enumerate(INGEST):
            plans[number % _LANES].append((name, INGEST[name].count(draw)))
    # Enough refused events for each batch to hold some; and batches of few events, so that a
    # failpoint is passed often.
    anomalies = "duplicate=0.05,late=0.01,conflict=0.005,poison=0.05"
    settings = {"CHARGEBACK_INGEST__BATCH_EVENTS": "400"}
    with scene(ground, pace, anomalies=anomalies, settings=settings) as given:
        given.flow.start()
        with ThreadPoolExecutor(_LANES) as pool:
            lanes = [
                pool.submit(_killed_by_plan, given, f"worker-{number}", plan)
                for number, plan in enumerate(plans)
            ]
            given.wrong.extend(line for lane in lanes for line in lane.result())
        reached = sum(map(len, plans)) - len(given.wrong)
        detail = f"{len(INGEST)} failpoints x {pace.faults}, {reached} reached"
        return given.figures("workers killed at failpoints", reached, detail)


def _killed_by_plan(given: Scene, name: str, plan: list[tuple[str, int]]) -> list[str]:
    """One worker after the other, each killed where the plan says; which ones were not."""
    missed = []
    for point, count in plan:
        worker = given.worker(
            name,
            arguments=(
                *("tests.faults.failing_worker", point, str(count), "KILL"),
                *("run", "--role", "ingest"),
            ),
        )
        if not worker.wait_for("failpoint"):
            missed.append(f"failpoint {point!r} was not reached: {worker.last_words[-800:]}")
        worker.kill()
    return missed

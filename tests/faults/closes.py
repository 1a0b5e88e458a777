"""Closers and publishers that are killed at each step of what they do."""

import random
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tests.faults.books import FIRST, Books, books, months_from
from tests.faults.failpoints import Failpoint
from tests.faults.flow import Pace
from tests.faults.points import CLOSING, PUBLISHING, RESIGNING
from tests.faults.scene import Figures, Ground
from tests.faults.worker import Worker

Plan = list[tuple[str, int]]


def close_failpoints(ground: Ground, pace: Pace) -> Figures:
    """kill -9 by the worker's own hand at each step of closing and of publishing, which go on side
    by side, `pace.faults` times each."""
    draw = random.Random(pace.seed)
    closing = _plan(CLOSING, pace.faults, draw)
    publishing = _plan({**PUBLISHING, **RESIGNING}, pace.faults, draw)
    with (
        books(ground, pace, months_from(FIRST, 3 * pace.faults), lease_s=0.5) as given,
        ThreadPoolExecutor(2) as pool,
    ):
        lanes = [
            pool.submit(_killed, given, "scheduler", closing),
            pool.submit(_killed, given, "publisher", publishing),
        ]
        closer = _keep_busy(given, lanes)
        missed = [line for lane in lanes for line in lane.result()]
        given.wrong.extend(missed)
        assert closer.stop() == 0, closer.last_words
        given.close_and_publish_all()
        points = len(CLOSING) + len(PUBLISHING) + len(RESIGNING)
        reached = len(closing) + len(publishing) - len(missed)
        detail = f"{points} failpoints x {pace.faults}, {reached} reached"
        return given.figures("killed while closing and publishing", reached, detail)


def _plan(points: Mapping[str, Failpoint], times: int, draw: random.Random) -> Plan:
    return [(name, points[name].count(draw)) for _ in range(times) for name in points]


def _killed(given: Books, role: str, plan: Plan) -> list[str]:
    """One worker after the other, each killed where the plan says; which ones were not."""
    missed = []
    for point, count in plan:
        worker = given.worker(role, role, point=point, count=count)
        if point in RESIGNING and worker.wait_for("round"):
            worker.signal(signal.SIGTERM)
        if not worker.wait_for("failpoint"):
            missed.append(f"failpoint {point!r} was not reached: {worker.last_words[-800:]}")
        worker.kill()
    return missed


def _keep_busy(given: Books, lanes: Sequence[Future[list[str]]]) -> Worker:
    """Let month after month be due until all are killed that were to be; who closes them when there
    is nobody left to be killed over it."""
    closer: Worker | None = None
    while not all(lane.done() for lane in lanes):
        given.keep_due()
        if closer is None and lanes[0].done():
            closer = given.worker("closer", "scheduler")
        time.sleep(0.1)
    closer = closer or given.worker("closer", "scheduler")
    assert closer.wait_for("poked"), closer.last_words
    return closer

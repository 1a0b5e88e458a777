"""Schedulers and people that close the same month at the same instant."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from chargeback_worker.period import Period
from tests.faults.books import FIRST, Books, books, due_at, months_from
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground
from tests.faults.worker import Worker

_RACERS = 5
_AHEAD_S = 0.05
_HARMLESS = ("was closed", "nothing due", "CloseInProgress")


def schedulers_race(ground: Ground, pace: Pace) -> Figures:
    """Five closers, up to two of them people, at one instant, `pace.faults` rounds: one closes."""
    ended = Counter[str]()
    with (
        books(ground, pace, months_from(FIRST, pace.faults), lease_s=60) as given,
        ExitStack() as opened,
    ):
        racers = [opened.enter_context(_racer(given, number)) for number in range(_RACERS)]
        for number, month in enumerate(given.months):
            given.clock.set(due_at(month))
            at_s = time.time() + _AHEAD_S
            for place, racer in enumerate(racers):
                # People come to the point sooner: they ask the broker for nothing.
                racer.ask(month, at_s, scheduler=place >= number % 3)
            answers = Counter(racer.answer() for racer in racers)
            if answers["closed"] != 1 or not given.is_closed(month):
                given.wrong.append(f"{month} was closed {answers['closed']} times: {answers}")
            if strange := answers.keys() - {"closed", *_HARMLESS}:
                given.wrong.append(f"{month}: {sorted(strange)}")
            ended += answers
        given.close_and_publish_all()
        detail = ", ".join(f"{count} {how}" for how, count in ended.most_common())
        return given.figures(f"{len(racers)} closers at one instant", pace.faults, detail)


class _Racer:
    """One process, of which each line that it is given is answered by one."""

    def __init__(self, process: Worker, pipe: int) -> None:
        self._process = process
        self._pipe = pipe
        self._heard = 0
        assert self.answer() == "ready"

    def ask(self, month: Period, at_s: float, *, scheduler: bool) -> None:
        asked = {"month": str(month), "at_s": at_s, "scheduler": scheduler}
        os.write(self._pipe, (json.dumps(asked) + "\n").encode())

    def answer(self) -> str:
        process, heard = self._process, self._heard
        came = process.wait_until(lambda: len(process.lines("answer")) > heard)
        assert came, process.last_words
        self._heard += 1
        return str(process.lines("answer")[heard]["answer"])


@contextmanager
def _racer(given: Books, number: int) -> Iterator[_Racer]:
    name = f"racer-{number}"
    path = given.scene.folder / name
    os.mkfifo(path)
    program = ("tests.faults.racing_closer", str(path))
    process = given.scene.worker(name, member=False, arguments=program)
    # Open to both ends, so that it waits for nobody.
    pipe = os.open(path, os.O_RDWR)
    try:
        yield _Racer(process, pipe)
    finally:
        process.kill()
        os.close(pipe)

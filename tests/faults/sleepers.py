"""Closers and publishers that are stopped while they hold a lease, and wake when others have it.

The database ends the transaction in which one was stopped; a lease that lapses does the rest.
"""

import signal
import time
from collections import Counter

from tests.faults.books import FIRST, Books, books, due_at, months_from
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground
from tests.faults.worker import Worker

# Between the two transactions, and in the midst of each.
_CLOSING_STOPS = ("closing set", "booked", "closing set, not committed", "closed, not committed")
_PUBLISHING_STOPS = ("flushed", "messages read", "sent, not flushed", "marked, not committed")


def sleeping_closer(ground: Ground, pace: Pace) -> Figures:
    """A closer sleeps (SIGSTOP) in the midst of a close until another one has done it."""
    waited: list[float] = []
    refused = Counter[str]()
    with books(ground, pace, months_from(FIRST, pace.faults)) as given:
        for number, month in enumerate(given.months):
            point = _CLOSING_STOPS[number % len(_CLOSING_STOPS)]
            given.clock.set(due_at(month))
            sleeper = _asleep(given, f"sleeper-{number}", "scheduler", point)
            heir = given.worker(f"heir-{number}", "scheduler")
            began = time.monotonic()
            if not given.closes_in_time(heir, month):
                given.wrong.append(f"{point}: nobody took {month} over: {heir.last_words[-800:]}")
            waited.append(time.monotonic() - began)
            assert heir.stop() == 0, heir.last_words
            sleeper.signal(signal.SIGCONT)
            if sleeper.wait_for("close_failed", 60):
                refused[_how(sleeper, "close_failed")] += 1
            else:
                given.wrong.append(f"{point}: it was not refused: {sleeper.last_words[-800:]}")
            sleeper.kill()
        given.close_and_publish_all()
        detail = f"past the sleeper after {max(waited):.1f} s at most; awake: {_told(refused)}"
        return given.figures("closers asleep", pace.faults, detail)


def sleeping_publisher(ground: Ground, pace: Pace) -> Figures:
    """A publisher sleeps in the midst of a round until another one has published all of it."""
    waited: list[float] = []
    refused = Counter[str]()
    with books(ground, pace, months_from(FIRST, pace.faults)) as given:
        closer = given.worker("closer", "scheduler")
        for number, month in enumerate(given.months):
            point = _PUBLISHING_STOPS[number % len(_PUBLISHING_STOPS)]
            given.clock.set(due_at(month))
            sleeper = _asleep(given, f"sleeper-{number}", "publisher", point)
            assert given.closes_in_time(closer, month), closer.last_words
            heir = given.worker(f"heir-{number}", "publisher")
            began = time.monotonic()
            if not heir.wait_until(lambda: not given.unpublished(), 60):
                given.wrong.append(f"{point}: nobody took over: {heir.last_words[-800:]}")
            waited.append(time.monotonic() - began)
            rounds = len(sleeper.lines("round"))
            sleeper.signal(signal.SIGCONT)
            if _refused(sleeper, rounds):
                refused[_how(sleeper, "publish_failed")] += 1
            else:
                given.wrong.append(f"{point}: it was not refused: {sleeper.last_words[-800:]}")
            sleeper.kill()
            assert heir.stop() == 0, heir.last_words
        assert closer.stop() == 0, closer.last_words
        given.close_and_publish_all()
        detail = f"past the sleeper after {max(waited):.1f} s at most; awake: {_told(refused)}"
        return given.figures("publishers asleep", pace.faults, detail)


def _asleep(given: Books, name: str, role: str, point: str) -> Worker:
    sleeper = given.worker(name, role, point=point, how="STOP")
    assert sleeper.wait_for("failpoint"), sleeper.last_words
    return sleeper


def _refused(sleeper: Worker, rounds: int) -> bool:
    """Whether the round in which it slept has marked nothing."""

    def ended() -> bool:
        return sleeper.said("publish_failed") or len(sleeper.lines("round")) > rounds

    if not sleeper.wait_until(ended, 90):
        return False
    return sleeper.said("publish_failed") or sleeper.lines("round")[rounds]["sent"] is None


def _how(sleeper: Worker, action: str) -> str:
    """By what a sleeper's late write was refused."""
    errors = [str(line["error"]) for line in sleeper.lines(action)]
    return "cut off" if any("not reachable" in error for error in errors) else "taken over"


def _told(refused: Counter[str]) -> str:
    return ", ".join(f"{count} {how}" for how, count in sorted(refused.items()))

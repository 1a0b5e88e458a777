"""Stops a partition when too many of its events are refused: a producer is broken, not an event."""

from collections import deque
from collections.abc import Sequence
from fractions import Fraction


class RefusalBreaker:
    """Watches one partition: `run` refusals in a row, or over `share` of a full window, trip it.

    Events are shown to it before they are written, and noted when they are: what trips it is never
    written, so that the quarantine does not fill with a topic's worth of broken events.
    """

    def __init__(self, share: Fraction, run: int, window: int) -> None:
        self._share = share
        self._run_max = run
        self._recent: deque[bool] = deque(maxlen=window)
        self._refused = 0
        self._run = 0

    def fault(self, refused: Sequence[bool]) -> str | None:
        """Why these events would trip it, or None. Changes nothing."""
        if self._nothing_refused(refused):
            return None
        trial = RefusalBreaker(self._share, self._run_max, self._recent.maxlen or 1)
        trial._recent.extend(self._recent)
        trial._refused, trial._run = self._refused, self._run
        for one in refused:
            trial._note(one)
            if trial._run >= self._run_max:
                return f"{trial._run} events in a row are refused"
            full = len(trial._recent) == trial._recent.maxlen
            if full and trial._refused > self._share * len(trial._recent):
                return f"{trial._refused} of the last {len(trial._recent)} events are refused"
        return None

    def note(self, refused: Sequence[bool]) -> None:
        """These events are written."""
        if self._nothing_refused(refused):
            self._recent.extend(refused)
            self._run = 0
            return
        for one in refused:
            self._note(one)

    def _nothing_refused(self, refused: Sequence[bool]) -> bool:
        """Neither among these nor among the last ones, as nearly always."""
        return not self._refused and True not in refused

    def _note(self, refused: bool) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._refused -= self._recent[0]
        self._recent.append(refused)
        self._refused += refused
        self._run = self._run + 1 if refused else 0

"""Usage that never ends, some of it refused where that is wanted."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.faults.flow import Sending
from tests.support.feed import usage

_TEAMS = ("platform", "search", "support", "legal")
_AT_ONCE_S = 0.05


class Load:
    """So many events a second to all partitions of a topic, of the month that is open."""

    def __init__(self, servers: str, topic: str, day: str, rate: float) -> None:
        self._servers, self._topic, self._day, self._rate = servers, topic, day, rate
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._draw = random.Random(20261123)
        self.refused_share = 0.0

    @contextmanager
    def flowing(self) -> Iterator["Load"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            self._thread.join()

    def _run(self) -> None:
        numbers = count()
        with Sending(self._servers) as producer:
            began, sent = time.monotonic(), 0
            while not self._ending.wait(_AT_ONCE_S):
                due = round((time.monotonic() - began) * self._rate)
                for _ in range(due - sent):
                    # Not waited for: a broker that is away gets it later.
                    producer.send(self._topic, value=self._value(next(numbers)))
                sent = due

    def _value(self, number: int) -> bytes:
        if self._draw.random() < self.refused_share:
            return b'{"usage_id": "refused-%d", "no_time": true}' % number
        return usage(
            f"load-{number}", "0.01", day=self._day, team=_TEAMS[number % len(_TEAMS)], agent_id="a"
        )

"""How much of each partition of ours is not stored yet, up to where it ends at the broker.

What was fetched last may be long ago where the database is slow or away, for a batch that waits is
not fetched behind. So the broker is asked for the ends besides, now and then, by a thread and a
client of their own: polling never waits for the answer, and while the broker is away the last one
stands.
"""

import contextlib
import threading
from collections.abc import Collection, Mapping

import structlog

from chargeback_worker.broker import Broker, Reader, TopicPartition
from chargeback_worker.metrics import Metrics

_log = structlog.get_logger(__name__)

# Several times within one interval of scraping; one small request to each leader.
_ASK_S = 5.0


class Lag:
    """The metric. Told by the thread that polls and by the one that asks, whichever knows more."""

    def __init__(self, metrics: Metrics) -> None:
        self._gauge = metrics.consumer_lag
        self._lock = threading.Lock()
        self._stored: Mapping[TopicPartition, int] = {}
        self._fetched: Mapping[TopicPartition, int] = {}
        self._asked: Mapping[TopicPartition, int] = {}
        self._shown: set[TopicPartition] = set()

    def partitions(self) -> Collection[TopicPartition]:
        """Those that are ours and whose stored position is known."""
        return list(self._stored)

    def stands(
        self, stored: Mapping[TopicPartition, int], fetched: Mapping[TopicPartition, int]
    ) -> None:
        """So far each partition of ours is stored, and there the last fetch saw it end."""
        with self._lock:
            self._stored, self._fetched = dict(stored), fetched
            self._show()

    def ends(self, asked: Mapping[TopicPartition, int]) -> None:
        """There the partitions end, as the broker says."""
        with self._lock:
            self._asked = asked
            self._show()

    def _show(self) -> None:
        now = {}
        for partition, stored in self._stored.items():
            known = [ends[partition] for ends in (self._fetched, self._asked) if partition in ends]
            if known:
                now[partition] = max(0, max(known) - stored)
        for gone in self._shown - now.keys():
            self._gauge.remove(gone.topic, str(gone.partition))
        for partition, lag in now.items():
            self._gauge.labels(partition.topic, str(partition.partition)).set(lag)
        self._shown = set(now)


class Ends:
    """Asks the broker where the partitions end."""

    def __init__(self, broker: Broker, lag: Lag) -> None:
        self._broker = broker
        self._lag = lag
        self._reader: Reader | None = None

    def watch(self, stop: threading.Event) -> None:
        """Until `stop`, from time to time."""
        while not stop.wait(_ASK_S):
            self.ask()
        self.close()

    def ask(self) -> None:
        """Once. What goes wrong is told in the log only: the last answer stands."""
        if not (partitions := self._lag.partitions()):
            return
        try:
            if self._reader is None:
                self._reader = self._broker.reader()
            self._lag.ends(self._reader.end_offsets(partitions))
        except Exception as error:
            # Whatever it is: without this thread the metric would stand still unnoticed.
            _log.info("ends not known", action="ends_not_known", error=str(error))
            self.close()

    def close(self) -> None:
        """Another client is made when it is asked again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(Exception):
                reader.close()

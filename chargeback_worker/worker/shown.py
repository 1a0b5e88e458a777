"""What the ingest role shows of itself: what it wrote, and how far each of its partitions is."""

from collections.abc import Mapping, Set

import structlog

from chargeback_worker.broker import TopicPartition
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline.ingest import Outcome
from chargeback_worker.worker.positions import Positions
from chargeback_worker.worker.writing import Ended

_log = structlog.get_logger(__name__)


class Shown:
    """The metrics of one consumer, which shows its own partitions and no other."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._partitions: set[TopicPartition] = set()
        self._has_committed = False

    def committed(self, ended: Ended, *, now_us: int) -> None:
        """Count the events of a transaction that was committed."""
        assert ended.result is not None
        metrics, tally = self._metrics, ended.result.tally
        if not self._has_committed:
            self._has_committed = True
            _log.info("first batch committed", action="first_commit", events=tally.consumed)
        for outcome in Outcome:
            metrics.events.labels(outcome.value).inc(getattr(tally, outcome.value))
        metrics.commit_seconds.observe(ended.took_s)
        metrics.batch_events.observe(tally.consumed)
        newest = max(
            [event.time_us for part in ended.parts.values() for event in part.usable()],
            default=None,
        )
        if newest is not None:
            metrics.event_delay_seconds.observe(max(0, now_us - newest) / 1e6)
        if tally.conflict or tally.quarantined:
            _log.warning(
                "events set apart",
                action="set_apart",
                conflict=tally.conflict,
                quarantined=tally.quarantined,
            )

    def lag(self, positions: Positions, ends: Mapping[TopicPartition, int]) -> None:
        """How far each partition is from its end, and which are stopped."""
        now = positions.held.keys() | positions.stopped.keys()
        self._only(now)
        for partition in now:
            labels = partition.topic, str(partition.partition)
            held = positions.held.get(partition)
            self._metrics.partition_stopped.labels(*labels).set(held is None)
            if held is not None and partition in ends:
                lag = max(0, ends[partition] - held.stored)
                self._metrics.consumer_lag.labels(*labels).set(lag)

    def hide(self) -> None:
        """The consumer has ended: what it showed of its partitions is no longer known."""
        self._only(set())

    def _only(self, partitions: Set[TopicPartition]) -> None:
        """Take out of the metrics what is shown of any other partition."""
        for partition in self._partitions - partitions:
            labels = partition.topic, str(partition.partition)
            self._metrics.consumer_lag.remove(*labels)
            self._metrics.partition_stopped.remove(*labels)
        self._partitions = set(partitions)

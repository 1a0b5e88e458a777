"""What the ingest role shows of itself: what it wrote, and how far each of its partitions is."""

from collections.abc import Mapping

import structlog

from chargeback_worker.broker import TopicPartition
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline.ingest import Outcome
from chargeback_worker.worker.lag import Lag
from chargeback_worker.worker.positions import Positions
from chargeback_worker.worker.writing import Ended

_log = structlog.get_logger(__name__)


class Shown:
    """The metrics of one consumer, which shows its own partitions and no other."""

    def __init__(self, metrics: Metrics, lag: Lag) -> None:
        self._metrics = metrics
        self._lag = lag
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

    def partitions(self, positions: Positions, fetched: Mapping[TopicPartition, int]) -> None:
        """Which are ours, how far each is stored of what there is, and which are stopped."""
        self._lag.stands(positions.stored, fetched)
        self._stopped(
            dict.fromkeys(positions.held.keys() | positions.waiting, False)
            | dict.fromkeys(positions.stopped, True)
        )

    def hide(self) -> None:
        """The consumer has ended: what it showed of its partitions is no longer known."""
        self._lag.stands({}, {})
        self._stopped({})

    def _stopped(self, partitions: Mapping[TopicPartition, bool]) -> None:
        gauge = self._metrics.partition_stopped
        for gone in self._partitions - partitions.keys():
            gauge.remove(gone.topic, str(gone.partition))
        for partition, stopped in partitions.items():
            gauge.labels(partition.topic, str(partition.partition)).set(stopped)
        self._partitions = set(partitions)

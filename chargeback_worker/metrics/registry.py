"""The metrics of one process and what `/metrics` answers."""

from collections.abc import Callable, Iterator
from platform import python_version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

from chargeback_worker.metrics.catalogue import BY_NAME, OUTCOMES
from chargeback_worker.metrics.stored import Figures, KeptFigures, StoreCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one process. Made once by the door; tests make as many as they like."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.events = self._counter("chargeback_events_total")
        self.consumer_lag = self._gauge("chargeback_consumer_lag")
        self.partition_stopped = self._gauge("chargeback_partition_stopped")
        self.batch_events = self._histogram("chargeback_batch_events")
        self.commit_seconds = self._histogram("chargeback_commit_seconds")
        self.event_delay_seconds = self._histogram("chargeback_event_delay_seconds")
        self.close_failures = self._counter("chargeback_close_failures_total")
        self.messages_published = self._counter("chargeback_messages_published_total")
        self._gauge("chargeback_build_info").labels(version, python_version()).set(1)
        for outcome in OUTCOMES:
            self.events.labels(outcome)
        for outcome in ("acknowledged", "failed", "refused"):
            self.messages_published.labels(outcome)

    def watch_store(
        self,
        read: Callable[[], Figures],
        now_us: Callable[[], int],
        *,
        cached_s: float = 60,
        limit_s: float = 1,
    ) -> None:
        """Show the store's figures too. `read` is called from a thread, at most one at a time."""
        kept = KeptFigures(read, now_us, cached_s=cached_s, limit_s=limit_s)
        self.registry.register(StoreCollector(kept, now_us))

    def exposition(self) -> bytes:
        """The answer of `/metrics`, of the type `CONTENT_TYPE`."""
        return generate_latest(_WithoutCreated(self.registry))

    def _counter(self, name: str) -> Counter:
        measure = BY_NAME[name]
        return Counter(name, measure.help, measure.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        measure = BY_NAME[name]
        return Gauge(name, measure.help, measure.labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        measure = BY_NAME[name]
        return Histogram(
            name, measure.help, measure.labels, buckets=measure.buckets, registry=self.registry
        )


class _WithoutCreated(CollectorRegistry):
    """The same metrics without a `_created` series beside each counter and histogram."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._all = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._all.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric

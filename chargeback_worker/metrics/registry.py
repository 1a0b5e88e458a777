"""The metrics of one process and what `/metrics` answers."""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from platform import python_version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chargeback_worker.metrics.catalogue import BY_NAME
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
        self._allocation_seconds = self._histogram("chargeback_allocation_seconds")
        self._invoicing_seconds = self._histogram("chargeback_invoicing_seconds")
        self.messages_published = self._counter("chargeback_messages_published_total")
        self._gauge("chargeback_build_info").labels(version, python_version()).set(1)

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

    def watch_roles(self, ready: Callable[[], Mapping[str, bool]]) -> None:
        """Show whether each role of this process works, too."""
        self.registry.register(_RoleCollector(ready))

    def closed(self, allocation_s: float, invoicing_s: float) -> None:
        """A close of this process: what its two parts took."""
        self._allocation_seconds.observe(allocation_s)
        self._invoicing_seconds.observe(invoicing_s)

    def exposition(self) -> bytes:
        """The answer of `/metrics`, of the type `CONTENT_TYPE`."""
        return generate_latest(_WithoutCreated(self.registry))

    def _counter(self, name: str) -> Counter:
        measure = BY_NAME[name]
        counter = Counter(name, measure.help, measure.label_names, registry=self.registry)
        # A rate misses the first event of a series that was not there before it.
        if measure.labels and all(label.values for label in measure.labels):
            for values in product(*(label.values for label in measure.labels)):
                counter.labels(*values)
        return counter

    def _gauge(self, name: str) -> Gauge:
        measure = BY_NAME[name]
        return Gauge(name, measure.help, measure.label_names, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        measure = BY_NAME[name]
        return Histogram(
            name, measure.help, measure.label_names, buckets=measure.buckets, registry=self.registry
        )


class _RoleCollector(Collector):
    def __init__(self, ready: Callable[[], Mapping[str, bool]]) -> None:
        self._ready = ready

    def describe(self) -> Iterator[GaugeMetricFamily]:
        measure = BY_NAME["chargeback_role_ready"]
        yield GaugeMetricFamily(measure.name, measure.help, labels=measure.label_names)

    def collect(self) -> Iterator[Metric]:
        for family in self.describe():
            for role, ready in sorted(self._ready().items()):
                family.add_metric((role,), float(ready))
            yield family


class _WithoutCreated(CollectorRegistry):
    """The same metrics without a `_created` series beside each counter and histogram."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._all = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._all.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric

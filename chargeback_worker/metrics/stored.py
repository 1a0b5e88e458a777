"""The figures of the store: read beside the scrape and kept for a while.

A failing store turns `chargeback_store_up` to 0 and takes nothing else away.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chargeback_worker.metrics.catalogue import CATALOGUE, MONEY, STATES
from chargeback_worker.money import NANO

_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Nano-dollars of one period."""

    booked: int = 0
    invoiced: int = 0
    uninvoiced: int = 0
    unallocated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the store tells at one moment. Ages are kept as instants: they grow while it is down."""

    periods: Mapping[str, int] = field(default_factory=dict)
    overdue_since_us: int | None = None
    open: Money = Money()
    last_closed: Money = Money()
    reconciliation_difference: int = 0
    outbox_messages: int = 0
    outbox_oldest_us: int | None = None
    outbox_parked_receivers: int = 0
    quarantine_events: int = 0
    conflict_events: int = 0
    open_totals: int = 0
    last_closed_totals: int = 0
    heartbeats_us: Mapping[str, int] = field(default_factory=dict)
    held: bool = False


class KeptFigures:
    """The last figures read, and whether the store answered when they were last wanted.

    A read that takes too long goes on in its thread: its figures serve the next scrape, and no
    second one is begun beside it. Meanwhile the store counts as one that answers, for as long again
    as figures are kept: many totals take more than a moment to sum, each time.
    """

    def __init__(
        self,
        read: Callable[[], Figures],
        now_us: Callable[[], int],
        *,
        cached_s: float,
        limit_s: float,
    ) -> None:
        self._read = read
        self._now_us = now_us
        self._cached_us = round(cached_s * _SECOND_US)
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._running: threading.Event | None = None
        self._figures: Figures | None = None
        self._read_at_us: int | None = None

    def current(self) -> tuple[Figures | None, bool]:
        with self._lock:
            if self._read_within(self._cached_us):
                return self._figures, True
            if self._running is None:
                self._running = threading.Event()
                thread = threading.Thread(
                    target=self._refresh, args=(self._running,), name="figures", daemon=True
                )
                thread.start()
            running = self._running
        running.wait(self._limit_s)
        with self._lock:
            return self._figures, self._read_within(2 * self._cached_us)

    def _read_within(self, age_us: int) -> bool:
        # A clock set back makes an age negative; the figures are then read again.
        read_at = self._read_at_us
        return read_at is not None and 0 <= self._now_us() - read_at < age_us

    def _refresh(self, done: threading.Event) -> None:
        figures = None
        try:
            figures = self._read()
        except Exception:
            # Whatever it was, the scrape must go on: `chargeback_store_up` tells of it.
            pass
        finally:
            with self._lock:
                self._running = None
                self._read_at_us = None if figures is None else self._now_us()
                self._figures = figures or self._figures
            done.set()


_Series = tuple[str, tuple[str, ...]]


class StoreCollector(Collector):
    def __init__(self, kept: KeptFigures, now_us: Callable[[], int]) -> None:
        self._kept = kept
        self._now_us = now_us

    def describe(self) -> Iterator[Metric]:
        """The names alone, so that registering does not read the store."""
        for measure in CATALOGUE:
            if measure.stored:
                yield GaugeMetricFamily(measure.name, measure.help, labels=measure.label_names)

    def collect(self) -> Iterator[Metric]:
        figures, up = self._kept.current()
        values: dict[_Series, float] = {("chargeback_store_up", ()): float(up)}
        if figures is not None:
            values |= _samples(figures, self._now_us())
        for family in self.describe():
            for (name, labels), value in values.items():
                if name == family.name:
                    assert isinstance(family, GaugeMetricFamily)
                    family.add_metric(labels, value)
            yield family


def _samples(figures: Figures, now_us: int) -> dict[_Series, float]:
    """The value of every series, by metric and label values."""

    def age(since_us: int | None) -> float:
        return 0.0 if since_us is None else max(now_us - since_us, 0) / _SECOND_US

    values: dict[_Series, float] = {
        ("chargeback_period_overdue_seconds", ()): age(figures.overdue_since_us),
        ("chargeback_reconciliation_difference_usd", ()): figures.reconciliation_difference / NANO,
        ("chargeback_outbox_messages", ()): figures.outbox_messages,
        ("chargeback_outbox_oldest_seconds", ()): age(figures.outbox_oldest_us),
        ("chargeback_outbox_parked_receivers", ()): figures.outbox_parked_receivers,
        ("chargeback_quarantine_events", ()): figures.quarantine_events,
        ("chargeback_conflict_events", ()): figures.conflict_events,
        ("chargeback_usage_totals", ("open",)): figures.open_totals,
        ("chargeback_usage_totals", ("last_closed",)): figures.last_closed_totals,
        ("chargeback_books_held", ()): float(figures.held),
    }
    for state in STATES:
        values["chargeback_periods", (state,)] = figures.periods.get(state, 0)
    for period, money in (("open", figures.open), ("last_closed", figures.last_closed)):
        for kind in MONEY:
            values["chargeback_money_usd", (kind, period)] = getattr(money, kind) / NANO
    for role, beat_us in sorted(figures.heartbeats_us.items()):
        values["chargeback_heartbeat_age_seconds", (role,)] = age(beat_us)
    return values

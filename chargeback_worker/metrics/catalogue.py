"""The catalogue of all metrics: name, kind, help and labels, in one place."""

from dataclasses import dataclass
from typing import Final, Literal

OUTCOMES: Final = ("accepted", "duplicate", "conflict", "quarantined")
STATES: Final = ("open", "closing", "closed", "reopened")


@dataclass(frozen=True, slots=True)
class Measure:
    """One entry of the catalogue. `stored`: read from the store, not counted by this process."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    stored: bool = False


CATALOGUE: Final = (
    Measure(
        "chargeback_events_total",
        "counter",
        "Usage events whose transaction was committed, by what became of them.",
        ("outcome",),
    ),
    Measure(
        "chargeback_consumer_lag",
        "gauge",
        "Messages of a partition of the usage topic that are not stored yet.",
        ("topic", "partition"),
    ),
    Measure(
        "chargeback_partition_stopped",
        "gauge",
        "1 while a partition is held because its events are refused or cannot be read.",
        ("topic", "partition"),
    ),
    Measure(
        "chargeback_batch_events",
        "histogram",
        "Usage events in one transaction.",
        buckets=(1, 10, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000),
    ),
    Measure(
        "chargeback_commit_seconds",
        "histogram",
        "Time of an ingest transaction, from its begin to the end of its commit.",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    ),
    Measure(
        "chargeback_event_delay_seconds",
        "histogram",
        "From the time of the newest usage event of a transaction to its commit.",
        buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400),
    ),
    Measure(
        "chargeback_close_failures_total",
        "counter",
        "Closes that ended in an error and set their period back.",
    ),
    Measure(
        "chargeback_messages_published_total",
        "counter",
        "Messages of the outbox by what the broker said: acknowledged, failed (tried again) or "
        "refused (for ever).",
        ("outcome",),
    ),
    Measure("chargeback_build_info", "gauge", "1, with the version.", ("version", "python")),
    Measure(
        "chargeback_store_up",
        "gauge",
        "1 if the figures of the store could be read when they were last wanted, else 0.",
        stored=True,
    ),
    Measure("chargeback_periods", "gauge", "Billing periods by state.", ("state",), stored=True),
    Measure(
        "chargeback_period_overdue_seconds",
        "gauge",
        "For how long the earliest period that is due has not been closed; 0 if none is due.",
        stored=True,
    ),
    Measure(
        "chargeback_money_usd",
        "gauge",
        "Booked, invoiced, uninvoiced and unallocated money of the open and of the last closed "
        "period. A float: the store has the exact amount.",
        ("kind", "period"),
        stored=True,
    ),
    Measure(
        "chargeback_reconciliation_difference_usd",
        "gauge",
        "What live invoices, uninvoiced and unallocated money miss to what the last close booked; "
        "anything but 0 is a fault.",
        stored=True,
    ),
    Measure(
        "chargeback_outbox_messages", "gauge", "Messages waiting to be published.", stored=True
    ),
    Measure(
        "chargeback_outbox_oldest_seconds",
        "gauge",
        "Age of the oldest message waiting to be published; 0 if none waits.",
        stored=True,
    ),
    Measure(
        "chargeback_outbox_parked_receivers",
        "gauge",
        "Receivers whose messages are held because the broker refused one for ever; they go on by "
        "chargeback outbox release.",
        stored=True,
    ),
    Measure(
        "chargeback_quarantine_events",
        "gauge",
        "Usage events in quarantine, neither replayed nor dismissed.",
        stored=True,
    ),
    Measure(
        "chargeback_books_held",
        "gauge",
        "1 while closing and publishing are held, as the database is older than its topics.",
        stored=True,
    ),
    Measure(
        "chargeback_heartbeat_age_seconds",
        "gauge",
        "Time since the last heartbeat of a role, of whatever process, as read up to a minute ago.",
        ("role",),
        stored=True,
    ),
)
BY_NAME: Final = {measure.name: measure for measure in CATALOGUE}

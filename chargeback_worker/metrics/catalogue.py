"""The catalogue of all metrics, in one place: docs/metrics.md is made from it, and the metrics of a
process are."""

from typing import Final

from chargeback_worker.metrics.measure import Group, Label, Measure

OUTCOMES: Final = ("accepted", "duplicate", "conflict", "quarantined")
STATES: Final = ("open", "closing", "closed", "reopened")
MONEY: Final = ("booked", "invoiced", "uninvoiced", "unallocated")
PERIODS: Final = ("open", "last_closed")

_PARTITION: Final = (
    Label("topic", "the usage topic"),
    Label("partition", "the number of the partition, of those that this process reads"),
)
_ROLE: Final = Label("role", "ingest, scheduler, publisher or api")
_PERIOD: Final = Label("period", "all that is not closed, or the month closed last", PERIODS)
_CLOSE_BUCKETS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)

_INGEST: Final = (
    Measure(
        "chargeback_events_total",
        "counter",
        "Usage events whose transaction was committed, of the topic and by HTTP, by what became of"
        " them.",
        "Watch its rate. Conflicts and quarantined events are to be looked at: their cost is not"
        " counted.",
        (Label("outcome", "what became of them", OUTCOMES),),
    ),
    Measure(
        "chargeback_consumer_lag",
        "gauge",
        "Messages of a partition of the usage topic that are not stored yet, up to its end.",
        "Divided by the rate of chargeback_batch_events_sum it says how old the numbers are. Where"
        " it grows, add ingest processes, up to the number of partitions. It grows too while the"
        " database is slow or away, and in a stopped partition. The broker is asked for the end"
        " every 5 seconds; while it is away, the last one stands.",
        _PARTITION,
    ),
    Measure(
        "chargeback_partition_stopped",
        "gauge",
        "1 while a partition is held because its events are refused or cannot be read.",
        "See why: chargeback offsets show. It goes on only when a person has decided, and the"
        " worker is started again.",
        _PARTITION,
    ),
    Measure(
        "chargeback_batch_events",
        "histogram",
        "Usage events of the topic in one transaction.",
        "Small batches under load mean that the broker is slow, full ones (ingest.batch_events)"
        " that the database is.",
        buckets=(1, 10, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000),
    ),
    Measure(
        "chargeback_commit_seconds",
        "histogram",
        "Time of an ingest transaction, from its begin to the end of its commit.",
        "Where it grows and the batches do not, look at the database: locks, disk, other sessions.",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    ),
    Measure(
        "chargeback_event_delay_seconds",
        "histogram",
        "From the time of the newest usage event of a transaction to its commit, end to end.",
        "Where the lag is small all the same, events are sent late or their clocks are wrong.",
        buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400),
    ),
    Measure(
        "chargeback_quarantine_events",
        "gauge",
        "Usage events in quarantine, neither replayed nor dismissed.",
        "Their cost is not counted. chargeback quarantine list, mend, replay or dismiss, before"
        " the month is closed.",
        stored=True,
    ),
    Measure(
        "chargeback_conflict_events",
        "gauge",
        "Usage events by any door, ever, whose id was stored before with other content.",
        "The first content stands. Where it grows, an emitter uses an id twice.",
        stored=True,
    ),
    Measure(
        "chargeback_usage_totals",
        "gauge",
        "Usage totals: the sums that allocation sees.",
        "A close takes time and memory by their number. Where it grows like the events, a label of"
        " grain.labels has too many values.",
        (_PERIOD,),
        stored=True,
    ),
)

_BOOKS: Final = (
    Measure(
        "chargeback_periods",
        "gauge",
        "Billing periods by state.",
        "One that stays closing or reopened waits for somebody: chargeback periods.",
        (Label("state", "the state", STATES),),
        stored=True,
    ),
    Measure(
        "chargeback_period_overdue_seconds",
        "gauge",
        "For how long the earliest period that is due has not been closed; 0 if none is due.",
        "chargeback periods says what it waits for.",
        stored=True,
    ),
    Measure(
        "chargeback_close_failures_total",
        "counter",
        "Closes that ended in an error and set their period back.",
        "chargeback periods names the error; it is tried again at growing intervals.",
    ),
    Measure(
        "chargeback_allocation_seconds",
        "histogram",
        "Of a close of this process: reading its totals and deciding who bears them.",
        "Grows with the totals and the rules of the month.",
        buckets=_CLOSE_BUCKETS,
    ),
    Measure(
        "chargeback_invoicing_seconds",
        "histogram",
        "Of a close of this process: all the rest, building and writing its invoices.",
        "Grows with the receivers and their lines.",
        buckets=_CLOSE_BUCKETS,
    ),
    Measure(
        "chargeback_money_usd",
        "gauge",
        "Booked, invoiced, uninvoiced and unallocated money of what is open and of the last closed"
        " period. A float: the store has the exact amount.",
        "Unallocated money is borne by nobody: chargeback explain. Uninvoiced money was on"
        " cancelled invoices that nothing replaces.",
        (
            Label("kind", "what of it; what is open has only booked, the cost used so far", MONEY),
            _PERIOD,
        ),
        stored=True,
    ),
    Measure(
        "chargeback_reconciliation_difference_usd",
        "gauge",
        "What the closes and their invoices do not account for; anything but 0 is a fault.",
        "Close nothing more, and see what differs: chargeback verify.",
        stored=True,
    ),
    Measure(
        "chargeback_books_held",
        "gauge",
        "1 while closing and publishing are held, as the database is older than its topics.",
        "See docs/restore.md; when it is the right backup: chargeback db resume.",
        stored=True,
    ),
)

_PUBLISHING: Final = (
    Measure(
        "chargeback_outbox_messages",
        "gauge",
        "Messages waiting to be published.",
        "A close adds one for each invoice; they should be gone minutes later.",
        stored=True,
    ),
    Measure(
        "chargeback_outbox_oldest_seconds",
        "gauge",
        "Age of the oldest message waiting to be published; 0 if none waits.",
        "Look at the publisher and the broker; parked receivers make it grow too.",
        stored=True,
    ),
    Measure(
        "chargeback_outbox_parked_receivers",
        "gauge",
        "Receivers whose messages are held because the broker refused one for ever.",
        "chargeback outbox list --parked says why; they go on by chargeback outbox release.",
        stored=True,
    ),
    Measure(
        "chargeback_messages_published_total",
        "counter",
        "Messages of the outbox by what the broker said.",
        "Failed ones are sent again by themselves; a refused one parks its receiver.",
        (
            Label(
                "outcome",
                "acknowledged, failed (tried again) or refused (for ever)",
                ("acknowledged", "failed", "refused"),
            ),
        ),
    ),
)

_PROCESS: Final = (
    Measure(
        "chargeback_role_ready",
        "gauge",
        "1 while a role of this process works, 0 while it waits for something or is not heard of.",
        "/readyz of that process says what for.",
        (_ROLE,),
        asked=True,
    ),
    Measure(
        "chargeback_heartbeat_age_seconds",
        "gauge",
        "Time since the last heartbeat of a role, of whatever process, as read up to a minute ago.",
        "Past a minute or two nobody does that work: start the process, or see why it ends.",
        (_ROLE,),
        stored=True,
    ),
    Measure(
        "chargeback_store_up",
        "gauge",
        "1 if the figures of the store could be read when they were last wanted, else 0; 1 for up"
        " to a minute while they are read anew.",
        "While it is 0, all that is read from the store shows what was read last.",
        stored=True,
    ),
    Measure(
        "chargeback_build_info",
        "gauge",
        "1, with the version.",
        "More than one version for long: an upgrade was left half done.",
        (Label("version", "of the worker"), Label("python", "of the interpreter")),
    ),
)

GROUPS: Final = (
    Group("Ingest", _INGEST),
    Group("Periods and money", _BOOKS),
    Group("Publishing", _PUBLISHING),
    Group("Processes", _PROCESS),
)
CATALOGUE: Final = tuple(measure for group in GROUPS for measure in group.measures)
BY_NAME: Final = {measure.name: measure for measure in CATALOGUE}

"""Ingest: how far it has come, what stopped it, and what was refused."""

from collections.abc import Iterator, Mapping, Sequence

from chargeback_worker import app
from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, ok, warn
from chargeback_worker.period import format_us
from chargeback_worker.store import cursors, quarantine
from chargeback_worker.store.cursors import Cursor, Door

# The first offset and the end of each partition.
Bounds = Mapping[int, tuple[int, int]]

_STALLED_US = 600_000_000


def positions_move(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    usage_topic = patient.settings.kafka.usage_topic
    bounds = patient.world.usage_bounds() if usage_topic in patient.topics else None
    with patient.world.store.read() as transaction:
        listed = cursors.listed(transaction, Door.TOPIC)
    live = [cursor for cursor in listed if not cursor.retired]
    for cursor in live:
        if cursor.stopped:
            detail = f"{cursor.name}:{cursor.partition} is stopped: {cursor.stopped}"
            yield warn("ingest", Fault.PARTITION_STOPPED, detail, "chargeback offsets show")
    if bounds is not None:
        ours = [cursor for cursor in live if cursor.name == usage_topic]
        yield from _lost(usage_topic, bounds, ours)
        yield from _unread(patient, bounds, ours)


def _lost(topic: str, bounds: Bounds, ours: Sequence[Cursor]) -> Iterator[Finding]:
    for cursor in ours:
        first, _ = bounds.get(cursor.partition, (0, 0))
        if cursor.next_position < first:
            detail = f"{first - cursor.next_position:,} messages of {topic}:{cursor.partition} were"
            detail += " deleted before they were read"
            fix = "Raise retention.ms, and have them sent anew if they can be; then: chargeback"
            fix += " offsets accept-gap --reason TEXT, and start the worker again"
            yield warn("ingest", Fault.USAGE_LOST, detail, fix)


def _unread(patient: Patient, bounds: Bounds, ours: Sequence[Cursor]) -> Iterator[Finding]:
    """What waits, and whether somebody reads it. Stopped partitions have been told of."""
    topic, group_id = patient.settings.kafka.usage_topic, patient.settings.kafka.group_id
    read = {cursor.partition: cursor.next_position for cursor in ours}
    behind = {
        partition: max(end - max(read.get(partition, first), first), 0)
        for partition, (first, end) in bounds.items()
    }
    lag = sum(behind.values())
    reading = (one for one in ours if behind.get(one.partition) and not one.stopped)
    detail = f"{lag:,} messages of {topic} are yet to be read"
    moved_us = max((one.updated_us for one in reading), default=None)
    if lag and _nobody_reads(patient):
        detail += f", and the group {group_id} has no member"
        yield warn("ingest", Fault.USAGE_UNREAD, detail, "chargeback run --role ingest")
    elif moved_us is not None and moved_us < app.now_us() - _STALLED_US:
        detail += f", and those partitions have not moved since {format_us(moved_us)}"
        fix = "Look again in a minute; if it goes on: /readyz of the ingest role, and who locks"
        fix += " what in the database (docs/runbook.md)."
        yield warn("ingest", Fault.USAGE_STALLED, detail, fix)
    else:
        yield ok("ingest", detail)


def _nobody_reads(patient: Patient) -> bool:
    found = patient.world.broker.describe_group(patient.settings.kafka.group_id)
    return found is not None and not found.members


def nothing_is_refused(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    with patient.world.store.read() as transaction:
        held = quarantine.count_held(transaction)
    if held:
        detail = f"{held:,} refused events are in quarantine"
        yield warn("quarantine", Fault.USAGE_REFUSED, detail, "chargeback quarantine list")

"""Ingest: how far it has come, what stopped it, and what was refused."""

from collections.abc import Iterator

from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, ok, warn
from chargeback_worker.reports.offsets import offsets
from chargeback_worker.store import quarantine
from chargeback_worker.store.cursors import Door


def positions_move(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    usage_topic = patient.settings.kafka.usage_topic
    ends = patient.world.usage_ends() if usage_topic in patient.topics else None
    rows = [
        row
        for row in offsets(patient.world.store, kind=Door.TOPIC, ends=ends)["offsets"]
        if not row["retired"]
    ]
    for row in rows:
        if row["stopped"]:
            detail = f"{row['name']}:{row['partition']} is stopped: {row['stopped']}"
            yield warn("ingest", Fault.PARTITION_STOPPED, detail, "chargeback offsets show")
    if ends is None:
        return
    read = {(row["name"], row["partition"]): row["next_position"] for row in rows}
    lag = sum(max(end - read.get(place, 0), 0) for place, end in ends.items())
    detail = f"{lag:,} messages of {usage_topic} are yet to be read"
    if lag and _nobody_reads(patient):
        detail += f", and the group {patient.settings.kafka.group_id} has no member"
        yield warn("ingest", Fault.USAGE_UNREAD, detail, "chargeback run --role ingest")
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

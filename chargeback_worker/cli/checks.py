"""What `chargeback doctor` looks at: each check is a function, in an order where one rests on those
before it."""

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

from chargeback_worker import app
from chargeback_worker.broker import TopicDescription
from chargeback_worker.broker.errors import MissingTopic
from chargeback_worker.cli.door import ExitCode, exit_code
from chargeback_worker.errors import ChargebackError, Misconfigured
from chargeback_worker.period import format_us
from chargeback_worker.pipeline.holding.older import find_causes
from chargeback_worker.reports.offsets import offsets
from chargeback_worker.reports.periods import period_standings
from chargeback_worker.settings import Settings, duration_text
from chargeback_worker.store import (
    Store,
    heartbeats,
    holds,
    installation,
    outbox,
    parked,
    quarantine,
    schema,
)
from chargeback_worker.store.cursors import Door
from chargeback_worker.store.periods import PeriodState

DISK_LOW_BYTES = 1024**3
RETENTION_LOW_MS = 7 * 24 * 3600 * 1000
# Compressed or checked batches need them; without crc32c reading takes five times as long.
_CODECS = ("crc32c", "lz4", "snappy", "zstandard")
_HEARD_WITHIN_US = 60_000_000


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `fix` says what to do, `code` how the command ends for it."""

    check: str
    level: Level
    detail: str
    fix: str = ""
    code: ExitCode = ExitCode.OK


@dataclass
class Patient:
    """What is looked at. Checks that find a part unusable note it, so that others leave it out."""

    settings: Settings
    world: app.App
    has_books: bool = False
    has_broker: bool = False
    topics: dict[str, TopicDescription] = field(default_factory=dict)


Check = Callable[[Patient], Iterator[Finding]]


def ok(check: str, detail: str) -> Finding:
    return Finding(check, Level.OK, detail)


def warn(check: str, detail: str, fix: str) -> Finding:
    return Finding(check, Level.WARN, detail, fix)


def failed(check: str, error: ChargebackError) -> Finding:
    return Finding(check, Level.FAIL, error.message, error.hint, exit_code(error))


def python() -> Finding:
    return ok("python", f"Python {platform.python_version()} ({sys.executable})")


def codecs_are_there() -> Finding:
    missing = [name for name in _CODECS if importlib.util.find_spec(name) is None]
    if not missing:
        return ok("codecs", ", ".join(_CODECS))
    fix = "Install kafka-python[crc32c,lz4,snappy,zstd], as chargeback-worker asks for it."
    return warn("codecs", f"{', '.join(missing)} not there; such messages cannot be read", fix)


def time_zone_is_known(patient: Patient) -> Iterator[Finding]:
    billing = patient.settings.billing
    try:
        zone = billing.zone
    except ZoneInfoNotFoundError:
        fix = "Install the package tzdata."
        detail = f"there is no time zone data for {billing.timezone}"
        yield Finding("time zone", Level.FAIL, detail, fix, ExitCode.CONFIGURATION)
        return
    yield ok("time zone", f"{zone}, where it is {app.now().astimezone(zone):%Y-%m-%d %H:%M %Z}")


def disk_has_room(patient: Patient) -> Iterator[Finding]:
    path = _sqlite_path(patient.settings)
    if path is None:
        return
    folder = path.parent
    if not folder.is_dir():
        detail = f"there is no folder {folder} for the database"
        fix = "Make it, or name another file with --database sqlite:///FILE."
        yield Finding("disk", Level.FAIL, detail, fix, ExitCode.UNREACHABLE)
        return
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free where {path.name} is"
    if free < DISK_LOW_BYTES:
        yield warn("disk", detail, "Make room: a full disk stops ingest.")
    else:
        yield ok("disk", detail)


def _sqlite_path(settings: Settings) -> Path | None:
    url = settings.database.url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else None


def database_answers(patient: Patient) -> Iterator[Finding]:
    path = _sqlite_path(patient.settings)
    if path is not None and path.parent.is_dir() and not path.exists():
        yield warn("database", f"{path} is not there yet", "Made by: chargeback db upgrade")
        return
    store = patient.world.store
    with store.read() as transaction:
        server = transaction.dialect.server(transaction.connection)
    yield ok("database", f"{store.name}, {server}")
    try:
        found = schema.check(store)
    except schema.SchemaMissing as error:
        yield warn("schema", error.message, error.hint)
        return
    yield ok("schema", f"{found.found}, as this release makes it")
    with store.read() as transaction:
        grain = installation.read_grain(transaction)
    if grain is None:
        yield warn("grain", "nothing is fixed yet", "The first ingest or run fixes it.")
        return
    patient.has_books = True
    yield from _grain_fits(patient)


def _grain_fits(patient: Patient) -> Iterator[Finding]:
    with patient.world.store.read() as transaction:
        stored = installation.read_grain(transaction)
    assert stored is not None
    wanted = patient.world.grain
    pairs = {
        "billing.timezone": (stored.timezone, wanted.timezone),
        "grain.labels": (stored.labels, wanted.labels),
        "ingest.source": (stored.source, wanted.source),
    }
    for setting, (fixed, given) in pairs.items():
        if fixed != given:
            yield failed("grain", installation.GrainChanged(setting, fixed, given))
            return
    labels = ", ".join(stored.labels) or "none"
    yield ok("grain", f"time zone {stored.timezone}, labels {labels}")


def broker_answers(patient: Patient) -> Iterator[Finding]:
    topics = patient.world.broker.topics()
    patient.has_broker = True
    servers = ", ".join(patient.settings.kafka.bootstrap_servers)
    yield ok("broker", f"{servers}, {len(topics)} topics")


def topics_are_there(patient: Patient) -> Iterator[Finding]:
    if not patient.has_broker:
        return
    kafka = patient.settings.kafka
    for topic in (kafka.usage_topic, kafka.invoices_topic):
        found = patient.world.broker.describe(topic)
        if found is None:
            yield failed("topic", MissingTopic(topic, ",".join(kafka.bootstrap_servers)))
            continue
        patient.topics[topic] = found
        config = ", ".join(f"{name}={value}" for name, value in sorted(found.config.items()))
        yield ok("topic", f"{topic}, {found.partitions} partitions{config and f' ({config})'}")
        yield from _keeps_messages(found)


class TopicForgets(Misconfigured):
    """A topic whose messages replace each other."""

    def __init__(self, topic: str, policy: str) -> None:
        super().__init__(
            f"The topic {topic} has cleanup.policy {policy}: of messages with one key all but the"
            " last are deleted.",
            f"Set cleanup.policy of {topic} to delete.",
        )


def _keeps_messages(topic: TopicDescription) -> Iterator[Finding]:
    policy = topic.config.get("cleanup.policy", "")
    if "compact" in policy:
        yield failed("topic", TopicForgets(topic.name, policy))
    kept_ms = int(topic.config.get("retention.ms", -1))
    if 0 <= kept_ms < RETENTION_LOW_MS:
        kept = duration_text(timedelta(milliseconds=kept_ms))
        fix = "Raise retention.ms to longer than any outage may last."
        yield warn("topic", f"{topic.name} keeps its messages for {kept} only", fix)


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
            place = f"{row['name']}:{row['partition']}"
            yield warn("ingest", f"{place} is stopped: {row['stopped']}", "chargeback offsets show")
    if ends is not None:
        read = {(row["name"], row["partition"]): row["next_position"] for row in rows}
        lag = sum(max(end - read.get(place, 0), 0) for place, end in ends.items())
        yield ok("ingest", f"{lag:,} messages of {usage_topic} are yet to be read")


def books_are_of_their_topics(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    with patient.world.store.read() as transaction:
        hold = holds.find(transaction)
    causes = [] if hold is None else list(hold.because)
    kafka = patient.settings.kafka
    if not causes and {kafka.usage_topic, kafka.invoices_topic} <= patient.topics.keys():
        causes = find_causes(patient.world.store, patient.world.world)
    if causes:
        detail = f"older than their topics: {'; '.join(causes)}"
        yield warn("books", detail, "chargeback db resume --reason TEXT")


def nothing_waits(patient: Patient) -> Iterator[Finding]:
    """Months, refused events and messages that want a person."""
    if not patient.has_books:
        return
    store, now_us = patient.world.store, app.now_us()
    delay = patient.settings.billing.close_delay
    for standing in period_standings(store, now_us=now_us, close_delay=delay):
        over = standing.due_us < now_us and standing.row.state is not PeriodState.CLOSED
        if over and standing.waits_for:
            month = standing.row.period
            detail = f"{month} waits for {'; '.join(standing.waits_for)}"
            yield warn("periods", detail, "chargeback periods")
    with store.read() as transaction:
        held = quarantine.count_held(transaction)
        backlog = outbox.backlog(transaction)
        heard = heartbeats.listed(transaction)
    if held:
        detail = f"{held:,} refused events are in quarantine"
        yield warn("quarantine", detail, "chargeback quarantine list")
    if backlog.parked:
        yield _parked(store, backlog.parked)
    elif backlog.oldest_us is not None:
        since = format_us(backlog.oldest_us)
        detail = f"{backlog.messages:,} messages wait to be published since {since}"
        yield warn("outbox", detail, "chargeback run --role publisher")
    running = (beat for beat in heard if beat.at_us > now_us - _HEARD_WITHIN_US)
    named = ", ".join(f"{beat.role} at {beat.instance}" for beat in running)
    yield ok("worker", f"running: {named or 'none'}")


def _parked(store: Store, count: int) -> Finding:
    with store.read() as transaction:
        first, *_ = parked.listed(transaction, parked=True, limit=1)
    whose = first.key if count == 1 else f"{count:,} receivers, {first.key} first,"
    fix = "Mend that, then: chargeback outbox release --reason TEXT"
    return warn("outbox", f"messages to {whose} are parked: {first.reason}", fix)


CHECKS: tuple[tuple[str, Check], ...] = (
    ("time zone", time_zone_is_known),
    ("disk", disk_has_room),
    ("database", database_answers),
    ("broker", broker_answers),
    ("topic", topics_are_there),
    ("ingest", positions_move),
    ("books", books_are_of_their_topics),
    ("waiting", nothing_waits),
)

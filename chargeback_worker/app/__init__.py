"""Joins settings, store, broker and steps; the doors get everything from here.

Owns: one process's view of the world, and what takes a step together with the broker, a cursor or
the settings: files, replays, usage over HTTP, a close by hand. Does not own: any rule of what may
happen (`pipeline`), or how anybody is told of it (`cli`, `worker`, `api`).

Invariants: nothing is opened at import, and the broker only when it is asked for; the clock is
read here and above, nowhere below.
"""

import getpass
import os
import secrets
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from chargeback_worker import __version__
from chargeback_worker.broker import Broker, TopicPartition
from chargeback_worker.broker.errors import MissingTopic
from chargeback_worker.broker.kafka import KafkaBroker, Patience
from chargeback_worker.errors import ChargebackError, Unavailable
from chargeback_worker.metrics import Metrics
from chargeback_worker.period import Period, billing_day, to_us
from chargeback_worker.pipeline import ingest as ingest_step
from chargeback_worker.pipeline.closing.held import BooksHeld
from chargeback_worker.pipeline.holding.older import World, hold_if_older
from chargeback_worker.settings import Settings
from chargeback_worker.store import (
    Store,
    cursors,
    installation,
    outbox,
    periods,
    quarantine,
    schema,
)
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.event import Grain, RawEvent, Reader

_BATCH_BYTES = 64 * 1024**2
"""What waits for its transaction; few long lines or events take as much as many short."""
_REPLAYED_AT_ONCE = 5_000


class NotCompared(Unavailable):
    """Whether the database came from a backup is not known before the broker answers."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            "Whether these books are older than their topics cannot be seen, and numbers might be"
            f" used twice. {fault}",
            "Start the broker and try again.",
        )


def now() -> datetime:
    """The clock of the doors; below them `now` is an argument."""
    return datetime.now(UTC)


def now_us() -> int:
    return to_us(now())


def _own_name() -> str:
    """A name that no other process has; host and pid alone are shared by containers of a host."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass
class App:
    """One process's view of the world. Connects to the broker only when it is asked for."""

    settings: Settings
    store: Store
    grain: Grain
    instance: str = field(default_factory=_own_name)

    @property
    def zone(self) -> ZoneInfo:
        return self.settings.billing.zone

    @cached_property
    def reader(self) -> Reader:
        limits = self.settings.ingest
        return Reader(self.grain, max_future=limits.max_future, max_age=limits.max_age)

    @cached_property
    def metrics(self) -> Metrics:
        return Metrics(__version__)

    @cached_property
    def broker(self) -> Broker:
        return open_broker(self.settings)

    @property
    def world(self) -> World:
        """The topics that the books belong to."""
        kafka = self.settings.kafka
        return World(self.broker, kafka.usage_topic, kafka.invoices_topic, kafka.group_id)

    def compare_books(self) -> None:
        """To be done before numbers are taken or messages written: hold both where the books are
        older than the topics.

        Raises BooksHeld, and what kept us from comparing: nothing may be taken then either.
        """
        hold = hold_if_older(self.store, self.world, now_us())
        if hold is not None:
            raise BooksHeld(hold)

    def compare_books_of_a_topic(self) -> None:
        """The same of a command; raises BooksHeld and NotCompared. Where only files are read and
        nothing was ever published, no broker is asked: there may be none."""
        with self.store.read() as transaction:
            topics = cursors.listed(transaction, cursors.Door.TOPIC)
            alone = not topics and not outbox.has_published(transaction)
        if alone:
            return
        try:
            self.compare_books()
        except BooksHeld:
            raise
        except ChargebackError as error:
            raise NotCompared(error.message) from error

    def closing_now_us(self) -> int:
        """The database's clock: it says whether a month is over and what is due, so that a worker
        whose own clock is ahead sends no invoice early."""
        with self.store.read() as transaction:
            return transaction.now_us()

    def act(self, reason: str | None = None) -> Act:
        """An act of the person at the keyboard, now."""
        return Act(_person(), now_us(), reason)

    def today(self) -> Period:
        """The period that it is now."""
        return Period.of(billing_day(now(), self.zone))

    def is_closed(self, period: Period) -> bool:
        with self.store.read() as transaction:
            row = periods.find(transaction, period)
        return row is not None and row.state is periods.PeriodState.CLOSED

    def require_topics(self, *topics: str) -> None:
        """Raises MissingTopic for the first one that is not there."""
        for topic in topics:
            if self.broker.describe(topic) is None:
                raise MissingTopic(topic, ",".join(self.settings.kafka.bootstrap_servers))

    def usage_ends(self) -> dict[tuple[str, int], int]:
        """The end of each partition of the usage topic, now."""
        topic = self.settings.kafka.usage_topic
        return {(topic, partition): end for partition, (_, end) in self.usage_bounds().items()}

    def usage_bounds(self) -> dict[int, tuple[int, int]]:
        """The first offset and the end of each partition of the usage topic, now."""
        topic = self.settings.kafka.usage_topic
        described = self.broker.describe(topic)
        if described is None:
            raise MissingTopic(topic, ",".join(self.settings.kafka.bootstrap_servers))
        reader = self.broker.reader()
        try:
            places = [TopicPartition(topic, number) for number in range(described.partitions)]
            first, ends = reader.beginning_offsets(places), reader.end_offsets(places)
        finally:
            reader.close()
        return {place.partition: (first[place], ends[place]) for place in places}

    def ingest_file(
        self, digest: str, lines: Iterable[bytes]
    ) -> Iterator[ingest_step.IngestResult]:
        """Ingest the lines of a file from where it was left, a result per transaction.

        `digest` names the content: the same file under another name goes on where it was. Empty
        lines are positions without an event.
        """
        batch = self.settings.ingest.batch_events
        cursor = self.cursor(cursors.Door.FILE, digest)
        raws: list[RawEvent] = []
        at = cursor.next_position
        position = -1
        held = 0
        for position, line in enumerate(lines):
            if position < cursor.next_position:
                continue
            if line.strip():
                raws.append(RawEvent(line.rstrip(b"\r\n"), position=position))
            held += len(line)
            if position + 1 - at >= batch or held >= _BATCH_BYTES:
                yield self._ingest(cursor.cursor_id, raws, at, position + 1)
                raws, at, held = [], position + 1, 0
        if position + 1 > at:
            yield self._ingest(cursor.cursor_id, raws, at, position + 1)

    def replay(
        self, ids: Collection[int] | None = None, act: Act | None = None
    ) -> Iterator[Sequence[tuple[int, ingest_step.Outcome]]]:
        """Try quarantined events again, oldest first; all held ones if none are named.

        How each of a transaction ended, when it is committed: broken off, it is gone on with by
        doing it again. `act` is of whoever asks, else the person at the keyboard. Raises
        QuarantineUnknown, AlreadyResolved or NotReplayable before anything
        is done, and AlreadyResolved later only of those named, where somebody else is first.
        """
        if ids is not None:
            self._require_replayable(ids)
        cursor = self.cursor(cursors.Door.REPLAY, "quarantine")
        after = 0
        while held := self._next_replayable(after, ids):
            part = ingest_step.Part(
                cursor.cursor_id,
                ingest_step.read_events(self.reader, held, now_us()),
                replays=True,
            )
            try:
                result = self.write(part, act or self.act())
            except quarantine.AlreadyResolved:
                if ids is not None:
                    raise
                # Nothing was written; without what somebody else has resolved it can be.
                continue
            after = held[-1].position
            numbers = (raw.position for raw in held)
            yield list(zip(numbers, result.parts[0].outcomes, strict=True))

    def _require_replayable(self, ids: Iterable[int]) -> None:
        with self.store.read() as transaction:
            for number in ids:
                found = quarantine.get(transaction, number)
                if found.state is not quarantine.Held.HELD:
                    raise quarantine.AlreadyResolved(number, found.state)
                if not found.replayable:
                    raise quarantine.NotReplayable(number)

    def _next_replayable(self, after: int, ids: Collection[int] | None) -> list[RawEvent]:
        with self.store.read() as transaction:
            return quarantine.next_replayable(
                transaction,
                after=after,
                among=ids,
                events_max=min(_REPLAYED_AT_ONCE, self.settings.ingest.batch_events),
                bytes_max=_BATCH_BYTES,
            )

    def _ingest(
        self, cursor_id: int, raws: list[RawEvent], at: int, new: int
    ) -> ingest_step.IngestResult:
        events = ingest_step.read_events(self.reader, raws, now_us())
        return self.write(ingest_step.Part(cursor_id, events, at, new))

    def write(self, part: ingest_step.Part, act: Act | None = None) -> ingest_step.IngestResult:
        """Ingest what one cursor delivers, in one transaction."""
        return ingest_step.ingest(
            self.store,
            [part],
            zone=self.zone,
            quarantine_bytes_max=self.settings.quarantine.max_bytes,
            now_us=now_us(),
            act=act,
        )

    def cursor(self, kind: cursors.Door, name: str, partition: int = 0) -> cursors.Cursor:
        """The cursor of a door, made where it is not there yet."""
        with self.store.begin() as transaction:
            return cursors.make(transaction, kind, name, partition, now_us=now_us())


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return f"uid:{os.getuid()}"


def open_broker(settings: Settings) -> Broker:
    """The broker of the settings; nothing is connected until it is asked."""
    kafka = settings.kafka
    servers = ",".join(kafka.bootstrap_servers)
    return KafkaBroker(servers, kafka.client_options(), patience(settings))


def patience(settings: Settings) -> Patience:
    """How long the Kafka clients wait, from the settings."""
    kafka = settings.kafka
    return Patience(
        session_s=kafka.session_timeout.total_seconds(),
        max_poll_interval_s=kafka.max_poll_interval.total_seconds(),
    )


def open_store(settings: Settings) -> Store:
    """The store, its tables made if it is empty. Raises Misconfigured where it does not fit us."""
    store = Store(settings.database.url)
    try:
        with suppress(schema.SchemaMissing):
            schema.check(store)
            return store
        schema.upgrade(store)
    except BaseException:
        store.close()
        raise
    return store


@contextmanager
def opened(settings: Settings) -> Iterator[App]:
    """An app on a database that fits the settings; closed at the end."""
    labels = tuple(settings.grain.labels)
    grain = Grain(settings.billing.timezone, labels, settings.ingest.source)
    store = open_store(settings)
    app = App(settings, store, grain)
    try:
        with store.begin() as transaction:
            installation.settle_grain(transaction, grain)
            installation.settle_first_period(
                transaction, settings.billing.first_period, app.today()
            )
        yield app
    finally:
        if "broker" in app.__dict__:
            app.broker.close()
        store.close()

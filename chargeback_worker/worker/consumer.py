"""The ingest role: polls the usage topic and hands whole polls to the ingest step.

Where reading goes on is the store's business (`positions`). While the database works on one batch,
the next one is polled, read and gathered. Nothing is lost or doubled by that: whenever a batch does
not end well, and whenever the group gives or takes partitions, what was gathered behind it is
dropped, and partitions are put back to where the store stands before anything is read on. While
the database is away this loop keeps polling with everything paused, so that the group keeps its
partitions.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import structlog

from chargeback_worker.broker import Broker, Consumer, Message, TopicPartition
from chargeback_worker.broker.errors import ConsumerBroken, UndecodableBatch
from chargeback_worker.errors import Unavailable
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline import ingest as step
from chargeback_worker.pipeline import offsets
from chargeback_worker.settings import Settings
from chargeback_worker.store import Store
from chargeback_worker.usage.event import RawEvent, Reader, RefusedEvent
from chargeback_worker.worker.background import Background, Worker
from chargeback_worker.worker.gathered import Gathered
from chargeback_worker.worker.lag import Ends, Lag
from chargeback_worker.worker.learning import learn_keys
from chargeback_worker.worker.lifecycle import BackOff, Beat
from chargeback_worker.worker.positions import Positions, Undecodable
from chargeback_worker.worker.shown import Shown
from chargeback_worker.worker.silence import Silence
from chargeback_worker.worker.writing import Ended, Writing

_log = structlog.get_logger(__name__)

# Long enough for a join of the group to end within one poll; data ends it at once.
POLL_S = 1.0
# While a batch is written: how soon its end is seen where nothing comes meanwhile.
_BETWEEN_S = 0.02
# So few that messages are read while they are still in the processor's cache.
_POLL_EVENTS = 2_000
# Of large events fewer are gathered.
_BATCH_BYTES = 32 << 20
_GROUP_COMMIT_S = 1.0
# Events written one by one take two transactions each; a turn must stay short all the same.
_CAREFUL_EVENTS = 200


@dataclass(slots=True)
class UsageConsumer:
    """What the role needs; `run` is the role. `now_us` is the clock that events are held to."""

    store: Store
    broker: Broker
    settings: Settings
    reader: Reader
    metrics: Metrics
    now_us: Callable[[], int]
    writer: Callable[[], Worker[Ended]] = lambda: Background("ingest-writer")
    undecodable: Undecodable = field(default_factory=dict)
    lag: Lag = field(init=False)

    def __post_init__(self) -> None:
        self.lag = Lag(self.metrics)

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Consume until `stop`. Raises what a person has to decide about."""
        ends = Ends(self.broker, self.lag)
        threading.Thread(target=learn_keys, args=(self.store, stop), daemon=True).start()
        threading.Thread(target=ends.watch, args=(stop,), name="ends", daemon=True).start()
        back_off = BackOff()
        while not stop.is_set():
            try:
                self._consume(stop, beat, back_off)
            except UndecodableBatch as error:
                self.undecodable.setdefault((error.partition, error.offset), []).append(error)
                _log.warning("batch not decoded", action="undecodable", error=str(error))
            except Unavailable as error:
                _log.warning("consumer ended", action="consumer_ended", error=str(error))
                beat(str(error))
            else:
                continue
            stop.wait(back_off.next_s())

    def _consume(self, stop: threading.Event, beat: Beat, back_off: BackOff) -> None:
        """The life of one consumer, up to its first error."""
        kafka = self.settings.kafka
        consumer = self.broker.consumer(kafka.group_id, kafka.group_instance_id)
        session = Session(self, consumer, beat, back_off)
        try:
            consumer.subscribe(kafka.usage_topic, session)
            while not stop.is_set():
                session.turn()
            session.end()
        finally:
            session.abandon()
            consumer.close()


class Session:
    """One consumer and what is known of its partitions; it listens to what the group gives."""

    def __init__(
        self, role: UsageConsumer, consumer: Consumer, beat: Beat, back_off: BackOff
    ) -> None:
        self._role = role
        self._consumer = consumer
        self._beat = beat
        self._back_off = back_off
        self._settings = role.settings
        self._zone: ZoneInfo = role.settings.billing.zone
        self._committed_s = 0.0
        self._shown = Shown(role.metrics, role.lag)
        self._gathered = Gathered(role.settings.ingest.batch_events, _BATCH_BYTES)
        self._writing = Writing(self._ingest, role.writer())
        self.positions = Positions(
            role.store,
            consumer,
            role.settings.kafka,
            role.settings.ingest,
            role.now_us,
            role.undecodable,
        )
        self._silence = Silence(consumer, self.positions, role.settings.kafka.usage_topic)

    def turn(self) -> None:
        """One poll and what follows from it."""
        polled = self._consumer.poll(self._poll_s(), self._events_max())
        self._silence.polled(bool(polled))
        if not self._writing.under_way:
            # Only then: a database that never answers must be seen by who watches the beats.
            self._beat(self._silence.trouble())
        try:
            self._land(wait=False)
            self._gather(polled)
            self._hand_over()
            if self.positions.waiting:
                # Where the store stands is known when nothing is being written.
                self._land(wait=True)
                self.positions.place_waiting()
        except ConsumerBroken:
            raise
        except Unavailable as error:
            self._hold_all(error)
        else:
            if not self.positions.waiting:
                self._back_off.reset()
            if time.monotonic() - self._committed_s > _GROUP_COMMIT_S:
                self.commit_group()
        self._shown.partitions(self.positions, self._consumer.high_watermarks())

    def on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._drop_all()
        self.positions.on_assigned(partitions)

    def on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        self._drop_all()
        self.positions.on_revoked(partitions)

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        self._drop_all()
        self.positions.on_lost(partitions)

    def commit_group(self) -> None:
        """Write the group's offsets: for lag displays, never read by us."""
        self._committed_s = time.monotonic()
        stored = self.positions.stored
        self._consumer.commit({partition: stored[partition] for partition in self.positions.held})

    def end(self) -> None:
        """Let what is being written end; what is gathered behind it is read again by the next."""
        self._land(wait=True)
        self.commit_group()

    def abandon(self) -> None:
        """The consumer has ended, and with it what was gathered; nothing is under way after it."""
        self._drop_all()
        self._shown.hide()

    def _poll_s(self) -> float:
        if self.positions.waiting:
            # With something to put back, do not stay longer in the poll than the back-off says.
            return self._back_off.next_s()
        return _BETWEEN_S if self._writing.under_way else POLL_S

    def _events_max(self) -> int:
        careful = any(held.careful for held in self.positions.held.values())
        return min(_CAREFUL_EVENTS if careful else _POLL_EVENTS, max(1, self._gathered.room))

    def _hold_all(self, error: Unavailable) -> None:
        _log.warning("reading is held", action="held", error=str(error))
        self._gathered.clear()
        self.positions.hold_all()
        self._beat(str(error))

    def _drop_all(self) -> None:
        """Let what is being written end, however it does, and forget what was gathered behind."""
        self._gathered.clear()
        try:
            ended = self._writing.ended(wait=True)
        except Unavailable as error:
            _log.warning("batch not written", action="not_written", error=str(error))
            self.positions.excuse_all()
            return
        if ended is not None:
            self._note(ended)

    def _gather(self, polled: dict[TopicPartition, list[Message]]) -> None:
        """Read what was polled, and note how far each partition has come by it."""
        lost = polled.keys() - self.positions.held.keys() - self.positions.waiting
        lost -= self.positions.stopped.keys()
        if lost:
            raise ConsumerBroken(f"messages of {sorted(map(str, lost))} came without a position")
        for partition, held in list(self.positions.held.items()):
            new = self._consumer.position(partition)
            if new is None or new == held.expected:
                continue
            if new < held.expected:
                # The client has been given the partition anew since it last told us.
                self._gathered.drop([partition])
                self.positions.wait_for([partition])
                continue
            raws = [_raw(message) for message in polled.get(partition, ())]
            events = step.read_events(self._role.reader, raws, self._role.now_us())
            refused = [isinstance(event.said, RefusedEvent) for event in events]
            fault = held.breaker.fault(refused)
            if fault is not None:
                self._stop(partition, fault)
                continue
            held.breaker.note(refused)
            self._gathered.add(partition, held.cursor_id, events, range(held.expected, new))
            held.expected = new

    def _stop(self, partition: TopicPartition, fault: str) -> None:
        # What was read before it is read again, once a person has decided; and the reason is
        # written after the last commit, which would clear it.
        self._gathered.drop([partition])
        self._land(wait=True)
        if partition in self.positions.held:
            self.positions.stop(partition, _breaker_sentence(partition, fault))

    def _hand_over(self) -> None:
        """Have what was gathered written, if nothing else is; wait for it only if it is full."""
        if not self._gathered:
            return
        if any(held.careful for held in self.positions.held.values()):
            self._land(wait=True)
            self._write(self._gathered.take())
        elif not self._gathered.room:
            self._land(wait=True)
        if self._gathered and not self._writing.under_way:
            self._writing.begin(self._gathered.take())

    def _write(self, parts: dict[TopicPartition, step.Part]) -> None:
        careful = {p for p in parts if self.positions.held[p].careful}
        together = {p: part for p, part in parts.items() if p not in careful}
        if together:
            self._commit(together)
        for partition in careful:
            self._write_one_by_one(partition, parts[partition])

    def _write_one_by_one(self, partition: TopicPartition, part: step.Part) -> None:
        """One event a transaction, each noted before it is tried: what ends us can be named."""
        assert part.expected is not None
        assert part.new is not None
        at = part.expected
        held = self.positions.held[partition]
        for event in part.events:
            offset = event.raw.position
            # Whether it was noted is not known where the database does not answer.
            held.trying = True
            offsets.suspect(self._role.store, part.cursor_id, at)
            if not self._commit({partition: step.Part(part.cursor_id, [event], at, offset + 1)}):
                return
            held.trying = False
            at = offset + 1
        if at != part.new:
            self._commit({partition: step.Part(part.cursor_id, [], at, part.new)})
        held.careful = max(0, held.careful - len(part.events))

    def _commit(self, parts: dict[TopicPartition, step.Part]) -> bool:
        """One transaction, waited for. False where another worker owns a partition."""
        self._writing.begin(parts)
        return self._land(wait=True)

    def _ingest(self, parts: Sequence[step.Part]) -> step.IngestResult:
        return step.ingest(
            self._role.store,
            parts,
            zone=self._zone,
            quarantine_bytes_max=self._settings.quarantine.max_bytes,
            now_us=self._role.now_us(),
        )

    def _land(self, *, wait: bool) -> bool:
        """Take note of the batch that was being written, if it has ended, or wait for that.

        False where another worker owns a partition of it: nothing was written.
        """
        ended = self._writing.ended(wait=wait)
        if ended is None or self._note(ended):
            return True
        self._gathered.drop(ended.parts)
        held = self.positions.held
        self.positions.wait_for([partition for partition in ended.parts if partition in held])
        return False

    def _note(self, ended: Ended) -> bool:
        """Whether it was written."""
        if ended.result is None:
            _log.warning("batch dropped", action="position_taken", error=str(ended.taken))
            return False
        for partition, part in ended.parts.items():
            if partition in self.positions.held:
                assert part.new is not None
                self.positions.stored[partition] = part.new
        self._shown.committed(ended, now_us=self._role.now_us())
        # With a backlog the next batch is begun within the same turn, and no turn begins idle.
        self._beat(self._silence.trouble())
        return True


def _raw(message: Message) -> RawEvent:
    return RawEvent(message.value, message.headers, message.key, message.offset)


def _breaker_sentence(partition: TopicPartition, fault: str) -> str:
    return (
        f"{fault}; {partition} is not read on, so that the quarantine does not fill. Mend the"
        " producer, or raise ingest.max_refused.run or ingest.max_refused.share, and start the"
        " worker again."
    )

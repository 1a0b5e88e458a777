"""The ingest role: polls the usage topic and hands whole polls to the ingest step.

Where reading goes on is the store's business (`positions`); this loop keeps the rule that after any
rollback the batch is dropped and its partitions are put back before anything is read on. While the
database is away it keeps polling with everything paused, so that the group keeps its partitions.
The client fetches the next batch in a thread of its own while the database works on this one.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
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
from chargeback_worker.store.cursors import PositionTaken
from chargeback_worker.usage.event import RawEvent, Reader, RefusedEvent
from chargeback_worker.worker.lifecycle import BackOff, Beat
from chargeback_worker.worker.positions import Positions
from chargeback_worker.worker.shown import Shown

_log = structlog.get_logger(__name__)

# Long enough for a join of the group to end within one poll; data ends it at once.
POLL_S = 1.0
_GROUP_COMMIT_S = 1.0
# Events written one by one take two transactions each; a turn must stay short all the same.
_CAREFUL_EVENTS = 200
# A broker that is away is met with silence: after so long without a message it is asked.
_SILENCE_S = 10.0
# Longer than the session of a member that was killed lasts, for which the group waits.
_JOIN_S = 30.0


@dataclass(slots=True)
class UsageConsumer:
    """What the role needs; `run` is the role. `now_us` is the clock that events are held to."""

    store: Store
    broker: Broker
    settings: Settings
    reader: Reader
    metrics: Metrics
    now_us: Callable[[], int]
    undecodable: Counter[tuple[TopicPartition, int]] = field(default_factory=Counter)

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Consume until `stop`. Raises what a person has to decide about."""
        back_off = BackOff()
        while not stop.is_set():
            try:
                self._consume(stop, beat, back_off)
            except UndecodableBatch as error:
                self.undecodable[error.partition, error.offset] += 1
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
            consumer.subscribe(kafka.usage_topic, session.positions)
            while not stop.is_set():
                session.turn()
            session.commit_group()
        finally:
            consumer.close()
            session.hide()


class Session:
    """One consumer and what is known of its partitions."""

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
        self._shown = Shown(role.metrics)
        self._heard_s = time.monotonic()
        self._joined_s = time.monotonic()
        self._silence: str | None = None
        # Where partitions stood that had messages and gave none, when last looked at.
        self._kept_back: dict[TopicPartition, int] = {}
        self.positions = Positions(
            role.store,
            consumer,
            role.settings.kafka,
            role.settings.ingest,
            role.now_us,
            role.undecodable,
        )

    def turn(self) -> None:
        """One poll and what follows from it."""
        waits = bool(self.positions.waiting)
        # With something to put back, do not stay longer in the poll than the back-off says.
        pause_s = self._back_off.next_s() if waits else POLL_S
        polled = self._consumer.poll(pause_s, self._events_max())
        self._await_join()
        self._listen(bool(polled))
        self._beat(self._trouble())
        try:
            parts = self._parts(polled)
            if parts:
                self._write(parts)
            self.positions.place_waiting()
        except ConsumerBroken:
            raise
        except Unavailable as error:
            self._hold_all(error)
            return
        if not self.positions.waiting:
            self._back_off.reset()
        self._shown.lag(self.positions, self._consumer.high_watermarks())
        if time.monotonic() - self._committed_s > _GROUP_COMMIT_S:
            self.commit_group()

    def commit_group(self) -> None:
        """Write the group's offsets: for lag displays, never read by us."""
        self._committed_s = time.monotonic()
        self._consumer.commit(
            {partition: held.expected for partition, held in self.positions.held.items()}
        )

    def hide(self) -> None:
        """The session has ended."""
        self._shown.hide()

    def _events_max(self) -> int:
        most = self._settings.ingest.batch_events
        careful = any(held.careful for held in self.positions.held.values())
        return min(most, _CAREFUL_EVENTS) if careful else most

    def _await_join(self) -> None:
        """A client whose join of the group went astray polls on for ever without a word."""
        now_s = time.monotonic()
        if self.positions.joined:
            self._joined_s = now_s
        elif now_s - self._joined_s > _JOIN_S:
            raise ConsumerBroken(f"the group has not said what is ours for {_JOIN_S:.0f} s")

    def _listen(self, heard: bool) -> None:
        """When nothing comes, find out why: a poll tells neither that the broker is away nor that
        the client is stuck with messages that it does not give."""
        if heard:
            self._heard_s, self._silence = time.monotonic(), None
            self._kept_back = {}
            return
        if time.monotonic() - self._heard_s <= _SILENCE_S:
            return
        self._heard_s = time.monotonic()
        held = self.positions.held
        asked = list(held) or [TopicPartition(self._settings.kafka.usage_topic, 0)]
        try:
            ends = self._consumer.end_offsets(asked)
        except ConsumerBroken:
            raise
        except Unavailable as error:
            self._silence, self._kept_back = str(error), {}
            return
        self._silence = None
        behind = {p: one.expected for p, one in held.items() if ends.get(p, 0) > one.expected}
        stuck = sorted(str(p) for p, at in behind.items() if self._kept_back.get(p) == at)
        if stuck:
            raise ConsumerBroken(f"it does not give the messages there are in {', '.join(stuck)}")
        self._kept_back = behind

    def _trouble(self) -> str | None:
        if self._silence is not None:
            return self._silence
        if not self.positions.joined:
            return "its place in the group"
        if self.positions.waiting:
            return "the positions of its partitions"
        if self.positions.stopped:
            return f"a person: stopped {', '.join(map(str, sorted(self.positions.stopped)))}"
        return None

    def _hold_all(self, error: Unavailable) -> None:
        _log.warning("reading is held", action="held", error=str(error))
        self.positions.hold_all()
        self._beat(str(error))

    def _parts(
        self, polled: dict[TopicPartition, list[Message]]
    ) -> dict[TopicPartition, step.Part]:
        """What was polled, read, and how far each partition has come by it."""
        lost = polled.keys() - self.positions.held.keys() - self.positions.waiting
        lost -= self.positions.stopped.keys()
        if lost:
            raise ConsumerBroken(f"messages of {sorted(map(str, lost))} came without a position")
        parts = {}
        for partition, held in list(self.positions.held.items()):
            new = self._consumer.position(partition)
            if new is None or new == held.expected:
                continue
            if new < held.expected:
                # The client has been given the partition anew since it last told us.
                self.positions.wait_for([partition])
                continue
            raws = [_raw(message) for message in polled.get(partition, ())]
            events = step.read_events(self._role.reader, raws, self._role.now_us())
            fault = held.breaker.fault(_refused(events))
            if fault is not None:
                self.positions.stop(partition, _breaker_sentence(partition, fault))
                continue
            parts[partition] = step.Part(held.cursor_id, events, held.expected, new)
        return parts

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
            offsets.suspect(self._role.store, part.cursor_id, at)
            held.trying = True
            if not self._commit({partition: step.Part(part.cursor_id, [event], at, offset + 1)}):
                return
            held.trying = False
            at = offset + 1
        if at != part.new:
            self._commit({partition: step.Part(part.cursor_id, [], at, part.new)})
        held.careful = max(0, held.careful - len(part.events))

    def _commit(self, parts: dict[TopicPartition, step.Part]) -> bool:
        """One transaction. False where another worker owns a partition: nothing was written."""
        began_s = time.monotonic()
        try:
            result = step.ingest(
                self._role.store,
                list(parts.values()),
                zone=self._zone,
                quarantine_bytes_max=self._settings.quarantine.max_bytes,
                now_us=self._role.now_us(),
            )
        except PositionTaken as error:
            _log.warning("batch dropped", action="position_taken", error=str(error))
            self.positions.wait_for(list(parts))
            return False
        for partition, part in parts.items():
            held = self.positions.held[partition]
            assert part.new is not None
            held.expected = part.new
            held.breaker.note(_refused(part.events))
        self._shown.committed(
            result.tally,
            [event for part in parts.values() for event in part.events],
            took_s=time.monotonic() - began_s,
            now_us=self._role.now_us(),
        )
        return True


def _raw(message: Message) -> RawEvent:
    return RawEvent(message.value, message.headers, message.key, message.offset)


def _refused(events: Sequence[step.ReadEvent]) -> list[bool]:
    return [isinstance(event.said, RefusedEvent) for event in events]


def _breaker_sentence(partition: TopicPartition, fault: str) -> str:
    return (
        f"{fault}; {partition} is not read on, so that the quarantine does not fill. Mend the"
        " producer, or raise ingest.max_refused and start the worker again."
    )

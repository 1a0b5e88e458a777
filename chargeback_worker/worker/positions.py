"""Which partitions are ours, where each is read on, and why one is not.

Positions come from the store and from nowhere else. A partition whose position could not be read,
or whose batch was rolled back, waits: it is paused until it has been put back to its stored place.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from fractions import Fraction

import structlog

from chargeback_worker.broker import Consumer, TopicPartition
from chargeback_worker.broker.errors import UndecodableBatch
from chargeback_worker.errors import ChargebackError, Unavailable
from chargeback_worker.pipeline import offsets
from chargeback_worker.settings import Ingest, Kafka
from chargeback_worker.store import Store
from chargeback_worker.store.cursors import Cursor
from chargeback_worker.worker.breaker import RefusalBreaker

_log = structlog.get_logger(__name__)

# Each failure to read the batch that is read next, by its place.
Undecodable = dict[tuple[TopicPartition, int], list[UndecodableBatch]]


@dataclass(slots=True)
class Partition:
    """One partition of ours.

    It was read up to `expected`. `careful` counts the events still to be written each by itself,
    because the last attempts failed; `trying` is set while one of them is noted as tried and not
    yet written.
    """

    cursor_id: int
    expected: int
    careful: int
    breaker: RefusalBreaker
    trying: bool = False


@dataclass(slots=True)
class Positions:
    """The state of the partitions of one consumer, by what its listener is told."""

    store: Store
    consumer: Consumer
    kafka: Kafka
    limits: Ingest
    now_us: Callable[[], int]
    undecodable: Undecodable
    held: dict[TopicPartition, Partition] = field(default_factory=dict)
    waiting: set[TopicPartition] = field(default_factory=set)
    stopped: dict[TopicPartition, str] = field(default_factory=dict)
    stored: dict[TopicPartition, int] = field(default_factory=dict)
    """Where what the store has of each ends, as far as we know: also of one that waits or stopped,
    but not of one whose position was never read."""
    joined: bool = False
    """Whether the group has said what is ours, be it nothing, since it last took it away."""
    # Kept when the group takes a partition away: it may come back before anybody has read on.
    _excused: dict[TopicPartition, bool] = field(default_factory=dict)

    def on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        _log.info("partitions assigned", action="assigned", partitions=sorted(map(str, partitions)))
        self.joined = True
        for partition in sorted(partitions):
            try:
                self._place(partition)
            except Unavailable as error:
                _log.warning("position not read", action="position_waits", error=str(error))
                # Paused first: the client would begin to fetch from where it is sent.
                self.wait_for([partition])
                self.consumer.seek(partition, 0)

    def on_revoked(self, partitions: Collection[TopicPartition]) -> None:
        self.joined = False
        for partition in partitions:
            self.held.pop(partition, None)
            self.waiting.discard(partition)
            self.stopped.pop(partition, None)
            self.stored.pop(partition, None)

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        _log.warning("partitions lost", action="lost", partitions=sorted(map(str, partitions)))
        self.on_revoked(partitions)

    def wait_for(self, partitions: Collection[TopicPartition]) -> None:
        """Read nothing more of these until `place_waiting` has put them back."""
        for partition in partitions:
            self.held.pop(partition, None)
        self.waiting.update(partitions)
        self.consumer.pause(partitions)

    def hold_all(self) -> None:
        """The same for all, because the database did not answer."""
        self.excuse_all()
        self.wait_for(list(self.held))

    def excuse_all(self) -> None:
        """The database did not answer: no record is to blame for that."""
        for partition, held in self.held.items():
            self._excused[partition] = held.trying

    def place_waiting(self) -> None:
        """Put back what waits. Raises Unavailable; what is not placed yet goes on waiting."""
        for partition in sorted(self.waiting):
            self._place(partition)

    def stop(self, partition: TopicPartition, reason: str) -> None:
        """Read no more of a partition until the process starts again, and say why."""
        held = self.held[partition]
        # Written first: where the database does not answer, the partition waits, and is found
        # wanting again.
        offsets.stop_partition(self.store, held.cursor_id, reason)
        del self.held[partition]
        self.stopped[partition] = reason
        self.consumer.pause([partition])
        _log.error(
            "partition stopped", action="partition_stopped", partition=str(partition), reason=reason
        )

    def _place(self, partition: TopicPartition) -> None:
        # Asked first: a broker that does not answer is no attempt to read on.
        first = self.consumer.beginning_offsets([partition])[partition]
        end = self.consumer.end_offsets([partition])[partition]
        cursor = self._cursor(partition, first, end)
        if cursor.next_position > end:
            # Whoever had it before may have written what came since.
            end = self.consumer.end_offsets([partition])[partition]
        # Paused until it is known that it can be read there.
        self.consumer.pause([partition])
        self.consumer.seek(partition, cursor.next_position)
        self.waiting.discard(partition)
        self.stopped.pop(partition, None)
        share = self.limits.max_refused
        self.stored[partition] = cursor.next_position
        self.held[partition] = Partition(
            cursor.cursor_id,
            cursor.next_position,
            self.limits.batch_events if cursor.attempts >= offsets.ATTEMPTS_MAX else 0,
            RefusalBreaker(Fraction(share.share), share.run, share.window),
        )
        fault = self._fault(partition, cursor, first, end)
        if fault is None:
            self.consumer.resume([partition])
        else:
            self.stop(partition, fault)

    def _cursor(self, partition: TopicPartition, first: int, end: int) -> Cursor:
        topic_id = self.consumer.topic_id(partition.topic)
        found = offsets.take_partition(
            self.store,
            *partition,
            topic_id=topic_id,
            end=end,
            excused=self._excused.get(partition),
        )
        self._excused.pop(partition, None)
        if found is not None:
            return found
        if self.kafka.start_at == "end":
            # Those that are added later are read whole, whatever is in them when they are found.
            all_ends = {place.partition: end for place, end in self._ends(partition.topic).items()}
            offsets.start_at_end(
                self.store, partition.topic, all_ends, topic_id=topic_id, now_us=self.now_us()
            )
        return offsets.first_seen(
            self.store, *partition, topic_id=topic_id, position=first, now_us=self.now_us()
        )

    def _ends(self, topic: str) -> dict[TopicPartition, int]:
        return self.consumer.end_offsets(self.consumer.partitions(topic))

    def _fault(self, partition: TopicPartition, cursor: Cursor, first: int, end: int) -> str | None:
        """Why reading cannot go on at the stored position, or None."""
        if not first <= cursor.next_position <= end:
            return _sentence(offsets.PositionGone(str(partition), cursor.next_position, first, end))
        errors = self.undecodable.get((partition, cursor.next_position), [])
        if len(errors) >= offsets.ATTEMPTS_MAX:
            # Told here, before it is fetched again: the error ends each consumer that meets it.
            return _sentence(errors[-1])
        if (
            cursor.suspect_position == cursor.next_position
            and cursor.suspect_attempts >= offsets.ATTEMPTS_MAX
        ):
            return (
                f"The record at offset {cursor.next_position} was tried {cursor.suspect_attempts}"
                " times by itself, and each time the worker ended. Skip it with:"
                f" chargeback offsets skip {partition}:{cursor.next_position} --reason TEXT,"
                " and start the worker again."
            )
        return None


def _sentence(error: ChargebackError) -> str:
    """What is wrong, and the command that goes past it: `offsets show` has no place for a hint."""
    return f"{error.message.removesuffix('.')}. {error.hint}, and start the worker again."

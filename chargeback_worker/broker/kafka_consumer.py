"""Reading with kafka-python, with the client's own ideas about positions taken away from it.

The client calls its listener on the thread that also sends heartbeats, forgets that it failed, and
then reads on from the group's committed offset. So the listener that it gets from us only notes
what happened and holds the partitions; ours is called afterwards by the thread that polls, and the
partitions are let go one by one as they are placed.
"""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import kafka
import kafka.errors
from kafka.structs import MemberState, OffsetAndMetadata
from kafka.structs import TopicPartition as TheirPartition

from chargeback_worker.broker import AssignmentListener, Message, TopicPartition
from chargeback_worker.broker.errors import ConsumerBroken, MemberFenced, MissingTopic
from chargeback_worker.broker.kafka_errors import while_reading
from chargeback_worker.broker.kafka_notes import Notes, hold, theirs_of

_log = logging.getLogger(__name__)

# A poll is cut in slices, so that an assignment or a wakeup is seen before its time is over.
_SLICE_S = 0.2
_CLOSE_MS = 3_000
_LAST_COMMIT_MS = 1_000
# How long after it took its partitions back a static member asks for them once more.
_ASK_AGAIN_S = 10.0


class KafkaReader:
    """A client of the library, polled by one thread, until the first error."""

    def __init__(self, client: kafka.KafkaConsumer, servers: str, answer_s: float) -> None:
        self._client = client
        self._servers = servers
        self._answer_s = answer_s
        self._positions: dict[TopicPartition, int] = {}
        self._unplaced: set[TopicPartition] = set()
        self._broken: str | None = None
        self._woken = threading.Event()

    def assign(self, partitions: Collection[TopicPartition]) -> None:
        for topic in sorted({partition.topic for partition in partitions}):
            self._require(topic)
        self._positions.clear()
        self._unplaced = set(partitions)
        theirs = [theirs_of(partition) for partition in partitions]
        self._client.assign(theirs)
        hold(self._client, theirs)

    def poll(self, timeout_s: float, max_records: int) -> dict[TopicPartition, list[Message]]:
        if self._broken is not None:
            raise ConsumerBroken(self._broken)
        try:
            return self._poll(time.monotonic() + timeout_s, max_records)
        except BaseException as error:
            # The client loops for ever in the poll after one that failed to decode a batch.
            self._broken = f"{type(error).__name__}: {error}"
            raise

    def position(self, partition: TopicPartition) -> int | None:
        return self._positions.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        with self._assigned():
            self._client.seek(theirs_of(partition), offset)
        self._positions[partition] = offset
        self._placed(partition)

    def seek_to_beginning(self, partitions: Collection[TopicPartition]) -> None:
        for partition, offset in sorted(self.beginning_offsets(partitions).items()):
            self.seek(partition, offset)

    def beginning_offsets(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        return self._list_offsets(self._client.beginning_offsets, partitions)

    def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return self._list_offsets(self._client.end_offsets, partitions)

    def wakeup(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._broken = self._broken or "it was closed"
        with contextlib.suppress(Exception):
            self._client.close(autocommit=False, timeout_ms=_CLOSE_MS)

    def _poll(self, deadline: float, max_records: int) -> dict[TopicPartition, list[Message]]:
        while True:
            left = max(0.0, deadline - time.monotonic())
            fetched = self._fetch(min(left, _SLICE_S), max_records)
            self._check_membership()
            self._check_topic()
            if self._assignment_changed():
                # What came along may have been read from places that are not ours any more.
                fetched = {}
            assert not self._unplaced, f"nothing said where to start {sorted(self._unplaced)}"
            self._note_positions()
            if fetched or left <= _SLICE_S or self._woken.is_set():
                self._woken.clear()
                return dict(map(_messages, fetched.values()))

    def _fetch(self, timeout_s: float, max_records: int) -> dict[TheirPartition, list[Any]]:
        try:
            return self._client.poll(timeout_ms=timeout_s * 1000, max_records=max_records)
        except Exception as error:
            raise while_reading(error, self._servers, self._client) from error

    def _check_membership(self) -> None:
        pass

    def _check_topic(self) -> None:
        pass

    def _assignment_changed(self) -> bool:
        return False

    def _note_positions(self) -> None:
        for theirs in self._client.assignment():
            try:
                # Without time to wait, this only looks at what the client knows.
                with self._assigned():
                    offset = self._client.position(theirs, timeout_ms=0)
            except kafka.errors.KafkaError as error:
                raise while_reading(error, self._servers, self._client) from error
            if offset is not None:
                self._positions[TopicPartition(theirs.topic, theirs.partition)] = offset

    def _placed(self, partition: TopicPartition) -> None:
        if partition in self._unplaced:
            self._unplaced.discard(partition)
            with self._assigned():
                self._client.resume(theirs_of(partition))

    @contextlib.contextmanager
    def _assigned(self) -> Iterator[None]:
        """The client changes its assignment on a thread of its own, before the poller is told."""
        try:
            yield
        except (AssertionError, KeyError, ValueError, kafka.errors.IllegalStateError) as error:
            self._broken = f"a partition is not assigned any more: {error}"
            raise ConsumerBroken(self._broken) from error

    def _list_offsets(
        self, ask: Callable[..., dict[Any, int]], partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        theirs = [theirs_of(partition) for partition in partitions]
        try:
            found = ask(theirs, timeout_ms=self._answer_s * 1000)
        except kafka.errors.KafkaError as error:
            raise while_reading(error, self._servers, self._client) from error
        return {TopicPartition(*partition): offset for partition, offset in found.items()}

    def _require(self, topic: str) -> list[TopicPartition]:
        try:
            known = self._client.partitions_for_topic(topic)
        except kafka.errors.KafkaError as error:
            raise while_reading(error, self._servers, self._client) from error
        if not known:
            raise MissingTopic(topic, self._servers)
        return [TopicPartition(topic, number) for number in sorted(known)]


class KafkaConsumer(KafkaReader):
    """The same as a member of a group."""

    def __init__(
        self,
        client: kafka.KafkaConsumer,
        servers: str,
        answer_s: float,
        topic_id: Callable[[str], str | None],
    ) -> None:
        super().__init__(client, servers, answer_s)
        self.topic_id = topic_id
        self._notes = Notes(client)
        self._listener: AssignmentListener | None = None
        self._topic: str | None = None
        self._made_as: object = None
        self._told: frozenset[TopicPartition] = frozenset()
        self._ask_again_s: float | None = None
        self._paused: set[TopicPartition] = set()
        self._shown: dict[TheirPartition, OffsetAndMetadata] = {}

    def subscribe(self, topic: str, listener: AssignmentListener) -> None:
        self._require(topic)
        self._topic, self._made_as = topic, self._made(topic)
        self._listener = listener
        self._client.subscribe([topic], listener=self._notes)

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(*theirs) for theirs in self._client.assignment()}

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._paused.update(partitions)
        with self._assigned():
            self._client.pause(*map(theirs_of, partitions))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._paused.difference_update(partitions)
        ready = [partition for partition in partitions if partition not in self._unplaced]
        with self._assigned():
            self._client.resume(*map(theirs_of, ready))

    def high_watermarks(self) -> dict[TopicPartition, int]:
        found = {}
        for theirs in self._client.assignment():
            with self._assigned():
                end = self._client.highwater(theirs)
            if end is not None:
                found[TopicPartition(*theirs)] = end
        return found

    def partitions(self, topic: str) -> Collection[TopicPartition]:
        return self._require(topic)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        shown = {theirs_of(p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        self._shown.update(shown)
        try:
            if shown:
                self._client.commit_async(shown)
        except Exception as error:
            _log.debug("The group's offsets were not written: %s", error)

    def close(self) -> None:
        if self._broken is None and self._shown:
            # What was on its way is lost with the connection, and would show as lag for ever.
            with contextlib.suppress(Exception):
                self._client.commit(self._shown, timeout_ms=_LAST_COMMIT_MS)
        super().close()

    def _check_membership(self) -> None:
        group: Any = self._client._coordinator  # type: ignore[attr-defined]
        if group.rejoining:
            # A join that news of the topic began is forgotten when a poll ends before its answer
            # comes: the leader has seen the news by then, and nothing else asks for the answer. The
            # client would poll on for ever without a partition and without heartbeats.
            group.request_rejoin()
        # A static member whose name somebody else took stops its heartbeats, says nothing, and
        # goes on reading for ever.
        settled = group.state == MemberState.STABLE and not group.rejoin_needed
        if settled and not group.rejoining and not group._heartbeat_enabled:
            raise MemberFenced(group.group_id, group.group_instance_id)
        if self._ask_again_s is not None and time.monotonic() >= self._ask_again_s:
            # A static member that comes back is given what it had, whatever the topic has become,
            # and is not told that it leads the group: nobody would look for new partitions any
            # more. To the leader that asks again, the group is dealt out anew; to others, nothing
            # happens.
            self._ask_again_s = math.inf
            group.request_rejoin()

    def _check_topic(self) -> None:
        # Messages are fetched by the topic's name: one that is made anew while the group stays
        # as it is would be read on at the positions of the old one, without a word.
        made = self._made(self._topic)
        if made is None or made == self._made_as:
            return
        if self._made_as is not None:
            raise ConsumerBroken(f"the topic {self._topic} was made anew")
        self._made_as = made

    def _made(self, topic: str | None) -> object:
        """The topic's id as the client last heard of it; asks nobody."""
        return self._client._cluster.topic_id(topic)  # type: ignore[attr-defined]

    def _assignment_changed(self) -> bool:
        notes = list(self._notes.take())
        if not notes:
            return False
        assert self._listener is not None
        gone = [kind for kind, _ in notes if kind != "assigned"]
        if self._told and gone:
            told, self._told = self._told, frozenset()
            self._forget(told)
            if "lost" in gone:
                self._listener.on_lost(told)
            else:
                self._listener.on_revoked(told)
        # An assignment that was taken back before anyone heard of it is not told.
        kind, partitions = notes[-1]
        if kind == "assigned":
            self._told = frozenset(partitions)
            self._unplaced = set(partitions)
            if self._ask_again_s is None and self._client.config["group_instance_id"]:
                self._ask_again_s = time.monotonic() + _ASK_AGAIN_S
            self._listener.on_assigned(self._told)
        return True

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        self._unplaced.clear()
        self._paused.clear()
        self._shown.clear()
        for partition in partitions:
            self._positions.pop(partition, None)

    def _placed(self, partition: TopicPartition) -> None:
        if partition in self._paused:
            self._unplaced.discard(partition)
        else:
            super()._placed(partition)


def _messages(records: list[Any]) -> tuple[TopicPartition, list[Message]]:
    partition = TopicPartition(records[0].topic, records[0].partition)
    return partition, [
        Message(
            partition,
            record.offset,
            record.key,
            record.value,
            tuple(map(tuple, record.headers)) if record.headers else (),
            record.timestamp,
        )
        for record in records
    ]

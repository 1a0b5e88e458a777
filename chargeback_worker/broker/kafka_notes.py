"""What the client's own thread is told of the group, held until the poller has placed it."""

from collections import deque
from collections.abc import Collection, Iterator

import kafka
from kafka.structs import TopicPartition as TheirPartition

from chargeback_worker.broker import TopicPartition


class Notes(kafka.ConsumerRebalanceListener):
    """Listens on the client's own thread: holds what was assigned and notes it for the poller."""

    def __init__(self, client: kafka.KafkaConsumer) -> None:
        self._client = client
        self._notes: deque[tuple[str, list[TopicPartition]]] = deque()

    def take(self) -> Iterator[tuple[str, list[TopicPartition]]]:
        while self._notes:
            yield self._notes.popleft()

    def on_partitions_assigned(self, assigned: Collection[TheirPartition]) -> None:
        self._note("assigned", assigned)
        hold(self._client, assigned)

    def on_partitions_revoked(self, revoked: Collection[TheirPartition]) -> None:
        self._note("revoked", revoked)

    def on_partitions_lost(self, lost: Collection[TheirPartition]) -> None:
        self._note("lost", lost)

    def _note(self, kind: str, partitions: Collection[TheirPartition]) -> None:
        self._notes.append((kind, sorted(TopicPartition(*theirs) for theirs in partitions)))


def hold(client: kafka.KafkaConsumer, partitions: Collection[TheirPartition]) -> None:
    # A partition without a position would be given the group's; a paused one is not read.
    for partition in partitions:
        client.seek(partition, 0)
    client.pause(*partitions)


def theirs_of(partition: TopicPartition) -> TheirPartition:
    return TheirPartition(partition.topic, partition.partition)

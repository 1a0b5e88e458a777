"""Whether the books are older than the topics they belong to, as after a restore from a backup.

They are where the group has read further than the books, or where the invoices topic holds a
message that the books never wrote. It is looked for from the end of each partition back to a
message that is known to lie there: all before that one were written before, so they are known too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chargeback_worker.broker import Broker, Message, Reader, TopicDescription, TopicPartition
from chargeback_worker.broker.ranges import bounds, read_ranges
from chargeback_worker.invoicing.message import told
from chargeback_worker.store import Store, cursors, holds, outbox
from chargeback_worker.store.holds import Hold
from chargeback_worker.store.outbox import Written

_CAUSES_MAX = 4
_BACK_FIRST = 1
_BACK_MOST = 256


@dataclass(frozen=True, slots=True)
class World:
    """What the books belong to."""

    broker: Broker
    usage_topic: str
    invoices_topic: str
    group_id: str


def hold_if_older(store: Store, world: World, now_us: int) -> Hold | None:
    """Compare, and hold closing and publishing where the books are older; the hold that stands.

    Raises Unavailable where the broker did not answer, and what else keeps from reading a topic:
    nothing is known then.
    """
    with store.read() as transaction:
        hold = holds.find(transaction)
    if hold is not None:
        return hold
    causes = find_causes(store, world)
    if not causes:
        return None
    with store.begin() as transaction:
        holds.put(transaction, Hold(now_us, tuple(causes)))
        return holds.find(transaction)


def find_causes(store: Store, world: World) -> list[str]:
    """In what the topics are ahead of the books, a sentence each; none where all is well."""
    found = [*_read_further(store, world), *_written_further(store, world)]
    more = len(found) - _CAUSES_MAX
    return found if more <= 0 else [*found[:_CAUSES_MAX], f"and {more} more like these"]


def _read_further(store: Store, world: World) -> Iterator[str]:
    committed = world.broker.committed(world.group_id, world.usage_topic)
    with store.read() as transaction:
        reached = cursors.furthest(transaction, world.usage_topic)
        seen = holds.marks(transaction).committed
    for place, offset in sorted(committed.items()):
        stored = reached.get(place.partition, 0)
        if stored < offset != seen.get(place.partition):
            read = f"group {world.group_id} has read {place} up to {offset}"
            yield f"{read}, the books up to {stored}"


def _written_further(store: Store, world: World) -> Iterator[str]:
    described = world.broker.describe(world.invoices_topic)
    if described is None:
        return
    reader = world.broker.reader()
    try:
        for message in _unknown_last(store, reader, described):
            place = f"{message.partition} at {message.offset}"
            yield f"{place} holds a message that the books never wrote"
    finally:
        reader.close()


def _unknown_last(store: Store, reader: Reader, topic: TopicDescription) -> Iterator[Message]:
    """Of each partition the last message of a chargeback worker, where these books do not know it
    or any that follows one that is known to lie there."""
    left = dict(_unread(store, topic, bounds(reader, topic.name, topic.partitions)))
    count = _BACK_FIRST
    while left:
        ranges = {place: (max(first, end - count), end) for place, (first, end) in left.items()}
        read: dict[TopicPartition, list[Message]] = {place: [] for place in left}
        for message in read_ranges(reader, ranges):
            read[message.partition].append(message)
        known = _known(store, read.values())
        for place, messages in read.items():
            unknown, settled = _judged(messages, known)
            if unknown is not None:
                yield unknown
            first, end = left[place][0], ranges[place][0]
            left[place] = (first, end)
            if settled or first >= end:
                del left[place]
        count = min(count * 8, _BACK_MOST)


def _unread(
    store: Store,
    topic: TopicDescription,
    there: Mapping[TopicPartition, tuple[int, int]],
) -> Iterator[tuple[TopicPartition, tuple[int, int]]]:
    """What of each partition was not read back when the last hold ended."""
    with store.read() as transaction:
        marks = holds.marks(transaction)
    same = topic.topic_id == marks.topic_id
    for place, (first, end) in there.items():
        first = max(first, marks.ends.get(place.partition, 0)) if same else first
        if first < end:
            yield place, (first, end)


def _known(store: Store, read: Iterable[Sequence[Message]]) -> dict[str, Written]:
    said = (told(message.headers) for messages in read for message in messages)
    ce_ids = {one.ce_id for one in said if one is not None}
    with store.read() as transaction:
        return outbox.find(transaction, ce_ids)


def _judged(
    messages: Sequence[Message], known: Mapping[str, Written]
) -> tuple[Message | None, bool]:
    """The last one that is not known, and whether those before need not be looked at."""
    for message in reversed(messages):
        said = told(message.headers)
        if said is None:
            continue
        written = known.get(said.ce_id)
        # Books that went on unseen may have written the same message with another content.
        if written is None or not written.says(message.value):
            return message, True
        if written.place == (message.partition.partition, message.offset):
            return None, True
    return None, False

"""Where reading of the topic goes on, and the few ways a person may move it.

A worker takes a partition, and from then on only its own commits move the position. What stands in
the way (a gap, a record that fails each time) stops the partition and is named; a topic made anew
ends the worker. `skip`, `accept_gap` and `adopt_topic` are the only ways past, each with a reason,
each audited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from chargeback_worker.errors import Conflict, Invalid, NotFound
from chargeback_worker.store import Store, Transaction, audit, cursors
from chargeback_worker.store.audit import Act
from chargeback_worker.store.cursors import Cursor, Door, Tally

ATTEMPTS_MAX = 3


class TopicRecreated(Conflict):
    """The topic is another one than the stored positions belong to."""

    def __init__(self, topic: str, stored: str, found: str) -> None:
        super().__init__(
            f"The topic {topic!r} was made anew: its id is {found}, and the stored positions are"
            f" those of {stored}. Reading on from them would skip or repeat events.",
            "If the new topic is the right one: chargeback offsets adopt-topic --reason TEXT",
        )


class PositionGone(Conflict):
    """The next position is no longer, or not yet, in the log."""

    def __init__(self, place: str, position: int, first: int, end: int) -> None:
        if position < first:
            what = f"{first - position} records were deleted before they were read"
        else:
            what = f"the log ends at {end}, {position - end} before where it was read to"
        super().__init__(
            f"{place} is to be read on at {position}, but holds {first} to {end}: {what}.",
            "If what is missing is lost for good: chargeback offsets accept-gap --reason TEXT",
        )


class PartitionUnknown(NotFound):
    def __init__(self, topic: str, partition: int) -> None:
        super().__init__(
            f"No position of {topic}:{partition} is stored.", "See: chargeback offsets show"
        )


class SkipNotNext(Invalid):
    """Only the record that is read next can be skipped."""

    def __init__(self, place: str, offset: int, next_position: int) -> None:
        super().__init__(
            f"{place} is read on at {next_position}; offset {offset} cannot be skipped.",
            f"Skip {place}:{next_position}, or see: chargeback offsets show",
        )


def take_partition(
    store: Store,
    topic: str,
    partition: int,
    *,
    topic_id: str | None,
    end: int | None = None,
    excused: bool | None = None,
) -> Cursor | None:
    """The cursor of a partition to be read on, its attempts counted; None if never seen before.

    `topic_id` is None where the broker does not know it. There is no attempt where the position is
    the `end` already. `excused` is given where the last attempt ended because the database did not
    answer: it is none, and True takes back the try that was noted of a single record.
    Raises TopicRecreated.
    """
    with store.begin() as transaction:
        found = _current(transaction, topic, partition, topic_id)
        if found is None:
            return None
        if excused:
            cursors.take_back_try(transaction, found.cursor_id)
        counts = excused is None and found.next_position != end
        return cursors.take(transaction, found.cursor_id, counts=counts)


def start_at_end(
    store: Store,
    topic: str,
    ends: Mapping[int, int],
    *,
    topic_id: str | None,
    now_us: int,
) -> None:
    """Begin a topic that was never seen at the `ends` of all its partitions.

    All of them in one transaction: a partition without a cursor is then one that was added later.
    Does nothing where the topic was seen before, even under another id.
    """
    with store.begin() as transaction:
        if any(cursor.name == topic for cursor in cursors.listed(transaction, Door.TOPIC)):
            return
        for partition, end in sorted(ends.items()):
            _make(transaction, topic, partition, topic_id, end, now_us)


def first_seen(
    store: Store,
    topic: str,
    partition: int,
    *,
    topic_id: str | None,
    position: int,
    now_us: int,
) -> Cursor:
    """The cursor of a partition that is read for the first time, from `position` on."""
    with store.begin() as transaction:
        return _make(transaction, topic, partition, topic_id, position, now_us)


def _make(
    transaction: Transaction,
    topic: str,
    partition: int,
    topic_id: str | None,
    position: int,
    now_us: int,
) -> Cursor:
    return cursors.make(
        transaction,
        Door.TOPIC,
        topic,
        partition,
        topic_id=topic_id or "",
        first_position=position,
        now_us=now_us,
    )


def suspect(store: Store, cursor_id: int, position: int) -> int:
    """Note that one record is tried by itself, before it is; returns the count of such tries."""
    with store.begin() as transaction:
        return cursors.suspect(transaction, cursor_id, position)


def stop_partition(store: Store, cursor_id: int, reason: str | None) -> None:
    """Note why a partition is not read on, for `offsets show`."""
    with store.begin() as transaction:
        cursors.stop(transaction, cursor_id, reason)


def skip(
    store: Store, topic: str, partition: int, offset: int, act: Act, *, last: int | None = None
) -> Cursor:
    """Go past one record without reading it, or past all up to the `last` of a broken batch.

    Raises SkipNotNext, PartitionUnknown.
    """
    act.require_reason("skip a record")
    assert last is None or last >= offset
    with store.begin() as transaction:
        before = _in_use(transaction, topic, partition)
        if before.next_position != offset:
            raise SkipNotNext(f"{topic}:{partition}", offset, before.next_position)
        new = (offset if last is None else last) + 1
        return _move(transaction, act, "offsets.skip", before, new)


def accept_gap(
    store: Store, topic: str, bounds: Mapping[int, tuple[int, int]], act: Act
) -> Sequence[Cursor]:
    """Go on at the first offset there is, in each partition whose position is gone.

    `bounds` holds the first offset and the end of each partition as the broker has them. A log
    that ends before the position starts a new count at its end. Returns the cursors moved.
    """
    act.require_reason("accept a gap")
    moved = []
    with store.begin() as transaction:
        for before in _all_in_use(transaction, topic):
            first, end = bounds.get(before.partition, (before.next_position,) * 2)
            if before.next_position < first:
                moved.append(_move(transaction, act, "offsets.accept-gap", before, first))
            elif before.next_position > end:
                moved.append(_restart(transaction, act, before, end))
    return moved


def adopt_topic(store: Store, topic: str, topic_id: str, act: Act) -> int:
    """Put away the positions of a topic's former incarnation; returns how many partitions.

    The topic that is there now is then read from its beginning; what comes again counts once.
    """
    act.require_reason("adopt a topic")
    with store.begin() as transaction:
        before = [asdict(cursor) for cursor in _all_in_use(transaction, topic)]
        retired = cursors.retire(transaction, topic, topic_id)
        audit.append(
            transaction,
            act,
            "offsets.adopt-topic",
            f"topic:{topic}",
            before={"cursors": before},
            after={"topic_id": topic_id, "retired": retired},
        )
    return retired


def _current(
    transaction: Transaction, topic: str, partition: int, topic_id: str | None
) -> Cursor | None:
    in_use = _all_in_use(transaction, topic)
    if topic_id is not None:
        for cursor in in_use:
            if cursor.topic_id not in ("", topic_id):
                raise TopicRecreated(topic, cursor.topic_id, topic_id)
        if any(not cursor.topic_id for cursor in in_use):
            cursors.identify(transaction, topic, topic_id)
    return next((cursor for cursor in in_use if cursor.partition == partition), None)


def _all_in_use(transaction: Transaction, topic: str) -> list[Cursor]:
    return [
        cursor
        for cursor in cursors.listed(transaction, Door.TOPIC)
        if cursor.name == topic and not cursor.retired
    ]


def _in_use(transaction: Transaction, topic: str, partition: int) -> Cursor:
    for cursor in _all_in_use(transaction, topic):
        if cursor.partition == partition:
            return cursor
    raise PartitionUnknown(topic, partition)


def _move(transaction: Transaction, act: Act, action: str, before: Cursor, new: int) -> Cursor:
    cursors.advance(
        transaction,
        before.cursor_id,
        Tally(skipped=new - before.next_position),
        expected=before.next_position,
        new=new,
        now_us=act.now_us,
    )
    after = cursors.get(transaction, before.cursor_id)
    _audit(transaction, act, action, before, after)
    return after


def _restart(transaction: Transaction, act: Act, before: Cursor, end: int) -> Cursor:
    """A log shorter than what was read of it: its positions from `end` on are new ones."""
    cursors.put_away(transaction, before)
    after = cursors.make(
        transaction,
        Door.TOPIC,
        before.name,
        before.partition,
        topic_id=before.topic_id,
        first_position=end,
        now_us=act.now_us,
    )
    _audit(transaction, act, "offsets.accept-gap", before, after)
    return after


def _audit(transaction: Transaction, act: Act, action: str, before: Cursor, after: Cursor) -> None:
    audit.append(
        transaction,
        act,
        action,
        f"{before.name}:{before.partition}",
        before={"next_position": before.next_position, "stopped": before.stopped},
        after={"next_position": after.next_position},
    )

"""Reading a known piece of some partitions to its end, outside of any group.

A piece is from an offset up to an end that the broker named. Offsets in it may hold nothing for a
reader: markers of transactions, what was aborted, what compaction took away.
"""

import time
from collections.abc import Iterator, Mapping

from chargeback_worker.broker import Message, Reader, TopicPartition
from chargeback_worker.errors import Unavailable

_POLL_S = 0.5
_MESSAGES_AT_ONCE = 500
PATIENCE_S = 30.0


class ReadingStalled(Unavailable):
    """The broker answers, but what it should hold does not come."""

    def __init__(self, place: TopicPartition, position: int | None, end: int) -> None:
        super().__init__(
            f"{place} ends at {end}, and nothing comes of it from {position} on.",
            "See at the broker whether all replicas of the topic are in sync.",
        )


def bounds(reader: Reader, topic: str, partitions: int) -> dict[TopicPartition, tuple[int, int]]:
    """The first offset and the end of each partition of a topic, now."""
    places = [TopicPartition(topic, number) for number in range(partitions)]
    first, ends = reader.beginning_offsets(places), reader.end_offsets(places)
    return {place: (first[place], ends[place]) for place in places}


def read_ranges(
    reader: Reader,
    ranges: Mapping[TopicPartition, tuple[int, int]],
    *,
    patience_s: float = PATIENCE_S,
) -> Iterator[Message]:
    """The messages of each partition from the first offset to before the end, in its order.

    Raises OffsetOutOfRange where the first one is no longer there, and Unavailable where nothing
    comes for `patience_s`.
    """
    left = {place: end for place, (first, end) in ranges.items() if first < end}
    if not left:
        return
    reader.assign(left)
    for place in left:
        reader.seek(place, ranges[place][0])
    moved_s = time.monotonic()
    while left:
        before = {place: reader.position(place) for place in left}
        for place, messages in reader.poll(_POLL_S, _MESSAGES_AT_ONCE).items():
            end = ranges[place][1]
            yield from (message for message in messages if message.offset < end)
        positions = {place: reader.position(place) for place in left}
        left = {place: end for place, end in left.items() if (positions[place] or 0) < end}
        if positions != before:
            moved_s = time.monotonic()
        elif left:
            # A broker that is away only seems to have nothing; this asks it.
            reader.end_offsets(list(left))
            if time.monotonic() - moved_s > patience_s:
                place, end = next(iter(left.items()))
                raise ReadingStalled(place, positions[place], end)

"""Usage as a busy installation sends it: some 314 bytes an event, one day after the other.

Among them are what producers do: 1 % are repeated soon, 0.1 % much later, and 0.01 % come again
with another cost. Events of one team have one partition, so that a topic keeps their order.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.ingest import Part, ReadEvent, read_events
from chargeback_worker.usage.event import Grain, RawEvent, Reader

MONTH = Period(2026, 10)
PARTITIONS = 8
NOW_US = to_us(datetime(2026, 11, 22, 12, tzinfo=UTC))
TOTALS_A_DAY = 6_000
MANY_TOTALS_A_DAY = 33_000
"""A million a month."""

_TEAMS = 64
_EVENTS_A_DAY = 100_000
_NEAR, _FAR, _CONFLICT = 0.01, 0.011, 0.0111
_RECENT = 1_000
_KEPT = 16
# The things that a user uses, each a total of its own.
_USES = (
    ("coder", "completion", "gpt-4o"),
    ("reviewer", "completion", "claude-sonnet-4"),
    ("researcher", "embedding", "text-embedding-3"),
    ("helpdesk", "query", "gemini-2.5-pro"),
)


class Sent(NamedTuple):
    """An event as a producer sends it."""

    partition: int
    key: bytes
    value: bytes


def usage(events: int, seed: int, totals_a_day: int = TOTALS_A_DAY) -> Iterator[Sent]:
    """The same for the same arguments; another seed has other events."""
    draw = Random(seed)
    recent: list[Sent] = []
    earlier: list[Sent] = []
    for number in range(events):
        chance = draw.random()
        if chance >= _CONFLICT or not recent:
            sent = _made(number, draw, totals_a_day)
            if len(recent) < _RECENT:
                recent.append(sent)
            else:
                recent[number % _RECENT] = sent
            if number % _KEPT == 0:
                earlier.append(sent)
            yield sent
        elif chance < _NEAR:
            yield draw.choice(recent)
        elif chance < _FAR:
            yield draw.choice(earlier)
        else:
            sent = draw.choice(recent)
            yield sent._replace(value=sent.value.replace(b'"cost_usd": 0.', b'"cost_usd": 9.'))


def _made(number: int, draw: Random, totals_a_day: int) -> Sent:
    bits = draw.getrandbits(192)
    # Some use much more than others.
    share = draw.random()
    user = int(totals_a_day // len(_USES) * share * share)
    team = user % _TEAMS
    agent, resource_type, model = _USES[bits & 3]
    usage_id = f"{bits >> 64:032x}"
    prompt, completion = 200 + (bits >> 8 & 8191), 1 + (bits >> 24 & 1023)
    day, of_day = divmod(number, _EVENTS_A_DAY)
    second, part = divmod(of_day * 86_400_000_000 // _EVENTS_A_DAY, 1_000_000)
    time = timedelta(seconds=second)
    value = (
        f'{{"usage_id": "{usage_id}", "timestamp": "2026-10-{1 + day % 31:02}T'
        f'{time.seconds // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{part:06}Z", '
        f'"team_id": "team-{team:03}", "user_id": "user-{user:05}", "agent_id": "{agent}", '
        f'"resource_type": "{resource_type}", "quantity": {prompt + completion}, '
        f'"cost_usd": 0.{prompt * 25 + completion * 100:08}, "metadata": {{"model": "{model}", '
        f'"prompt_tokens": {prompt}, "completion_tokens": {completion}}}}}'
    )
    return Sent(team % PARTITIONS, b"team-%03d" % team, value.encode())


def batches(
    events: int, size: int, seed: int, totals_a_day: int = TOTALS_A_DAY
) -> Iterator[dict[int, list[ReadEvent]]]:
    """The events read, by partition, in batches of `size`; their positions count from 0."""
    reader, made = Reader(Grain("UTC")), usage(events, seed, totals_a_day)
    ends = [0] * PARTITIONS
    for start in range(0, events, size):
        polled: dict[int, list[RawEvent]] = {}
        for _ in range(min(size, events - start)):
            sent = next(made)
            raw = RawEvent(sent.value, (), sent.key, ends[sent.partition])
            polled.setdefault(sent.partition, []).append(raw)
            ends[sent.partition] += 1
        yield {partition: read_events(reader, raws, NOW_US) for partition, raws in polled.items()}


def parts(batch: dict[int, list[ReadEvent]], cursor_ids: Sequence[int]) -> list[Part]:
    """A batch as the ingest step takes it."""
    return [
        Part(cursor_ids[at], events, events[0].raw.position, events[-1].raw.position + 1)
        for at, events in batch.items()
    ]

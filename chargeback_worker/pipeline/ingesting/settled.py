"""What becomes of the events of a batch, given what is stored already.

Of each identity the first event of the batch is accepted where nothing is stored of it; all others
are duplicates or conflicts. Who finds that more was stored meanwhile settles the batch once more:
the events are the same, the knowledge is newer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chargeback_worker.pipeline.ingesting.batch import Outcome, Part, PartResult
from chargeback_worker.store.cursors import Tally
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.usage.event import UsageEvent
from chargeback_worker.usage.total import UsageSum, total_key


@dataclass(frozen=True, slots=True)
class Settled:
    """The records to write, what they add to the totals, and one result a part."""

    records: list[NewRecord]
    sums: list[UsageSum]
    results: tuple[PartResult, ...]


def settle(
    parts: Sequence[Part],
    stored: Mapping[bytes, bytes],
    billed_in: Mapping[int, int],
    now_us: int,
) -> Settled:
    """`stored` are contents by identity; `billed_in` says which period bills a month's usage."""
    known = dict(stored)
    records: list[NewRecord] = []
    sums: dict[tuple[object, ...], UsageSum] = {}
    results: list[PartResult] = []
    for part in parts:
        outcomes: list[Outcome] = []
        late = 0
        for event in part.events:
            said = event.said
            if type(said) is not UsageEvent:
                outcomes.append(Outcome.QUARANTINED)
                continue
            content = known.get(said.identity)
            if content is not None:
                same = content == said.content
                outcomes.append(Outcome.DUPLICATE if same else Outcome.CONFLICT)
                continue
            known[said.identity] = said.content
            outcomes.append(Outcome.ACCEPTED)
            # Many events share a total: its digest and its row are made once a batch.
            grain = (said.day, said.team, said.user, said.agent, said.resource_type, said.labels)
            sum_ = sums.get(grain)
            if sum_ is None:
                sum_ = sums[grain] = _begin(said, billed_in[said.day // 100])
            sum_.cost += said.cost
            sum_.quantity += said.quantity
            sum_.records += 1
            late += sum_.period != said.day // 100
            received_us = now_us if event.received_us is None else event.received_us
            records.append(NewRecord(said, sum_, part.cursor_id, event.raw.position, received_us))
        results.append(PartResult(_tally(part, outcomes), tuple(outcomes), late))
    return Settled(records, list(sums.values()), tuple(results))


def _begin(event: UsageEvent, period: int) -> UsageSum:
    grain = (
        period,
        event.day,
        event.team,
        event.user,
        event.agent,
        event.resource_type,
        event.labels,
    )
    return UsageSum(total_key(*grain), *grain, cost=0, quantity=0, records=0)


def _tally(part: Part, outcomes: Sequence[Outcome]) -> Tally:
    moved = len(outcomes) if part.expected is None or part.new is None else part.new - part.expected
    return Tally(
        accepted=outcomes.count(Outcome.ACCEPTED),
        duplicate=outcomes.count(Outcome.DUPLICATE),
        conflict=outcomes.count(Outcome.CONFLICT),
        # What a replay still refuses stays where it is, and was counted when it came.
        quarantined=0 if part.replays else outcomes.count(Outcome.QUARANTINED),
        skipped=moved - len(outcomes),
    )

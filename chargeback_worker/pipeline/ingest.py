"""Events into the books: one step and one transaction, whatever the door.

Keys, records, totals, conflicts, quarantine, tallies and the moved cursors are written together.
A batch that comes again, in whole or in part, by any door, changes nothing but the tallies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chargeback_worker.period import Period, day_from_number
from chargeback_worker.store import (
    Store,
    Transaction,
    audit,
    cursors,
    periods,
    quarantine,
    totals,
    usage,
)
from chargeback_worker.store.audit import Act
from chargeback_worker.store.cursors import Tally
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.usage.event import RawEvent, Reader, RefusedEvent, UsageEvent
from chargeback_worker.usage.total import UsageTotal, total_key


class Outcome(StrEnum):
    """How an event ends: exactly one of these."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"


class ReadEvent(NamedTuple):
    """A message and what it says."""

    raw: RawEvent
    said: UsageEvent | RefusedEvent


@dataclass(frozen=True, slots=True)
class Part:
    """What one cursor delivers: the events of a poll of one partition, or some lines of a file.

    `expected` is where the cursor must stand and `new` where it stands afterwards; both None for a
    door without positions. `replays`: the positions are ids of quarantined events.
    """

    cursor_id: int
    events: Sequence[ReadEvent]
    expected: int | None = None
    new: int | None = None
    replays: bool = False


@dataclass(frozen=True, slots=True)
class PartResult:
    """`outcomes` in the order of the part's events; `late` counts accepted events."""

    tally: Tally
    outcomes: tuple[Outcome, ...]
    late: int


@dataclass(frozen=True, slots=True)
class IngestResult:
    """One result a part, in their order."""

    parts: tuple[PartResult, ...]

    @property
    def tally(self) -> Tally:
        return sum((part.tally for part in self.parts), Tally())

    @property
    def late(self) -> int:
        return sum(part.late for part in self.parts)


def read_events(reader: Reader, raws: Iterable[RawEvent], now_us: int) -> list[ReadEvent]:
    """Decode messages; what cannot be read is a value with its reason."""
    return [ReadEvent(raw, reader.read(raw, now_us)) for raw in raws]


def ingest(
    store: Store,
    parts: Sequence[Part],
    *,
    zone: ZoneInfo,
    quarantine_bytes_max: int,
    now_us: int,
    act: Act | None = None,
) -> IngestResult:
    """Write what the parts deliver, whole or not at all. `zone` is the billing time zone.

    `act` is given where a person asked for it (a replay), and goes to the audit.

    Raises PositionTaken where a cursor has moved: nothing is written and the parts are somebody
    else's. Raises Unavailable where the database did not answer: read the positions again.
    """
    events = [event for part in parts for _, event in _usable(part)]
    with store.begin() as transaction:
        billed_in = _billing_periods(transaction, {event.day for event in events}, zone)
        stored = usage.contents(transaction, (event.identity for event in events))
        records = _first_ones(parts, stored, billed_in, now_us)
        stored |= usage.insert(transaction, records.values())
        totals.add(transaction, sum_up(r for key, r in records.items() if key not in stored))
        results = [_settle_part(part, stored, billed_in) for part in parts]
        # In the order of cursors, so that two workers who hold the same ones wait in one
        # direction; and before what is kept apart, whose places another may have filled already.
        for part, result in sorted(zip(parts, results, strict=True), key=_cursor_of):
            cursors.advance(
                transaction,
                part.cursor_id,
                result.tally,
                expected=part.expected,
                new=part.new,
                now_us=now_us,
            )
            _keep_apart(transaction, part, result, quarantine_bytes_max, now_us)
        if act is not None:
            _audit(transaction, act, parts, results)
    return IngestResult(tuple(results))


def _cursor_of(settled: tuple[Part, PartResult]) -> int:
    return settled[0].cursor_id


def sum_up(records: Iterable[NewRecord]) -> dict[bytes, UsageTotal]:
    """The totals of some records by key: what an upsert adds."""
    sums: dict[bytes, list[int]] = {}
    firsts: dict[bytes, NewRecord] = {}
    for record in records:
        running = sums.get(record.total_key)
        if running is None:
            firsts[record.total_key] = record
            running = sums[record.total_key] = [0, 0, 0]
        running[0] += record.event.cost
        running[1] += record.event.quantity
        running[2] += 1
    return {key: _total(firsts[key], *sums[key]) for key in sums}


def _total(record: NewRecord, cost: int, quantity: int, records: int) -> UsageTotal:
    event = record.event
    return UsageTotal(
        period=Period.from_number(record.period),
        day=day_from_number(event.day),
        team=event.team,
        user=event.user,
        agent=event.agent,
        resource_type=event.resource_type,
        labels=event.labels,
        cost=cost,
        quantity=quantity,
        records=records,
    )


def _usable(part: Part) -> Iterator[tuple[RawEvent, UsageEvent]]:
    for raw, said in part.events:
        if isinstance(said, UsageEvent):
            yield raw, said


def _billing_periods(transaction: Transaction, days: set[int], zone: ZoneInfo) -> Mapping[int, int]:
    """Which period bills the usage of each month: its own if open, else the next that is.

    The periods are held shared before their states are read, so that none of them starts to close
    until this transaction has ended.
    """
    origins = sorted({day // 100 for day in days})
    if not origins:
        return {}
    held: set[int] = set()
    wanted = set(origins)
    while not wanted <= held:
        transaction.dialect.share_periods(transaction.connection, sorted(wanted - held))
        held |= wanted
        states = periods.states_from(transaction, origins[0])
        billed_in = {origin: _first_open(origin, states) for origin in origins}
        wanted = set(billed_in.values())
    missing = {Period.from_number(number) for number in wanted - states.keys()}
    periods.make(transaction, missing, zone)
    return billed_in


def _first_open(origin: int, states: Mapping[int, periods.PeriodState]) -> int:
    period = Period.from_number(origin)
    while not states.get(period.number, periods.PeriodState.OPEN).takes_usage:
        period = period.next()
    return period.number


def _first_ones(
    parts: Sequence[Part],
    stored: Mapping[bytes, bytes],
    billed_in: Mapping[int, int],
    now_us: int,
) -> dict[bytes, NewRecord]:
    """A record for the first event of each identity that is not stored."""
    records: dict[bytes, NewRecord] = {}
    keys: dict[tuple[object, ...], bytes] = {}
    for part in parts:
        for raw, event in _usable(part):
            if event.identity in stored or event.identity in records:
                continue
            period = billed_in[event.day // 100]
            owner = (event.team, event.user, event.agent)
            grain = (period, event.day, *owner, event.resource_type, event.labels)
            # Many events share a total: its digest is made once a batch.
            key = keys.get(grain)
            if key is None:
                key = keys[grain] = total_key(*grain)
            records[event.identity] = NewRecord(
                event, period, key, part.cursor_id, raw.position, now_us
            )
    return records


def _settle_part(part: Part, known: dict[bytes, bytes], billed_in: Mapping[int, int]) -> PartResult:
    """How each event of a part ended; `known` holds what was stored and grows with the firsts."""
    outcomes: list[Outcome] = []
    late = 0
    for _, said in part.events:
        if isinstance(said, RefusedEvent):
            outcomes.append(Outcome.QUARANTINED)
            continue
        content = known.get(said.identity)
        if content is None:
            known[said.identity] = said.content
            late += billed_in[said.day // 100] != said.day // 100
            outcomes.append(Outcome.ACCEPTED)
        else:
            same = content == said.content
            outcomes.append(Outcome.DUPLICATE if same else Outcome.CONFLICT)
    return PartResult(_tally(part, outcomes), tuple(outcomes), late)


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


def _audit(
    transaction: Transaction, act: Act, parts: Sequence[Part], results: Sequence[PartResult]
) -> None:
    for part, result in zip(parts, results, strict=True):
        for (raw, _), outcome in zip(part.events, result.outcomes, strict=True):
            subject = f"quarantine:{raw.position}" if part.replays else f"event:{raw.position}"
            audit.append(transaction, act, "replay", subject, after={"outcome": outcome.value})


def _keep_apart(
    transaction: Transaction, part: Part, result: PartResult, bytes_max: int, now_us: int
) -> None:
    """Quarantine what was refused, keep what conflicts, and resolve what was replayed."""
    ended = list(zip(part.events, result.outcomes, strict=True))
    refused = [(raw, said) for (raw, said), _ in ended if isinstance(said, RefusedEvent)]
    if part.replays:
        # First, as it finds out whether somebody else has resolved them meanwhile.
        _resolve(transaction, ended, now_us)
    usage.insert_conflicts(
        transaction,
        [
            usage.Conflicting(said, part.cursor_id, raw.position, quarantine.pack(raw))
            for (raw, said), outcome in ended
            if outcome is Outcome.CONFLICT and isinstance(said, UsageEvent)
        ],
        now_us,
    )
    if not part.replays:
        rows = ((part.cursor_id, raw, refusal) for raw, refusal in refused)
        quarantine.insert(transaction, rows, bytes_max=bytes_max, received_us=now_us)


def _resolve(
    transaction: Transaction, ended: Sequence[tuple[ReadEvent, Outcome]], now_us: int
) -> None:
    """Note of replayed events how they ended, or why they are still refused."""
    for (raw, said), outcome in ended:
        if isinstance(said, RefusedEvent):
            quarantine.set_refused_again(transaction, raw.position, said)
        else:
            quarantine.set_replayed(transaction, raw.position, outcome.value, now_us)

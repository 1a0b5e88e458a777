"""Events into the books: one step and one transaction, whatever the door.

Keys, records, totals, conflicts, quarantine, tallies and the moved cursors are written together.
A batch that comes again, in whole or in part, by any door, changes nothing but the tallies.
"""

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from chargeback_worker.errors import Misconfigured, Unavailable
from chargeback_worker.period import Period
from chargeback_worker.pipeline.ingesting.batch import (
    IngestResult,
    Outcome,
    Part,
    PartResult,
    ReadEvent,
)
from chargeback_worker.pipeline.ingesting.settled import settle
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
from chargeback_worker.usage.event import RawEvent, Reader, RefusedEvent, UsageEvent

__all__ = ["IngestResult", "Outcome", "Part", "PartResult", "ReadEvent", "ingest", "read_events"]


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
    events = [event for part in parts for event in part.usable()]
    with store.begin() as transaction:
        billed_in = _billing_periods(transaction, {event.day for event in events}, zone)
        stored = usage.contents(transaction, (event.identity for event in events))
        settled = settle(parts, stored, billed_in, now_us)
        # What others have stored since the look-up is known to the insert alone.
        meanwhile = usage.insert(transaction, settled.records)
        if meanwhile:
            settled = settle(parts, stored | meanwhile, billed_in, now_us)
        totals.add(transaction, settled.sums)
        # In the order of cursors, so that two workers who hold the same ones wait in one
        # direction; and before what is kept apart, whose places another may have filled already.
        for part, result in sorted(zip(parts, settled.results, strict=True), key=_cursor_of):
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
            _audit(transaction, act, parts, settled.results)
        full = bool(settled.records) and usage.segment_is_full(transaction)
    if full:
        _begin_segment(store)
    return IngestResult(settled.results, billed_in)


def _begin_segment(store: Store) -> None:
    try:
        with store.begin() as transaction:
            usage.begin_segment(transaction)
    except (Unavailable, Misconfigured):
        # The batch is written, and that counts; the next one tries again.
        pass


def _cursor_of(settled: tuple[Part, PartResult]) -> int:
    return settled[0].cursor_id


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


def _audit(
    transaction: Transaction, act: Act, parts: Sequence[Part], results: Sequence[PartResult]
) -> None:
    audit.append_all(
        transaction,
        act,
        "replay",
        (
            (f"{'quarantine' if part.replays else 'event'}:{event.raw.position}", outcome)
            for part, result in zip(parts, results, strict=True)
            for event, outcome in zip(part.events, result.outcomes, strict=True)
        ),
    )


def _keep_apart(
    transaction: Transaction, part: Part, result: PartResult, bytes_max: int, now_us: int
) -> None:
    """Quarantine what was refused, keep what conflicts, and resolve what was replayed."""
    if not (part.replays or result.tally.quarantined or result.tally.conflict):
        return
    ended = list(zip(part.events, result.outcomes, strict=True))
    refused = [(e.raw, e.said) for e in part.events if isinstance(e.said, RefusedEvent)]
    if part.replays:
        # First, as it finds out whether somebody else has resolved them meanwhile.
        _resolve(transaction, ended, now_us)
    usage.insert_conflicts(
        transaction,
        [
            usage.Conflicting(e.said, part.cursor_id, e.raw.position, quarantine.pack(e.raw))
            for e, outcome in ended
            if outcome is Outcome.CONFLICT and isinstance(e.said, UsageEvent)
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
    replayed: dict[Outcome, list[int]] = {}
    refused: dict[int, RefusedEvent] = {}
    for event, outcome in ended:
        if isinstance(event.said, RefusedEvent):
            refused[event.raw.position] = event.said
        else:
            replayed.setdefault(outcome, []).append(event.raw.position)
    for outcome, numbers in replayed.items():
        quarantine.set_replayed(transaction, numbers, outcome.value, now_us)
    quarantine.set_refused_again(transaction, refused)

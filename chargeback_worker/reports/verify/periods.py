"""Periods against the closes that made their states, and the snapshots of those."""

from collections.abc import Mapping, Sequence

import msgspec

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import Period, from_us
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.store import (
    closes,
    history,
    installation,
    periods,
    recount_books,
    snapshots,
)
from chargeback_worker.store.closes import Close
from chargeback_worker.store.history import ClosePlace
from chargeback_worker.store.periods import PeriodRow, PeriodState
from chargeback_worker.store.recount_books import Raised

_STATE = "The state of a period changes only by close and reopen; see: chargeback audit"
_KEPT = "What a close decided by is kept for ever; restore it from a backup."


def states(found: Comparison) -> None:
    """Each period is in the state that its closes left it in, and each close is in the audit."""
    transaction = found.transaction
    audited = recount_books.audited_closes(transaction)
    done = _by_period(closes.listed(transaction))
    grain = installation.read_grain(transaction)
    for row in periods.listed(transaction):
        if found.period not in (None, row.period):
            continue
        found.rows += 1
        of_period = done.pop(row.period, [])
        revisions = [close.revision for close in of_period]
        # The close that `revision` names is done only where the period is closed.
        last = row.revision if row.state is PeriodState.CLOSED else row.revision - 1
        found.equal(
            f"{row.period} ({row.state}): its closes", [*range(1, last + 1)], revisions, _STATE
        )
        if row.state is PeriodState.CLOSED and of_period:
            found.equal(f"{row.period}: closed at", of_period[-1].closed_us, row.closed_us, _STATE)
        logged = audited.get(f"period:{row.period}", 0)
        found.equal(f"{row.period}: closes in the audit", len(of_period), logged, _STATE)
        if grain is not None:
            starts, ends = row.period.bounds(grain.zone())
            found.equal(f"{row.period}: its start", starts, from_us(row.starts_us), _STATE)
            found.equal(f"{row.period}: its end", ends, from_us(row.ends_us), _STATE)
    for period in done if found.period is None else done.keys() & {found.period}:
        found.differ(f"{period}", "a period that was closed", "no such period", _STATE)


def kept_snapshots(found: Comparison) -> None:
    """Each close has the snapshot that it decided by, unaltered."""
    transaction = found.transaction
    done = {(close.period, close.revision) for close in closes.listed(transaction)}
    kept = set(recount_books.snapshot_places(transaction))
    for place in sorted(done | kept):
        if found.period not in (None, place[0]):
            continue
        found.rows += 1
        name = f"snapshot of {place[0]}, close {place[1]}"
        if place not in done:
            found.differ(name, "no close, so no snapshot", "a snapshot", _KEPT)
            continue
        stored = recount_books.snapshot_of(transaction, *place)
        if stored is None:
            found.differ(name, "a snapshot", "none", _KEPT)
            continue
        content, digest = stored
        computed = snapshots.digest(content.encode()).hex()
        found.equal(f"{name}: digest", digest.hex(), computed, _KEPT)
        if snapshot(found, *place) is None:
            found.differ(name, "a snapshot", "a text that cannot be read", _KEPT)


def snapshot(found: Comparison, period: Period, revision: int) -> Snapshot | None:
    """What a close decided by; None where it is not there or cannot be read."""
    stored = recount_books.snapshot_of(found.transaction, period, revision)
    if stored is None:
        return None
    try:
        return Snapshot.from_document(msgspec.json.decode(stored[0]))
    except msgspec.MsgspecError:
        return None


def revisions_at(found: Comparison, close: Close, origins: Sequence[Period]) -> dict[Period, int]:
    """The revisions whose snapshots a close used: its own, and of other months the last by then."""
    revisions = {close.period: close.revision}
    for place in history.places(found.transaction):
        if place == ClosePlace(close.period, close.revision):
            break
        if place.period in origins and place.period != close.period:
            revisions[place.period] = place.revision
    return revisions


def snapshots_of(found: Comparison, revisions: Mapping[Period, int]) -> dict[Period, Snapshot]:
    """The snapshots of those closes that are there and can be read."""
    read = {period: snapshot(found, period, revision) for period, revision in revisions.items()}
    return {period: content for period, content in read.items() if content is not None}


def left_out(found: Comparison) -> Raised:
    """What resumes left out of numbers and of `seq`; nothing where the audit cannot be read."""
    raised = Raised({}, {})
    with found.reading("the audit of db resume"):
        raised = recount_books.raised(found.transaction)
    return raised


def _by_period(done: Sequence[Close]) -> dict[Period, list[Close]]:
    found: dict[Period, list[Close]] = {}
    for close in done:
        found.setdefault(close.period, []).append(close)
    return found


def settled_states(rows: Sequence[PeriodRow]) -> tuple[set[Period], set[Period]]:
    """The periods whose books are complete, and those that were closed and take usage again."""
    closed = {row.period for row in rows if row.state is PeriodState.CLOSED}
    changing = {row.period for row in rows if row.revision > 1} - closed
    return closed, changing

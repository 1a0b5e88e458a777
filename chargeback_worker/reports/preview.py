"""What if: who would bear the usage of some days under today's rules, or under others.

Beside it stands what bears it now, so that the difference shows. Both columns go by the day of the
usage, and nothing is written. Of a closed month that is everything booked for it in whatever
billing period; usage that came after what stands beside is in the first column alone, and is the
difference of the sums.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from chargeback_worker.allocation.engine import Part
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import BillingRange, Period, format_us
from chargeback_worker.reports.basis import months, parts_of
from chargeback_worker.reports.pages import cut
from chargeback_worker.store import Store, Transaction, allocations, bookings, periods, snapshots
from chargeback_worker.store import rules as stored_rules
from chargeback_worker.store.periods import PeriodRow, PeriodState

_Costs = dict[tuple[Pair, str], int]
"""By pair and rule id: what matters to people is the rule, not which version of it."""


class Beside(StrEnum):
    """What a preview is compared with."""

    CLOSED = "closed"
    """All that was booked for a month."""
    RUN = "run"
    """The last allocation run of an open period."""
    SNAPSHOT = "snapshot"
    """A part of a closed month by what its close decided by."""
    RULES = "rules"
    """The stored rules of now."""


class _Piece(NamedTuple):
    """Those days of one month that are asked for, on both sides. `now` is None where nothing
    stands beside `would` but the same rules."""

    days: BillingRange
    would: _Costs
    beside: Beside
    now: _Costs | None
    created_us: int | None = None


@dataclass(slots=True)
class _Sums:
    would: int = 0
    beside: int = 0

    def document(self, compared: bool) -> Document:
        return {
            "would_usd": Amount(self.would),
            "beside_usd": Amount(self.beside) if compared else None,
            "difference_usd": Amount(self.would - self.beside) if compared else None,
        }


@dataclass(slots=True)
class _Row:
    pair: Pair
    sums: _Sums = field(default_factory=_Sums)
    by_rule: dict[str, _Sums] = field(default_factory=dict)

    def document(self, compared: bool) -> Document:
        return {
            "team_id": self.pair.team,
            "user_id": self.pair.user,
            **self.sums.document(compared),
            "by_rule": {
                rule_id: sums.document(compared) for rule_id, sums in sorted(self.by_rule.items())
            },
        }


def preview(
    store: Store,
    days: BillingRange,
    terms: Snapshot,
    *,
    rules: tuple[Rule, ...] | None = None,
    limit: int = 200,
    cursor: str | None = None,
) -> Document:
    """A row for each pair, in their order, on pages; `rules` stand in for all that are stored.

    A closed month is compared with what was booked for it, an open period with its last run, a
    part of a closed month with its own snapshot, and other days with the stored rules, which says
    something only beside `rules`. Where nothing else stands beside, those columns are null.
    Raises UnknownPlace.
    """
    with store.read() as transaction:
        pieces = [_piece(transaction, month, piece, terms, rules) for month, piece in months(days)]
    compared = any(piece.now is not None for piece in pieces)
    found = _rows(pieces)
    page, next_cursor = cut(found, _pair, Pair, limit=limit, cursor=cursor)
    nobody = next((row.sums for row in found if row.pair == UNALLOCATED), _Sums())
    total = _Sums(sum(row.sums.would for row in found), sum(row.sums.beside for row in found))
    return {
        "preview": {
            "period_start": days.start,
            "period_end": days.end,
            "rules": "stored" if rules is None else "given",
            "beside": [_beside(piece) for piece in pieces] if compared else [],
            "total": total.document(compared),
            "unallocated": nobody.document(compared),
            "rows": [row.document(compared) for row in page],
            "next_cursor": next_cursor,
        }
    }


def read_rules(store: Store, document: object) -> tuple[Rule, ...]:
    """Written rules as they would be stored now. Raises RulesRefused with all faults."""
    with store.read() as transaction:
        return stored_rules.read_written(transaction, document)


def _pair(row: _Row) -> Pair:
    return row.pair


def _piece(
    transaction: Transaction,
    month: Period,
    days: BillingRange,
    terms: Snapshot,
    rules: tuple[Rule, ...] | None,
) -> _Piece:
    row = periods.find(transaction, month)
    closed = row is not None and row.state is PeriodState.CLOSED
    instead: Iterable[Rule] | None = rules
    if closed and rules is None:
        # They would keep silent about a closed month, and the question is what if they did not.
        instead = [replace(rule, closed=()) for rule in stored_rules.versions(transaction)]
    would = snapshots.of_now(transaction, days, terms, instead=instead)
    piece = _Piece(days, _by_rule(parts_of(transaction, days, would)), Beside.RULES, None)
    whole = days == month.days()
    if row is not None and whole and _was_closed(row):
        return piece._replace(beside=Beside.CLOSED, now=_booked(transaction, month))
    if closed:
        decided = snapshots.latest(transaction, month)
        assert decided is not None, month
        now = _by_rule(parts_of(transaction, days, decided))
        return piece._replace(beside=Beside.SNAPSHOT, now=now)
    run = allocations.find(transaction, month) if whole else None
    if run is not None:
        now = _by_rule(found.part for found in run.parts)
        return piece._replace(beside=Beside.RUN, now=now, created_us=run.created_us)
    if rules is not None:
        stored = snapshots.of_now(transaction, days, terms)
        return piece._replace(now=_by_rule(parts_of(transaction, days, stored)))
    return piece


def _was_closed(row: PeriodRow) -> bool:
    reopened = PeriodState.REOPENED in (row.state, row.state_before)
    return reopened or row.state is PeriodState.CLOSED


def _booked(transaction: Transaction, month: Period) -> _Costs:
    booked = bookings.of_origin(transaction, month)
    return _summed((key.pair, key.rule_id, was.cost) for key, was in booked.items())


def _by_rule(parts: Iterable[Part]) -> _Costs:
    return _summed((part.key.pair, part.key.rule_id, part.cost) for part in parts)


def _summed(costs: Iterable[tuple[Pair, str, int]]) -> _Costs:
    sums: _Costs = {}
    for pair, rule_id, cost in costs:
        sums[pair, rule_id] = sums.get((pair, rule_id), 0) + cost
    return sums


def _rows(pieces: Iterable[_Piece]) -> list[_Row]:
    rows: dict[Pair, _Row] = {}

    def sums(pair: Pair, rule_id: str) -> tuple[_Sums, _Sums]:
        row = rows.setdefault(pair, _Row(pair))
        return row.sums, row.by_rule.setdefault(rule_id, _Sums())

    for piece in pieces:
        now: Mapping[tuple[Pair, str], int] = piece.would if piece.now is None else piece.now
        for key, cost in piece.would.items():
            for each in sums(*key):
                each.would += cost
        for key, cost in now.items():
            for each in sums(*key):
                each.beside += cost
    for row in rows.values():
        row.by_rule = {rule_id: sums for rule_id, sums in row.by_rule.items() if sums != _Sums()}
    return sorted((row for row in rows.values() if row.by_rule), key=lambda row: row.pair)


def _beside(piece: _Piece) -> Document:
    return {
        "period_start": piece.days.start,
        "period_end": piece.days.end,
        "with": piece.beside,
        "created_at": None if piece.created_us is None else format_us(piece.created_us),
    }

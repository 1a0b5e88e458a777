"""What nobody bears of a month: which usage it is, and which rule nearly claimed it.

Of a closed month what its closes booked, of another what a close would book now. A row is a line
of nobody's invoice: one for each rule version and resource type, adjustments apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.breakdown import contributions
from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.grouping import Grouping, grouping
from chargeback_worker.allocation.near import Near, nearest, no_receiver
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.rule import RESERVED_ID, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.invoicing.settle import Cause, settle
from chargeback_worker.period import Period
from chargeback_worker.reports.explain.behind import Note
from chargeback_worker.reports.explain.invoice import LineUnknown
from chargeback_worker.reports.explain.pages import Asked, read_line
from chargeback_worker.reports.explain.settled import Decided, Settled, decided, settled
from chargeback_worker.reports.explain.steps import Line, rule_document, settlement
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.store import Store, Transaction, bookings, closes, origins, periods
from chargeback_worker.store.history import ClosePlace
from chargeback_worker.store.periods import PeriodRow, PeriodState
from chargeback_worker.usage.total import UsageTotal

_BORNE_NOW = "Since late usage came, somebody bears what nobody bore before."
_NOBODY = "No rule claimed it."


@dataclass(frozen=True, slots=True)
class _Row:
    """`booked` says that a close has booked it; else one would now."""

    place: ClosePlace
    origin: Period
    key: PartKey
    exact: int
    cause: Cause | None
    booked: bool


def explain_unallocated(
    store: Store,
    period: Period,
    terms: Snapshot,
    *,
    line: int | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Document:
    """What nobody bears of a month, all of it or one line in full.

    `terms` are the settings of now, for a month that is not closed; `limit` the rows of a step;
    `cursor` continues. Raises LineUnknown, UnknownPlace or OriginNotClosed.
    """
    with store.read() as transaction:
        month = periods.standing(transaction, period, ZoneInfo(terms.timezone))
        rows = _rows(transaction, month, terms)
        if line is None:
            return _lines(transaction, month, rows, terms, limit=limit, cursor=cursor)
        if not 1 <= line <= len(rows):
            see = f"chargeback explain unallocated --period {period}"
            raise LineUnknown(f"What nobody bears of {period}", line, len(rows), see)
        asked = Asked.read(limit, cursor)
        return _one_line(transaction, month, rows, line, terms=terms, asked=asked)


def _rows(transaction: Transaction, month: PeriodRow, terms: Snapshot) -> list[_Row]:
    """In the order of lines: what was booked, by close, and what would be."""
    rows = [
        _Row(
            ClosePlace(month.period, booking.revision),
            booking.owed.origin,
            booking.owed.key,
            booking.owed.cost,
            booking.owed.cause,
            True,
        )
        for booking in bookings.of_close(transaction, month.period)
        if booking.owed.pair == UNALLOCATED
    ]
    if month.state is not PeriodState.CLOSED:
        rows += _owed(transaction, month, terms)
    return rows


def _owed(transaction: Transaction, month: PeriodRow, terms: Snapshot) -> Iterable[_Row]:
    """What nobody would bear if it was closed now."""
    place = ClosePlace(month.period, month.revision)
    for origin in (month.period, *origins.late_in(transaction, month.period)):
        by = decided(transaction, place, origin, terms)
        kept = grouping(by.snapshot, by.days)
        used = origins.counted(transaction, origin, by.counted, kept)
        before = bookings.of_origin(transaction, origin)
        for owed in settle(used, by.snapshot, before, origin=origin, closing=month.period):
            if owed.pair == UNALLOCATED:
                yield _Row(place, origin, owed.key, owed.cost, owed.cause, False)


def _lines(
    transaction: Transaction,
    month: PeriodRow,
    rows: list[_Row],
    terms: Snapshot,
    *,
    limit: int,
    cursor: str | None,
) -> Document:
    after, limit = read_line(cursor), min(limit, PAGE_MAX)
    page = rows[after : after + limit]
    known: dict[tuple[ClosePlace, Period], Settled] = {}
    documents = []
    for line, row in enumerate(page, start=after + 1):
        where = (row.place, row.origin)
        if where not in known:
            by = decided(transaction, row.place, row.origin, terms)
            known[where] = settled(transaction, by, silent_too=True)
        again = known[where]
        rule = rule_document(again.decided, row.key)
        why = _why(again, row, limit)
        documents.append(_line(line, row) | {"in_words": rule["in_words"], "why": why})
    rest = [*rows[:after], *rows[after + limit :]]
    return {
        "explanation": {
            "unallocated": _facts(transaction, month, rows),
            "lines": documents,
            "not_shown": {"lines": len(rest), "exact_usd": Amount(sum(row.exact for row in rest))},
        },
        "next_cursor": str(after + limit) if after + limit < len(rows) else None,
    }


def _one_line(
    transaction: Transaction,
    month: PeriodRow,
    rows: list[_Row],
    line: int,
    *,
    terms: Snapshot,
    asked: Asked,
) -> Document:
    row = rows[line - 1]
    by = decided(transaction, row.place, row.origin, terms)

    def noting(rule: Rule) -> Note | None:
        return _note(by) if rule.rule_id == RESERVED_ID else None

    steps, next_cursor = settlement(transaction, by, Line(row.key, row.exact), asked, noting)
    rule = by.rule(row.key.rule_id, row.key.version)
    return {
        "explanation": {
            "unallocated": _facts(transaction, month, rows),
            "line": _line(line, row) | {"why": {"sentence": _sentence(rule, steps["pools"])}},
            "rule": rule_document(by, row.key),
            "settlement": steps,
        },
        "next_cursor": next_cursor,
    }


def _facts(transaction: Transaction, month: PeriodRow, rows: list[_Row]) -> Document:
    """`total_usd` are the whole cents that no invoice has, once the month is closed."""
    cents = [c.unallocated for c in closes.listed(transaction) if c.period == month.period]
    is_closed = month.state is PeriodState.CLOSED
    return {
        "period": str(month.period),
        "state": month.state,
        "revision": month.revision,
        "lines": len(rows),
        "exact_usd": Amount(sum(row.exact for row in rows)),
        "total_usd": Amount(sum(cents)) if is_closed else None,
    }


def _line(line: int, row: _Row) -> Document:
    return {
        "line": line,
        "revision": row.place.revision,
        "booked": row.booked,
        "origin_period": str(row.origin),
        "cause": row.cause,
        "resource_type": row.key.resource_type,
        "rule": row.key.cited,
        "exact_usd": Amount(row.exact),
    }


def _why(again: Settled, row: _Row, limit: int) -> Document:
    """Why nobody bears it; where no rule claimed it, by which rules that nearly did."""
    rule = again.decided.rule(row.key.rule_id, row.key.version)
    found = contributions(again.made, row.key)
    groups = [group for one in found for group in one.groups]
    document: Document = {"sentence": _sentence(rule, found)}
    if rule is None or rule.rule_id != RESERVED_ID:
        return document
    by_rule: dict[tuple[str, str], tuple[Near, int, int]] = {}
    for group in groups:
        near = _nearest(again.decided, group, again.kept)
        if near is not None:
            name = (near.rule.cited, near.sentence)
            _, cost, records = by_rule.get(name, (near, 0, 0))
            by_rule[name] = (near, cost + group.cost, records + group.records)
    nearly = sorted(by_rule.items(), key=lambda item: (-abs(item[1][1]), item[0]))
    document["nearly"] = [
        _near(near) | {"cost_usd": Amount(cost), "record_count": records}
        for _, (near, cost, records) in nearly[:limit]
    ]
    document["nearly_not_shown"] = max(len(nearly) - limit, 0)
    return document


def _sentence(rule: Rule | None, found: Iterable[object]) -> str:
    if not any(True for _ in found):
        return _BORNE_NOW
    if rule is None or rule.rule_id == RESERVED_ID:
        return _NOBODY
    return f"{no_receiver(rule)}."


def _note(by: Decided) -> Note:
    def near(owner: Pair, total: UsageTotal) -> Document | None:
        found = nearest(owner, total, by.snapshot)
        return None if found is None else _near(found)

    return near


def _nearest(by: Decided, group: UsageTotal, kept: Grouping) -> Near | None:
    owner = by.snapshot.directory.owner(group.team, group.user, group.day)
    return nearest(owner, group, by.snapshot, kept)


def _near(found: Near) -> Document:
    return {
        "rule": found.rule.cited,
        "failing": list(found.failing),
        "sentence": f"{found.sentence}.",
    }

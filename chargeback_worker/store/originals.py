"""Where what a later close changes was billed: the invoices of earlier months that carry it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.invoicing.build import Billed, Originals
from chargeback_worker.invoicing.invoice import number_order
from chargeback_worker.invoicing.settle import Owed
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.rows import KEYS_AT_ONCE, chunks
from chargeback_worker.store.tables import invoice as table
from chargeback_worker.store.tables import invoice_line as line_table

Place = tuple[Period, Pair]

_PLACE = (table.c.period, table.c.number, table.c.revision, table.c.ordinal)
_OWN = line_table.c.origin_period == table.c.period


def originals(
    transaction: Transaction, revisions: Mapping[Period, int], owed: Iterable[Owed]
) -> Originals:
    """What those months billed, by closes up to those revisions, for the pairs that owe something
    of them, and to whoever may be billed for such a pair.

    The number is of the one that was issued first: what a cancelled draft billed may get its
    number years later. The rate is of what a close billed first, issued or not, so that it is the
    same whenever it is asked for.
    """
    # Side by side, so that few invoices carry some of two chunks of them.
    late = {row.pair for row in owed if row.origin in revisions}
    pairs = sorted(late, key=lambda pair: pair.sort_key)
    if not pairs:
        return Originals()
    closes = sa.or_(
        *(
            (table.c.period == period.number) & (table.c.revision <= revision)
            for period, revision in revisions.items()
        )
    )
    return Originals(
        _first(_carrying(transaction, closes, pairs)), _first(_to(transaction, closes, pairs))
    )


def _carrying(
    transaction: Transaction, closes: sa.ColumnElement[bool], pairs: Sequence[Pair]
) -> Iterator[tuple[Place, sa.Row[Any]]]:
    """Each of those pairs on each invoice with lines of its own month for it."""
    among = transaction.dialect.among
    team, user = line_table.c.team_id, line_table.c.user_id
    statement = _billed(closes, team, user).where(_OWN)
    for chunk in chunks(pairs, KEYS_AT_ONCE):
        # An invoice may carry many others, of whom nothing is asked.
        near = (
            among(table.c.receiver, _receivers(chunk)),
            among(sa.func.coalesce(team, ""), {pair.team or "" for pair in chunk}),
            among(sa.func.coalesce(user, ""), {pair.user or "" for pair in chunk}),
        )
        wanted = set(chunk)
        for row in transaction.execute(statement.where(*near)):
            pair = Pair(row.team_id, row.user_id)
            if pair in wanted:
                yield (Period.from_number(row.period), pair), row


def _to(
    transaction: Transaction, closes: sa.ColumnElement[bool], pairs: Sequence[Pair]
) -> Iterator[tuple[Place, sa.Row[Any]]]:
    """Each invoice to whoever may be billed for one of those pairs."""
    statement = _billed(closes, table.c.team_id, table.c.user_id)
    for chunk in chunks(sorted(_receivers(pairs)), KEYS_AT_ONCE):
        near = transaction.dialect.among(table.c.receiver, chunk)
        for row in transaction.execute(statement.where(near)):
            yield (Period.from_number(row.period), Pair(row.team_id, row.user_id)), row


def _billed(closes: sa.ColumnElement[bool], *who: sa.Column[Any]) -> sa.Select[Any]:
    """A row for each of `who` on each invoice, with the rate of its own month: what the month
    itself adjusted was taxed as still earlier months were."""
    own = sa.func.max(sa.case((_OWN, 1), else_=0)).label("own")
    rate = sa.func.min(sa.case((_OWN, line_table.c.tax_rate))).label("rate")
    return (
        sa.select(*_PLACE, *who, own, rate)
        .join_from(table, line_table, line_table.c.invoice_id == table.c.invoice_id)
        .where(closes, table.c.final == 1)
        .group_by(*_PLACE, *who)
    )


def _receivers(pairs: Iterable[Pair]) -> set[str]:
    """Whoever any snapshot may bill for one of them."""
    return {
        receiver.key
        for pair in pairs
        for receiver in (pair, *(pair.billed(bill_to) for bill_to in BillTo))
    }


def _first(found: Iterable[tuple[Place, sa.Row[Any]]]) -> dict[Place, Billed]:
    rows: dict[Place, list[sa.Row[Any]]] = {}
    for place, row in found:
        rows.setdefault(place, []).append(row)
    first: dict[Place, Billed] = {}
    for place, of_place in rows.items():
        numbers = [row.number for row in of_place if row.number is not None]
        own = (row for row in of_place if row.own)
        earliest = min(own, key=lambda row: (row.revision, row.ordinal), default=None)
        first[place] = Billed(
            min(numbers, key=number_order, default=None),
            None if earliest is None else earliest.rate,
        )
    return first

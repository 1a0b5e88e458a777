"""Where what a later close changes was billed: the invoices of earlier months that carry it."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.invoicing.build import Billed, Originals
from chargeback_worker.invoicing.invoice import number_order
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction
from chargeback_worker.store.rows import KEYS_AT_ONCE, chunks
from chargeback_worker.store.tables import invoice as table
from chargeback_worker.store.tables import invoice_line as line_table

Place = tuple[Period, Pair]


def originals(
    transaction: Transaction, revisions: Mapping[Period, int], pairs: Collection[Pair]
) -> Originals:
    """What was billed of those pairs, and to whoever may be billed for them, in those months by
    closes up to those revisions.

    The number is of the one that was issued first: what a cancelled draft billed may get its
    number years later. The rate is of what a close billed first, issued or not, so that it is the
    same whenever it is asked for.
    """
    carrying: dict[Place, list[sa.Row[Any]]] = {}
    to: dict[Place, list[sa.Row[Any]]] = {}
    for row in _rows(transaction, revisions, pairs):
        period = Period.from_number(row.period)
        to.setdefault((period, Pair(row.to_team, row.to_user)), []).append(row)
        if row.own:
            carrying.setdefault((period, Pair(row.team_id, row.user_id)), []).append(row)
    return Originals(_first(carrying), _first(to))


def _rows(
    transaction: Transaction, revisions: Mapping[Period, int], pairs: Collection[Pair]
) -> Iterator[sa.Row[Any]]:
    """A row for each pair on each invoice to whoever may be billed for one of those pairs."""
    if not revisions:
        return
    up_to = sa.or_(
        *(
            (table.c.period == period.number) & (table.c.revision <= revision)
            for period, revision in revisions.items()
        )
    )
    own = (line_table.c.origin_period == table.c.period).label("own")
    of_line = (line_table.c.team_id, line_table.c.user_id, own)
    receiver = (table.c.team_id.label("to_team"), table.c.user_id.label("to_user"))
    place = (table.c.period, table.c.number, table.c.revision, table.c.ordinal)
    statement = (
        sa.select(*place, *receiver, *of_line, sa.func.min(line_table.c.tax_rate).label("rate"))
        .join_from(table, line_table, line_table.c.invoice_id == table.c.invoice_id)
        .where(up_to, table.c.final == 1)
        .group_by(*place, *receiver, *of_line)
    )
    receivers = {receiver.key for pair in pairs for receiver in _billed_for(pair)}
    for chunk in chunks(sorted(receivers), KEYS_AT_ONCE):
        among = transaction.dialect.among(table.c.receiver, chunk)
        yield from transaction.execute(statement.where(among))


def _billed_for(pair: Pair) -> Iterator[Pair]:
    """Whoever any snapshot may bill for a pair."""
    yield pair
    yield from (pair.billed(bill_to) for bill_to in BillTo)


def _first(found: Mapping[Place, list[sa.Row[Any]]]) -> dict[Place, Billed]:
    first: dict[Place, Billed] = {}
    for place, rows in found.items():
        numbers = [row.number for row in rows if row.number is not None]
        # What the month itself adjusted was taxed as still earlier months were.
        own = sorted((row for row in rows if row.own), key=lambda row: (row.revision, row.ordinal))
        rate = own[0].rate if own else None
        first[place] = Billed(min(numbers, key=number_order, default=None), rate)
    return first

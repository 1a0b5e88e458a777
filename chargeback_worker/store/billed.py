"""What of a team's invoices is a user's: the lines of allocations to that user in the team."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.period import Period
from chargeback_worker.store.tables import invoice as table
from chargeback_worker.store.tables import invoice_line as line_table


def to_teams_for(user: str, periods: Iterable[Period]) -> list[sa.ColumnElement[bool]]:
    """What `invoices.listed` is to be asked for: those to teams that have a line of the user."""
    return [*in_periods(periods), table.c.user_id.is_(None), bears(Pair(user=user))]


def bears(share: Pair) -> sa.ColumnElement[bool]:
    """Invoices with a line of a user, or of a user in a team."""
    lines: sa.Select[Any] = sa.select(line_table.c.line).where(
        line_table.c.invoice_id == table.c.invoice_id, line_table.c.user_id == share.user
    )
    if share.team is not None:
        lines = lines.where(line_table.c.team_id == share.team)
    return lines.exists()


def in_periods(periods: Iterable[Period]) -> list[sa.ColumnElement[bool]]:
    """Invoices of those months."""
    return [table.c.period.in_([period.number for period in periods])]

"""What money is booked by, as columns: of bookings, of allocation runs and of invoice lines."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair


def key_columns(key: PartKey) -> dict[str, str | int | None]:
    return {
        "resource_type": key.resource_type,
        "rule_id": key.rule_id,
        "rule_version": key.version,
        "team_id": key.pair.team,
        "user_id": key.pair.user,
    }


def read_key(row: sa.Row[Any]) -> PartKey:
    pair = Pair(row.team_id, row.user_id)
    return PartKey(row.rule_id, row.rule_version, pair, row.resource_type)


def of_key(table: sa.FromClause, key: PartKey) -> list[sa.ColumnElement[bool]]:
    """The condition of a key; what is missing in it is missing in the row."""
    return [table.c[name].is_not_distinct_from(value) for name, value in key_columns(key).items()]


def borne_by(table: sa.FromClause, bearers: Iterable[Pair]) -> list[sa.ColumnElement[bool]]:
    """The condition of those that a team or user bears, of each of which one side is given;
    nothing where nobody is."""
    ones = [
        table.c.team_id == one.team if one.user is None else table.c.user_id == one.user
        for one in bearers
    ]
    return [sa.or_(*ones)] if ones else []


def share_column(share: Fraction | None) -> dict[str, str | None]:
    """A share as numerator/denominator."""
    return {"share": None if share is None else str(share)}


def read_share(row: sa.Row[Any]) -> Fraction | None:
    return None if row.share is None else Fraction(row.share)

"""Exact sums of 64-bit columns: each is summed in two halves and put together here.

A sum of nano-dollars passes 64 bits; PostgreSQL would go on in decimals, SQLite would fail.
"""

from typing import Any

import sqlalchemy as sa

from chargeback_worker.money import EXA, NANO

Summed = sa.ColumnElement[Any]


def of_column(name: str, column: Summed) -> tuple[Summed, Summed]:
    """What to select for the sum of a column; `read_column` reads it."""
    # Both databases divide toward zero, and the rest has the sign of the whole.
    return (
        sa.func.sum(column // NANO).label(f"{name}_high"),
        sa.func.sum(column % NANO).label(f"{name}_low"),
    )


def read_column(row: sa.Row[Any], name: str) -> int:
    """The sum of a column; 0 of no rows."""
    high, low = getattr(row, f"{name}_high"), getattr(row, f"{name}_low")
    return int(high or 0) * NANO + int(low or 0)


def of_small(name: str, column: Summed) -> Summed:
    """What to select for a sum that fits 64 bits whatever was used; the database refuses if not.

    It costs the database less than two halves, and PostgreSQL makes no decimal of it.
    """
    return sa.cast(sa.func.sum(column), sa.BigInteger).label(name)


def of_amount(table: sa.FromClause, name: str) -> tuple[Summed, Summed, Summed]:
    """What to select for the sum of an amount (`x_whole`, `x_nano`); `read_amount` reads it."""
    return (
        *of_column(f"{name}_whole", table.c[f"{name}_whole"]),
        sa.func.sum(table.c[f"{name}_nano"]).label(f"{name}_nano"),
    )


def of_wide(table: sa.FromClause, name: str) -> tuple[Summed, ...]:
    """What to select for the sum of a wide amount (`x_exa` besides); `read_wide` reads it."""
    return (*of_column(f"{name}_exa", table.c[f"{name}_exa"]), *of_amount(table, name))


def read_wide(row: sa.Row[Any], name: str) -> int:
    """The sum of a wide amount in nano-units; 0 of no rows."""
    return read_column(row, f"{name}_exa") * EXA * NANO + read_amount(row, name)


def read_amount(row: sa.Row[Any], name: str) -> int:
    """The sum of an amount in nano-units; 0 of no rows."""
    return read_column(row, f"{name}_whole") * NANO + int(getattr(row, f"{name}_nano") or 0)

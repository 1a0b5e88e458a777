"""Many rows at once, and amounts as the two columns they are stored in."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import sqlalchemy as sa

from chargeback_worker.money import EXA, NANO, exa_whole_and_nano, whole_and_nano
from chargeback_worker.store import Transaction

# So few that the connection takes them without waiting: the server writes while we make the next.
ROWS_AT_ONCE = 200
KEYS_AT_ONCE = 5_000

T = TypeVar("T")


def insert_many(transaction: Transaction, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows, all with the same columns; the memory it takes does not grow with them.

    `rows` are taken while the statement runs, so they must not ask the database for anything.
    """
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return
    columns = [table.c[name] for name in first]
    values = _values(list(first), chain([first], iterator))
    transaction.dialect.insert_rows(transaction.connection, columns, chunks(values, ROWS_AT_ONCE))


def _values(names: list[str], rows: Iterable[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        assert list(row) == names, (names, row)
        yield tuple(row.values())


def chunks(values: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    iterator = iter(values)
    while chunk := list(islice(iterator, size)):
        yield chunk


def amount_columns(name: str, amount: int) -> dict[str, int]:
    """An amount as its two columns."""
    whole, nano = whole_and_nano(amount)
    return {f"{name}_whole": whole, f"{name}_nano": nano}


def wide_columns(name: str, amount: int | None) -> dict[str, int | None]:
    """An amount as its three columns; all NULL for none."""
    parts = (None, None, None) if amount is None else exa_whole_and_nano(amount)
    return dict(zip((f"{name}_exa", f"{name}_whole", f"{name}_nano"), parts, strict=True))


def read_wide(row: sa.Row[Any], name: str) -> int:
    """An amount out of its three columns."""
    return int(getattr(row, f"{name}_exa")) * EXA * NANO + read_amount(row, name)


def read_amount(row: sa.Row[Any], name: str) -> int:
    """An amount out of its two columns."""
    return int(getattr(row, f"{name}_whole")) * NANO + int(getattr(row, f"{name}_nano"))


def read_optional_wide(row: sa.Row[Any], name: str) -> int | None:
    return None if getattr(row, f"{name}_whole") is None else read_wide(row, name)

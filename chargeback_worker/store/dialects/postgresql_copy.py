"""Rows in the text format of COPY.

Many rows are written column by column: what hardly any text needs is looked for in all of them at
once, and then most fields are what they are.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

_NULL = "\\N"
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\\t\n\r]")


def escaped(field: int | str | None) -> str:
    """One field of COPY's text format."""
    if field is None:
        return _NULL
    if isinstance(field, int):
        return str(field)
    if field.isprintable() and "\\" not in field:
        return field
    return _SPECIAL.sub(_escape, field)


def lines(columns: Sequence[sa.Column[Any]], rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """Rows, as lines; the columns say what their values are."""
    written = [
        _writer(column)(values)
        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    return (line + "\n" for line in map("\t".join, zip(*written, strict=True)))


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES[found[0]]


def _writer(column: sa.Column[Any]) -> Callable[[Sequence[Any]], Iterable[str]]:
    if isinstance(column.type, sa.Text):
        return _texts
    if isinstance(column.type, sa.Integer):
        return _numbers
    assert isinstance(column.type, sa.LargeBinary), column
    return _bytes


def _texts(values: Sequence[str | None]) -> Iterable[str]:
    if _SPECIAL.search("".join(filter(None, values))) is not None:
        return map(escaped, values)
    return [_NULL if value is None else value for value in values]


def _numbers(values: Sequence[int | None]) -> Iterable[str]:
    return [_NULL if value is None else str(value) for value in values]


def _bytes(values: Sequence[bytes | None]) -> Iterable[str]:
    return [_NULL if value is None else "\\\\x" + value.hex() for value in values]

"""Pages of lists that are made anew for each page: a cursor is the key that the last ended with.

So a list may change between two pages, and no row that stays is shown twice or left out.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from chargeback_worker.errors import Invalid

PAGE_MAX = 1_000
"""Rows of a page of any list; who asks for more gets so many."""
DIGEST_BYTES = 16


class UnknownPlace(Invalid):
    """A cursor that no page has given; `of` is what the pages list, where that needs saying."""

    def __init__(self, cursor: str, of: str = "") -> None:
        page = f"page of {of}" if of else "page"
        super().__init__(
            f"No {page} goes on at {cursor!r}.",
            "Take the next_cursor of the page before, or leave the cursor out.",
        )


class Key(Protocol):
    """A value that msgspec can write and read."""

    @property
    def sort_key(self) -> Any: ...


K = TypeVar("K", bound=Key)
T = TypeVar("T")


def cut(
    rows: Sequence[T], key: Callable[[T], K], kind: type[K], *, limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """The rows of one page, and what continues the list. `rows` are in the order of their keys.

    Raises UnknownPlace.
    """
    limit = min(limit, PAGE_MAX)
    if cursor is not None:
        after = read(cursor, kind).sort_key
        rows = [row for row in rows if key(row).sort_key > after]
    page = list(rows[:limit])
    return page, written(key(page[-1])) if len(rows) > limit else None


def number_of(text: str) -> int:
    """A number in a cursor. Raises ValueError."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError(text)
    return int(text)


def digest_of(text: str) -> bytes:
    """A digest in a cursor. Raises ValueError."""
    digest = binascii.unhexlify(text)
    if len(digest) != DIGEST_BYTES:
        raise ValueError(text)
    return digest


def written(key: object) -> str:
    """A key as a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read(cursor: str, kind: type[T], of: str = "") -> T:
    """The key that a cursor was written of. Raises UnknownPlace."""
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(content, type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise UnknownPlace(cursor, of) from None

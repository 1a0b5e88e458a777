"""How sentences name many: the first few of them, and how many more there are."""

from collections.abc import Iterable

NAMED_MAX = 8


def first_few(names: Iterable[str]) -> list[str]:
    """The names, of more than `NAMED_MAX` the first ones and `3 more`."""
    told = list(names)
    if len(told) <= NAMED_MAX:
        return told
    return [*told[:NAMED_MAX], f"{len(told) - NAMED_MAX:,} more"]

"""Ids that take as much room as any may: of four bytes a character, and nothing to compress."""

import random

from chargeback_worker.usage.fields import TEXT_MAX

_FIRST, _LAST = 0x20000, 0x2A6DF
"""Of the CJK ideographs outside the basic plane."""


def longest_ids(count: int, seed: int = 1) -> list[str]:
    """Different ones; the same for a seed."""
    drawn = random.Random(seed)
    return [
        "".join(chr(drawn.randint(_FIRST, _LAST)) for _ in range(TEXT_MAX)) for _ in range(count)
    ]

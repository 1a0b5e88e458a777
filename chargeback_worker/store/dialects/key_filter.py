"""A Bloom filter over identities: it may say "perhaps" of one that it never saw, never "no" of one
that it did.

Identities are digests already, so their own bits say where theirs are.
"""

import struct
from collections.abc import Sequence

_BYTES = 1 << 26
_MASK = _BYTES - 1
"""64 MiB: of strangers 4 in 10,000 are "perhaps" with 20 million identities, 5 in 1,000 with 40
million, 7 % with 100 million."""


class KeyFilter:
    """`covered` names the sets that were put in whole; of others nothing is known."""

    def __init__(self) -> None:
        # Not before there is something to put in: most books have nothing sealed.
        self._bits: bytearray | None = None
        self.covered: frozenset[str] = frozenset()

    def add(self, identities: bytes) -> None:
        """Put in some identities of 16 bytes, one behind the other."""
        if self._bits is None:
            self._bits = bytearray(_BYTES)
        bits = self._bits
        for word in _words(identities):
            bits[word >> 38] |= 1 << (word >> 35 & 7)
            bits[word >> 3 & _MASK] |= 1 << (word & 7)

    def cover(self, name: str) -> None:
        """All of that set has been put in."""
        self.covered |= {name}

    def perhaps(self, identities: Sequence[bytes]) -> list[bytes]:
        """Those that may be in a covered set, in their order; all others are in none."""
        bits, words = self._bits, iter(_words(b"".join(identities)))
        if bits is None:
            return []
        return [
            identity
            for identity, one, two in zip(identities, words, words, strict=True)
            if bits[one >> 38] >> (one >> 35 & 7) & 1
            and bits[one >> 3 & _MASK] >> (one & 7) & 1
            and bits[two >> 38] >> (two >> 35 & 7) & 1
            and bits[two >> 3 & _MASK] >> (two & 7) & 1
        ]


def _words(identities: bytes) -> tuple[int, ...]:
    """Two of 64 bits from each; a word has two places."""
    return struct.unpack(f">{len(identities) // 8}Q", identities)

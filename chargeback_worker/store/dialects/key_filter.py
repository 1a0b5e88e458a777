"""A Bloom filter over identities: it may say "perhaps" of one that it never saw, never "no" of one
that it did.

Identities are digests already, so their own bits say where theirs are.
"""

import struct
from collections.abc import Sequence

_PLACES_BITS = 25
_BYTES = 1 << _PLACES_BITS
_MASK = _BYTES - 1
"""32 MiB: with 20 million identities 2 % of strangers are "perhaps", with 100 million a quarter."""


class KeyFilter:
    """`covered` names the sets that were put in whole; of others nothing is known."""

    def __init__(self) -> None:
        self._bits = bytearray(_BYTES)
        self.covered: frozenset[str] = frozenset()

    def add(self, identities: bytes) -> None:
        """Put in some identities of 16 bytes, one behind the other."""
        bits = self._bits
        for word in _words(identities):
            bits[word >> 39] |= 1 << (word >> 36 & 7)
            bits[word >> 7 & _MASK] |= 1 << (word & 7)

    def cover(self, name: str) -> None:
        """All of that set has been put in."""
        self.covered |= {name}

    def perhaps(self, identities: Sequence[bytes]) -> list[bytes]:
        """Those that may be in a covered set, in their order; all others are in none."""
        bits = self._bits
        return [
            identity
            for identity, word in zip(identities, _words(b"".join(identities)), strict=True)
            if bits[word >> 39] >> (word >> 36 & 7) & 1
            and bits[word >> 7 & _MASK] >> (word & 7) & 1
        ]


def _words(identities: bytes) -> tuple[int, ...]:
    """The first 64 bits of each."""
    return struct.unpack(f">{len(identities) // 8}Q", identities)[::2]

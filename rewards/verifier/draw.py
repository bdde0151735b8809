"""Draw numbers from a secret: SHA-256 in counter mode, the same for everybody who knows the secret."""

from __future__ import annotations

import hashlib


class Draw:
    """A stream of draws from one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0

    def block(self) -> bytes:
        """Return the next 32 bytes."""
        self._counter += 1
        return hashlib.sha256(self._key + self._counter.to_bytes(8)).digest()

    def below(self, bound: int) -> int:
        """Return a number from 0 to `bound` - 1, all equally likely: what would favour the small ones is drawn anew."""
        limit = (1 << 64) - (1 << 64) % bound
        while (drawn := int.from_bytes(self.block()[:8])) >= limit:
            pass
        return drawn % bound

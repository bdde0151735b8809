"""Slow down whoever keeps being refused at the door: a bucket of refused sign-ins for each address.

Only refusals count. What is worth guessing here, a signature, cannot be guessed; the bound keeps a stranger from
spending our time on checking thousands of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from marketplace.errors import BondedError

MOST_REFUSED = 60
REFILL_S = 1.0
"""One more refusal is forgiven after each of these."""
_MOST_KNOWN = 10_000


class TooManyRefused(BondedError):
    """Too many sign-ins from this address were refused: wait a minute, then try again."""


class Knocks:
    """Refused sign-ins by address. Behind a proxy the address is the proxy's, and the bound is everybody's together."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._refused: dict[str, tuple[float, float]] = {}

    def check(self, address: str) -> None:
        """Raise TooManyRefused while an address has been refused too often."""
        if self._level(address) > MOST_REFUSED - 1:
            raise TooManyRefused(TooManyRefused.__doc__)

    def refused(self, address: str) -> None:
        """Count a refusal."""
        level = self._level(address) + 1
        if len(self._refused) >= _MOST_KNOWN:
            self._refused = {known: seen for known, seen in self._refused.items() if self._level(known) > 0}
            if len(self._refused) >= _MOST_KNOWN:
                self._refused.clear()
        self._refused[address] = (level, self._now())

    def _level(self, address: str) -> float:
        level, at = self._refused.get(address, (0.0, 0.0))
        return max(0.0, level - (self._now() - at) / REFILL_S)

"""Hold each API key to its requests and tokens a minute, and tell clients in OpenAI's headers how much is left.

A bucket holds what a minute allows, begins full and fills evenly: after a pause a key may ask for a minute's worth at
once, and never for more than two minutes' worth in any one minute. A request takes one request when it is admitted,
served or not, and the tokens that it may come to (expected prompt, and what it ordered as the longest answer) before a
provider is asked; what it did not use flows back when it is billed. A customer who leaves gets nothing back.

Buckets are in memory: a gateway that starts anew begins with full ones.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from marketplace.accounts import Account
from marketplace.gateway.errors import ApiError, too_busy
from marketplace.rates import Rates

_MINUTE_S = 60.0
Pairs = list[tuple[bytes, bytes]]


class Bucket:
    """What is left of a limit a minute. Times are the caller's monotonic clock, in seconds."""

    __slots__ = ("_at", "_level", "most")

    def __init__(self, most: int, now: float) -> None:
        self.most = most
        self._level = float(most)
        self._at = now

    def level(self, now: float) -> float:
        """Return what is there at this moment."""
        self._level = min(float(self.most), self._level + (now - self._at) * self.most / _MINUTE_S)
        self._at = now
        return self._level

    def wait_s(self, amount: int, now: float) -> float:
        """Return how long to wait until so much is there; 0 if it is."""
        return max(0.0, (amount - self.level(now)) * _MINUTE_S / self.most)

    def move(self, amount: int, now: float) -> None:
        """Add an amount, or take it away if it is negative."""
        self._level = min(float(self.most), self.level(now) + amount)

    def headers(self, kind: bytes, now: float) -> Pairs:
        """Return OpenAI's three headers for this kind of limit."""
        level = self.level(now)
        full_s = (self.most - level) * _MINUTE_S / self.most
        return [
            (b"x-ratelimit-limit-" + kind, b"%d" % self.most),
            (b"x-ratelimit-remaining-" + kind, b"%d" % max(0, int(level))),
            (b"x-ratelimit-reset-" + kind, _duration(full_s)),
        ]


class Meter:
    """The buckets of one key; None where it is not limited."""

    __slots__ = ("_clock", "_requests", "_tokens", "rates")

    def __init__(self, rates: Rates, clock: Callable[[], float]) -> None:
        now = clock()
        self.rates = rates
        self._clock = clock
        self._requests = Bucket(rates.requests, now) if rates.requests else None
        self._tokens = Bucket(rates.tokens, now) if rates.tokens else None

    def ask(self, requests: int = 1) -> None:
        """Take so many requests; raises ApiError 429 that says when to ask again."""
        self._take(self._requests, requests, "requests")

    def order(self, tokens: int) -> int:
        """Take the tokens that a request may come to, and return them for `settle`; raises ApiError 429."""
        self._take(self._tokens, tokens, "tokens")
        return tokens

    def settle(self, ordered: int, used: int) -> None:
        """Give back what was ordered and not used; what was used beyond is taken."""
        if self._tokens is not None:
            self._tokens.move(ordered - used, self._clock())

    def headers(self) -> Pairs:
        """Return the headers that tell a client how much is left."""
        now = self._clock()
        pairs: Pairs = []
        if self._requests is not None:
            pairs += self._requests.headers(b"requests", now)
        if self._tokens is not None:
            pairs += self._tokens.headers(b"tokens", now)
        return pairs

    def _take(self, bucket: Bucket | None, amount: int, what: str) -> None:
        if bucket is None:
            return
        now = self._clock()
        if amount > bucket.most:
            raise ApiError(
                429,
                "rate_limit_exceeded",
                f"This may come to {amount} {what}, and its key allows {bucket.most} a minute: ask for less, lower "
                "max_tokens, or make a key with a higher limit.",
            )
        wait_s = bucket.wait_s(amount, now)
        if wait_s:
            raise too_busy(
                f"This key's limit of {bucket.most} {what} a minute is reached; ask again later.", ceil(wait_s * 1000)
            )
        bucket.move(-amount, now)


class Meters:
    """The meters of all keys that have limits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._meters: dict[int, Meter] = {}

    def of(self, account: Account) -> Meter | None:
        """Return the meter of a key, None for a key without limits."""
        if not account.rates:
            return None
        meter = self._meters.get(account.key_id)
        if meter is None or meter.rates != account.rates:
            meter = self._meters[account.key_id] = Meter(account.rates, self._clock)
        return meter


def _duration(seconds: float) -> bytes:
    """Write a duration as OpenAI does: 17ms, 1.5s, 1m0s."""
    ms = ceil(seconds * 1000)
    if ms < 1000:
        return b"%dms" % ms
    if ms < 60_000:
        return f"{ms / 1000:g}s".encode()
    return f"{ms // 60_000}m{ms % 60_000 / 1000:g}s".encode()

"""Stop sending to a lane that fails, and test it before customers meet it again.

Closed → open on three attributable failures in a row, or when more than half of at least five attempts failed within a
minute. Open for five seconds, doubling with each failed test up to a minute. Then half-open: filler may test it, one
attempt at a time, and after a grace anybody may, because a market without filler must not lose a provider for ever. A
served test closes the breaker. While it is open its deadline only moves later: an earlier one, from a straggler that
failed after a longer sentence was given, is ignored. The breaker informs the verifier; it never slashes.
"""

from __future__ import annotations

from collections import deque

from scheduler.gates import OPEN, TRIAL

IN_A_ROW = 3
WINDOW_MS = 60_000.0
WINDOW_LEAST = 5
BUCKET_MS = 5_000.0
FIRST_OPEN_MS = 5_000.0
LONGEST_OPEN_MS = 60_000.0
FILLER_GRACE_MS = 10_000.0
TEST_LEASE_MS = 120_000.0
"""A test not reported back within this time is given up, so that a lost reservation cannot bar a lane for ever."""


class Breaker:
    """The state of one lane. Callers pass the time; only attributable outcomes are passed on."""

    __slots__ = ("_buckets", "_open_ms", "_row", "_test_until_ms", "deadline_ms", "is_open", "opened")

    def __init__(self) -> None:
        self.is_open = False
        self.deadline_ms = 0.0
        self.opened = 0
        self._row = 0
        self._open_ms = FIRST_OPEN_MS
        self._test_until_ms = 0.0
        self._buckets: deque[list[float]] = deque()

    def gate(self, now_ms: float) -> int:
        """Return the gate bits of this moment: none, OPEN, or TRIAL for filler only."""
        if not self.is_open:
            return 0
        if now_ms < self.deadline_ms or now_ms < self._test_until_ms:
            return OPEN
        return TRIAL if now_ms < self.deadline_ms + FILLER_GRACE_MS else 0

    def wake_ms(self, now_ms: float) -> float | None:
        """Return when the gate changes by time alone, None if it does not."""
        if not self.is_open:
            return None
        turns = (self.deadline_ms, self._test_until_ms, self.deadline_ms + FILLER_GRACE_MS)
        return min((turn for turn in turns if turn > now_ms), default=None)

    def begin(self, now_ms: float) -> bool:
        """Note that an attempt starts; return whether it is the test of a half-open breaker."""
        if not self.is_open or now_ms < self.deadline_ms or now_ms < self._test_until_ms:
            return False
        self._test_until_ms = now_ms + TEST_LEASE_MS
        return True

    def abandon(self, test: bool) -> None:
        """Note an attempt that says nothing about the provider, such as a customer who left."""
        if test:
            self._test_until_ms = 0.0

    def success(self, now_ms: float, test: bool = False) -> None:
        """Note a served attempt. While open only the test's own success closes, not a straggler's from before."""
        if self.is_open:
            if test:
                self.is_open = False
                self._test_until_ms = 0.0
                self._row = 0
                self._buckets.clear()
            return
        self._row = 0
        self._count(now_ms, failed=False)
        if now_ms >= self.deadline_ms + WINDOW_MS:
            self._open_ms = FIRST_OPEN_MS

    def failure(self, now_ms: float, test: bool = False) -> None:
        """Note a failure that is the provider's."""
        if self.is_open:
            if test:
                self._test_until_ms = 0.0
                self._open_ms = min(2 * self._open_ms, LONGEST_OPEN_MS)
            self._extend(now_ms)
            return
        self._row += 1
        self._count(now_ms, failed=True)
        attempts = sum(bucket[1] for bucket in self._buckets)
        failures = sum(bucket[2] for bucket in self._buckets)
        if self._row >= IN_A_ROW or (attempts >= WINDOW_LEAST and 2 * failures > attempts):
            if now_ms < self.deadline_ms + WINDOW_MS and self.opened:
                self._open_ms = min(2 * self._open_ms, LONGEST_OPEN_MS)
            self.is_open = True
            self.opened += 1
            self._extend(now_ms)

    def _extend(self, now_ms: float) -> None:
        self.deadline_ms = max(self.deadline_ms, now_ms + self._open_ms)

    def _count(self, now_ms: float, failed: bool) -> None:
        buckets = self._buckets
        while buckets and buckets[0][0] <= now_ms - WINDOW_MS:
            buckets.popleft()
        start = now_ms - now_ms % BUCKET_MS
        if not buckets or buckets[-1][0] < start:
            buckets.append([start, 0, 0])
        buckets[-1][1] += 1
        buckets[-1][2] += failed

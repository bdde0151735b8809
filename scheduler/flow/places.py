"""Count the places of one model: what its open lanes may hold under their limits, and what they hold.

The market keeps one `Places` per model and moves it with every change of a lane, so whoever asks reads and computes
nothing. A barred lane (breaker, "full" a moment ago, withdrawn, jailed) has no places.
"""

from __future__ import annotations


class Places:
    """The places of one model. `per_ms`: how many become free in a millisecond, by the lanes' own pace."""

    __slots__ = ("per_ms", "total", "used")

    def __init__(self) -> None:
        self.total = 0
        self.used = 0
        self.per_ms = 0.0

    @property
    def free(self) -> int:
        """How many jobs could be placed at this moment."""
        return self.total - self.used

    def move(self, before: tuple[int, int, float], after: tuple[int, int, float]) -> None:
        """Replace what one lane contributed by what it contributes."""
        self.total += after[0] - before[0]
        self.used += after[1] - before[1]
        # Sums of differences drift by a rounding error a step; at rest the pace is nothing.
        self.per_ms = max(0.0, self.per_ms + after[2] - before[2]) if self.used else 0.0

"""Learn how many jobs a lane should hold at once, so that what is more waits at the gateway and not behind an engine.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), with the signal of Netflix's gradient limits: the
ratio of what was measured to what was expected. A limit starts at the slots that the provider declared and the few jobs
that may wait there, and never rises above it. Then:

    late      the mean of (ttft measured / ttft predicted) over some eight first bytes is above 1.5: × 0.85
    time-out  × 0.85
    refused   the provider said "full" beside n other jobs: n, and no increase for half a minute
    served    while the limit was in use and first bytes are on time: + 1/limit, so one more for each round of jobs

A limit is cut at most once in a round of its own size, because the first bytes that follow still tell of before. A lane
that runs less than half of its limit says nothing about it. The floor is a quarter of the declared slots: who is slower
than that is priced out by `decide` and found by verifiers, which is not a matter of queues.
"""

from __future__ import annotations

from math import inf

LATE = 1.5
CALM = 1.2
STRETCH_STEP = 0.125
STRETCH_MOST = 4.0
BACK_OFF = 0.85
PROBE_AFTER_MS = 30_000.0
FLOOR_PARTS = 4


class Limit:
    """The learned limit of one lane. `most`: declared slots and what may wait there; `slots`: the slots alone."""

    __slots__ = ("_cut_after", "_probe_ms", "least", "most", "places", "stretch", "value")

    def __init__(self, slots: int, most: int) -> None:
        self.most = float(max(1, most))
        self.least = float(max(1, slots // FLOOR_PARTS))
        self.value = self.most
        self.places = int(self.most)
        self.stretch = 1.0
        self._cut_after = 0
        self._probe_ms = -inf

    def first_byte(self, stretch: float, in_flight: int) -> None:
        """Note a first byte: `stretch` is measured over predicted, `in_flight` counts the lane's jobs, this one too."""
        if 2 * in_flight < self.value:
            return
        self.stretch += STRETCH_STEP * (min(stretch, STRETCH_MOST) - self.stretch)
        self._cut_after -= 1
        if self.stretch > LATE:
            self._cut(in_flight)

    def timed_out(self, in_flight: int) -> None:
        """Note a job that took longer than anybody waits."""
        if 2 * in_flight >= self.value:
            self._cut_after -= 1
            self._cut(in_flight)

    def refused(self, others: int, now_ms: float) -> None:
        """Note that the provider said "full" beside `others` jobs of this gateway."""
        self._set(min(self.value, float(others)))
        self._probe_ms = max(self._probe_ms, now_ms + PROBE_AFTER_MS)

    def served(self, in_flight: int, now_ms: float) -> None:
        """Note a served job; `in_flight` counts it."""
        if in_flight >= self.places and self.value < self.most and self.stretch <= CALM and now_ms >= self._probe_ms:
            self._set(self.value + 1.0 / self.value)

    def _cut(self, in_flight: int) -> None:
        if self._cut_after > 0:
            return
        self._set(BACK_OFF * min(self.value, float(in_flight)))
        self.stretch = 1.0
        self._cut_after = self.places

    def _set(self, value: float) -> None:
        self.value = min(max(value, self.least), self.most)
        self.places = int(self.value)

"""Learn how many jobs a lane should hold at once, so that what is more waits at the gateway and not behind an engine.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), with the signal of TCP Vegas (Brakmo and Peterson,
1995), which Netflix's concurrency limits use too: how many of the jobs in flight only wait. By Little's law that is

    waiting = in flight · (ttft measured - 2.5 · ttft predicted for the job alone) / time of the job

whatever they wait for, a slot or their turn to be prefilled: a job that waits adds nothing to what the lane serves. The
factor allows for predictions that are off, which many jobs in flight would multiply. A limit L starts at the slots that
the provider declared and the few jobs that may wait there, and never rises above it. Then:

    waiting   its mean over some eight streamed jobs is above what may wait there by one, or a twentieth of L: × 0.85
    time-out  × 0.85
    refused   the provider said "full" beside n other jobs: n, and no increase for half a minute
    served    while all L places were in use and no more wait than may: + 1/L, so one more for each round of jobs

A limit is cut at most once in a round of its own size, because the jobs that follow still tell of before. A lane that
runs less than half of its limit says nothing about it. The floor is an eighth of the declared slots: who is slower than
that is priced out by `decide` and found by verifiers, which is not a matter of queues.
"""

from __future__ import annotations

from math import inf

WAITING_STEP = 0.125
SLACK = 2.5
MARGIN = 1.0
MARGIN_SHARE = 0.05
BACK_OFF = 0.85
PROBE_AFTER_MS = 30_000.0
FLOOR_PARTS = 8


def jobs_waiting(in_flight: int, ttft_ms: float, alone_ms: float, job_ms: float) -> float:
    """Estimate how many jobs in flight only wait, from one that ended: its first byte came after `ttft_ms`, alone it
    would have come after `alone_ms`, and all of it took `job_ms`."""
    return in_flight * max(0.0, ttft_ms - SLACK * alone_ms) / max(job_ms, ttft_ms, 1.0)


class Limit:
    """The learned limit of one lane. `most`: declared slots and what may wait there; `slots`: the slots alone."""

    __slots__ = ("_cut_after", "_may_wait", "_probe_ms", "least", "most", "places", "value", "waiting")

    def __init__(self, slots: int, most: int) -> None:
        self.most = float(max(1, most))
        self.least = float(max(1, slots // FLOOR_PARTS))
        self.value = self.most
        self.places = int(self.most)
        self.waiting = 0.0
        self._may_wait = float(max(0, most - slots))
        self._cut_after = 0
        self._probe_ms = -inf

    def served(self, in_flight: int, waiting: float | None, now_ms: float) -> None:
        """Note a served job; `in_flight` counts it, `waiting` is what it says about the others, None if nothing."""
        if waiting is not None and 2 * in_flight >= self.value:
            self.waiting += WAITING_STEP * (waiting - self.waiting)
            self._cut_after -= 1
            if self.waiting > self._may_wait + max(MARGIN, MARGIN_SHARE * self.value):
                self._cut(in_flight)
        in_use = in_flight >= self.places and self.value < self.most
        if in_use and self.waiting <= self._may_wait and now_ms >= self._probe_ms:
            self._set(self.value + 1.0 / self.value)

    def timed_out(self, in_flight: int) -> None:
        """Note a job that took longer than anybody waits."""
        if 2 * in_flight >= self.value:
            self._cut_after -= 1
            self._cut(in_flight)

    def refused(self, others: int, now_ms: float) -> None:
        """Note that the provider said "full" beside `others` jobs of this gateway."""
        self._set(min(self.value, float(others)))
        self._probe_ms = max(self._probe_ms, now_ms + PROBE_AFTER_MS)

    def _cut(self, in_flight: int) -> None:
        if self._cut_after > 0:
            return
        self._set(BACK_OFF * min(self.value, float(in_flight)))
        self.waiting = self._may_wait
        self._cut_after = self.places

    def _set(self, value: float) -> None:
        self.value = min(max(value, self.least), self.most)
        self.places = int(self.value)

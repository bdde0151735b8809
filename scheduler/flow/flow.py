"""Keep all the lines of one gateway: who may wait, for how long, and who is sent away at once.

A job that finds no place waits here and is bound to no provider. It leaves in exactly one of four ways, and the counts
of them balance at every moment:

    entered = placed + left + refused + failed + waiting            (one that comes back has entered again)

It is refused at once when the wait that it must expect exceeds its band's patience:

    wait = max(first, (ahead + 1) / pace)

`pace` is the sum over the model's open lanes of jobs in flight (at most the slots) by the lane's learned time of a job,
`ahead` who goes before it if tenants take turns, `first` what the market said when asked for this very job (the end of
the shortest bar, or of the next job). When nothing is in flight there is no pace, and `first` alone counts. It is
refused later when its patience ends, or when the queue is full and a higher band needs the room: of the lowest band
that waits, the oldest goes first.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf
from typing import Any

from scheduler.flow.bands import BANDS, FlowPolicy
from scheduler.flow.line import Attempt, Line
from scheduler.flow.places import Places
from scheduler.flow.queue import Waiting

PATIENCE = "patience"
"""The wait to be expected exceeds the band's patience."""
WAITED = "waited"
"""Its patience ended before a place was free."""
QUEUE_FULL = "queue_full"
KEY_FULL = "key_full"
EVICTED = "evicted"
"""A job of a higher band needed its room in the queue."""
REASONS = (PATIENCE, WAITED, QUEUE_FULL, KEY_FULL, EVICTED)


@dataclass(frozen=True, slots=True)
class Denied:
    """A job that may not wait, or not any longer. `retry_ms`: when asking again may help."""

    reason: str
    retry_ms: int


@dataclass(slots=True)
class Counts:
    """What became of the jobs that entered."""

    entered: int = 0
    placed: int = 0
    left: int = 0
    refused: int = 0
    failed: int = 0


class Flow:
    """The lines of one gateway. `refuse` is told of every job that waited and may not any longer."""

    def __init__(
        self, policy: FlowPolicy | None = None, refuse: Callable[[Waiting, Denied], None] | None = None
    ) -> None:
        self.policy = policy or FlowPolicy()
        self.lines: dict[str, Line] = {}
        self.counts = Counts()
        self.waiting = 0
        self._refuse = refuse or (lambda job, denied: None)
        self._per_key: dict[Hashable, int] = {}
        self._numbers = 0
        self._ends: list[tuple[float, int, Waiting]] = []
        self._entries = 0

    def line(self, model: str, places: Places) -> Line:
        """Return the line of a model; makes one for a model that had none."""
        found = self.lines.get(model)
        if found is None:
            found = self.lines[model] = Line(model, places, self.policy)
        return found

    def number(self) -> int:
        """Return the next number: who arrives later has a higher one."""
        self._numbers += 1
        return self._numbers

    def queued(self, rank: int) -> int:
        """Return how many jobs of a band wait, over all models."""
        return sum(len(line.queues[rank]) for line in self.lines.values())

    def expected_wait_ms(self, line: Line, rank: int, tenant: str, first_ms: float) -> float:
        """Return how long one more job of this tenant and band must expect to wait."""
        pace = line.places.per_ms
        return max(first_ms, (line.ahead(rank, tenant) + 1) / pace) if pace > 0.0 else first_ms

    def band_of(self, rank: int, due_ms: float, now_ms: float) -> int:
        """Return the band in which work waits: batch that is nearly due waits among standard."""
        return 1 if rank == 2 and due_ms - now_ms <= self.policy.promote_ms else rank

    def enter(
        self,
        line: Line,
        rank: int,
        tenant: str,
        key: Hashable,
        kind: Hashable,
        size: tuple[int, int],
        tokens: float,
        now_ms: float,
        first_ms: float = 0.0,
        due_ms: float = inf,
        payload: Any = None,
        good_ms: float = inf,
        awaited: bool = False,
    ) -> Waiting | Denied:
        """Let a job wait in a band, or say why it may not. Begun after `good_ms` it cannot meet its objective.

        `awaited`: a place is being cleared for it, so the pace at which places become free by themselves says nothing.
        """
        patience_ms = BANDS[rank].patience_ms
        wait_ms = self.expected_wait_ms(line, rank, tenant, first_ms)
        if wait_ms > patience_ms and not awaited:
            return self._denied(PATIENCE, wait_ms)
        if self._per_key.get(key, 0) >= self.policy.queued_per_key:
            return self._denied(KEY_FULL, wait_ms)
        if self.waiting >= self.policy.queued_most and not self._make_room(rank):
            return self._denied(QUEUE_FULL, wait_ms)
        until_ms = now_ms + patience_ms
        job = Waiting(
            self.number(), line.model, rank, tenant, key, kind, size, tokens, now_ms, until_ms,
            min(due_ms, until_ms), payload, good_ms,
        )  # fmt: skip
        self._put(line, job, now_ms)
        return job

    def come_back(self, line: Line, job: Waiting, now_ms: float) -> Denied | None:
        """Let a placed job wait again at its old age, within what is left of its patience; counts its end as placed.

        None if it waits, else why it may not. Call it once the place that it had is given back.
        """
        if now_ms >= job.until_ms:
            return self._denied(WAITED, self.expected_wait_ms(line, job.rank, job.tenant, 0.0))
        if self.waiting >= self.policy.queued_most and not self._make_room(job.rank):
            return self._denied(QUEUE_FULL, self.expected_wait_ms(line, job.rank, job.tenant, 0.0))
        self._put(line, job, now_ms)
        return None

    def leave(self, job: Waiting) -> bool:
        """Take out a job whose customer left; False if it does not wait any more."""
        if not job.queued:
            return False
        self._remove(job)
        self.counts.left += 1
        return True

    def dispatch(self, line: Line, now_ms: float, attempt: Attempt) -> int:
        """Offer the line's free places to its waiting jobs; returns how many were placed."""
        if not line.waiting or line.places.free <= 0:
            return 0
        before = self.waiting
        placed = line.dispatch(now_ms, attempt, self._remove)
        self.counts.placed += placed
        self.counts.failed += before - self.waiting - placed
        return placed

    def expire(self, now_ms: float) -> int:
        """Refuse the jobs whose patience has ended; returns how many."""
        ended = 0
        while self._ends and (self._ends[0][0] <= now_ms or not self._ends[0][2].queued):
            _, _, job = heapq.heappop(self._ends)
            if job.queued:
                self._turn_away(job, WAITED)
                ended += 1
        return ended

    def clear(self) -> list[Waiting]:
        """Take out every job that waits and count it as refused; the caller tells their customers."""
        waiting = [job for line in self.lines.values() for queue in line.queues for job in queue]
        for job in waiting:
            self._remove(job)
        self.counts.refused += len(waiting)
        return waiting

    def sweep(self) -> None:
        """Forget the lines of models that nobody uses any more. Call it now and then."""
        for model, line in list(self.lines.items()):
            if not line.waiting and not line.places.total and not any(line.in_flight):
                del self.lines[model]

    def _put(self, line: Line, job: Waiting, now_ms: float) -> None:
        line.put(job, now_ms)
        self.waiting += 1
        self.counts.entered += 1
        self._per_key[job.key] = self._per_key.get(job.key, 0) + 1
        if len(self._ends) > 2 * self.waiting + 64:
            self._ends = [entry for entry in self._ends if entry[2].queued]
            heapq.heapify(self._ends)
        self._entries += 1
        heapq.heappush(self._ends, (job.until_ms, self._entries, job))

    def _remove(self, job: Waiting) -> None:
        self.lines[job.model].remove(job)
        self.waiting -= 1
        left = self._per_key[job.key] - 1
        if left:
            self._per_key[job.key] = left
        else:
            del self._per_key[job.key]

    def _make_room(self, rank: int) -> bool:
        """Evict the oldest job of the lowest band below `rank`; False if there is none."""
        for lower in range(len(BANDS) - 1, rank, -1):
            oldest = [line.queues[lower].oldest for line in self.lines.values() if line.queues[lower]]
            if oldest:
                self._turn_away(min(oldest, key=lambda job: job.number), EVICTED)
                return True
        return False

    def _turn_away(self, job: Waiting, reason: str) -> None:
        line = self.lines[job.model]
        self._remove(job)
        self.counts.refused += 1
        self._refuse(job, self._denied(reason, self.expected_wait_ms(line, job.rank, job.tenant, 0.0)))

    def _denied(self, reason: str, wait_ms: float) -> Denied:
        policy = self.policy
        return Denied(reason, int(min(max(wait_ms, policy.retry_least_ms), policy.retry_most_ms)))

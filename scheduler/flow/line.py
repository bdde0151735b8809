"""Keep the line for one model: four bands, who is in flight, and which places only realtime may take.

Realtime's reserve: its peak of jobs in flight and waiting, faded with a half-life, but at most a share of the places.
What of it realtime does not use at the moment is held back from the lower bands. A model that sees no realtime work
holds nothing back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from enum import Enum

from scheduler.flow.bands import BANDS, FlowPolicy
from scheduler.flow.places import Places
from scheduler.flow.queue import Queue, Waiting

_PPM = 1_000_000
_LOWEST = len(BANDS)


class Verdict(Enum):
    """What became of the attempt to place a waiting job."""

    TAKEN = "taken"
    FULL = "full"
    """No lane for its kind has a place."""
    TOO_LARGE = "too_large"
    """A lane has a place, but not for a job that may cost so much."""
    FAILED = "failed"
    """It cannot be placed by waiting, and whoever sent it has been told."""


Attempt = Callable[[Waiting], Verdict]


class _Blocked:
    """What one pass over the line has learned: kinds that nobody has a place for, and sizes that do not fit."""

    def __init__(self) -> None:
        self._kinds: set[Hashable] = set()
        self._sizes: dict[Hashable, list[tuple[int, int]]] = {}

    def note(self, job: Waiting, verdict: Verdict) -> None:
        if verdict is Verdict.FULL:
            self._kinds.add(job.kind)
        elif verdict is Verdict.TOO_LARGE:
            self._sizes.setdefault(job.kind, []).append(job.size)

    def fits(self, job: Waiting) -> bool:
        """Tell whether trying this job could end otherwise than what was tried: prices grow with both its sizes."""
        if job.kind in self._kinds:
            return False
        tokens_in, tokens_out = job.size
        return not any(tokens_in >= least[0] and tokens_out >= least[1] for least in self._sizes.get(job.kind, ()))

    def bars_all(self, queue: Queue) -> bool:
        return bool(self._kinds) and self._kinds.issuperset(queue.kinds)


class Line:
    """The line for one model. `in_flight` counts the placed jobs of each band until they end."""

    def __init__(self, model: str, places: Places, policy: FlowPolicy) -> None:
        self.model = model
        self.places = places
        self.queues = [Queue(policy.half_life_ms, policy.oldest_every) for _ in BANDS]
        self.in_flight = [0] * _LOWEST
        self.waiting = 0
        self._policy = policy
        self._owed = [0] * _LOWEST
        self._peak = 0.0
        self._peak_ms = 0.0

    def passes(self, rank: int, now_ms: float) -> bool:
        """Tell whether a job of this band may try for a place at once, before whoever waits in lower bands."""
        if self.waiting and any(self.queues[: rank + 1]):
            return False
        return rank == 0 or self._peak == 0.0 or self.places.free > self.held_back(now_ms)

    def free_for(self, rank: int, now_ms: float) -> int:
        """Return how many places one more job of this band finds, after those who wait before it."""
        before = sum(len(queue) for queue in self.queues[: rank + 1])
        return max(0, self.places.free - before - (self.held_back(now_ms) if rank else 0))

    def held_back(self, now_ms: float) -> int:
        """Return how many free places only realtime may take at this moment."""
        if self._peak == 0.0:
            return 0
        peak = round(self._faded_peak(now_ms))
        if not peak:
            self._peak = 0.0
        reserve = min(self.places.total * self._policy.reserve_ppm // _PPM, peak)
        return max(0, reserve - self.in_flight[0])

    def _faded_peak(self, now_ms: float) -> float:
        return self._peak * float(2.0 ** ((self._peak_ms - now_ms) / self._policy.peak_half_life_ms))

    def note_demand(self, now_ms: float) -> None:
        """Take the present realtime demand for its peak if it is one."""
        demand = float(self.in_flight[0] + len(self.queues[0]))
        if demand >= self._faded_peak(now_ms):
            self._peak, self._peak_ms = demand, now_ms

    def ahead(self, rank: int, tenant: str) -> int:
        """Return how many jobs are placed before one more of this tenant in this band."""
        return sum(len(queue) for queue in self.queues[:rank]) + self.queues[rank].ahead(tenant)

    def put(self, job: Waiting, now_ms: float) -> None:
        """Let a job wait."""
        self.queues[job.rank].put(job)
        self.waiting += 1
        job.queued = True
        if job.rank == 0:
            self.note_demand(now_ms)

    def remove(self, job: Waiting) -> None:
        """Take a waiting job out."""
        self.queues[job.rank].remove(job)
        self.waiting -= 1
        job.queued = False

    def begin(self, rank: int, tenant: str, tokens: float, now_ms: float) -> None:
        """Count a placed job and the service that it is expected to attain."""
        self.in_flight[rank] += 1
        self.queues[rank].charge(tenant, tokens, now_ms)
        if rank == 0:
            self.note_demand(now_ms)

    def end(self, rank: int, tenant: str, more_tokens: float, now_ms: float) -> None:
        """Count a job that ended. `more_tokens`: attained beyond what `begin` was told, or less."""
        self.in_flight[rank] -= 1
        if more_tokens:
            self.queues[rank].charge(tenant, more_tokens, now_ms)

    def dispatch(self, now_ms: float, attempt: Attempt, remove: Callable[[Waiting], None]) -> int:
        """Offer free places to waiting jobs in their order until no place or no job that fits is left.

        Returns how many were placed. `attempt` claims a place for a job or says why it has none; `remove` takes a job
        that was placed, or failed, out of all books.
        """
        placed = 0
        blocked = _Blocked()
        while self.waiting and self.places.free > 0:
            job = self._next(now_ms, blocked)
            if job is None:
                break
            verdict = attempt(job)
            if verdict is Verdict.TAKEN:
                self._count_turn(job)
                remove(job)
                self.begin(job.rank, job.tenant, job.tokens, now_ms)
                placed += 1
            elif verdict is Verdict.FAILED:
                remove(job)
            else:
                blocked.note(job, verdict)
        return placed

    def _next(self, now_ms: float, blocked: _Blocked) -> Waiting | None:
        lower_may = self.places.free > self.held_back(now_ms)
        for rank in self._turns():
            queue = self.queues[rank]
            queue.age(now_ms)
            if not queue or (rank and not lower_may) or blocked.bars_all(queue):
                continue
            job = queue.first(blocked.fits)
            if job is not None:
                return job
        return None

    def _turns(self) -> Iterator[int]:
        """Go through the bands: realtime, those to which a turn is owed, then the others."""
        yield 0
        for band in BANDS:
            if band.turn_every and self._owed[band.rank] >= band.turn_every:
                yield band.rank
        yield from range(1, _LOWEST)

    def _count_turn(self, job: Waiting) -> None:
        self.queues[job.rank].count_turn()
        self._owed[job.rank] = 0
        for rank in range(job.rank + 1, _LOWEST):
            if self.queues[rank]:
                self._owed[rank] += 1

"""Order the waiting work of one band of one model: fair between tenants, earliest deadline first inside a tenant.

The tenant that attained least service goes first, in tokens (Sheng et al., "Fairness in Serving Large Language
Models", 2024), and what it attained fades with a half-life. Fading is done by weighing later tokens more, two to the
power of the half-lives since a common start, so the order of tenants changes only where tokens are added. A job that
can no longer meet its objective goes after all that can, because serving it first would only make others late too.
One turn in `oldest_every` goes to whoever waits longest: a job with n older ones before it is placed after at most (n
+ 1) · oldest_every turns, however many new tenants come.

Everything is kept in sorted lists: a job that leaves is gone at once, from all of them.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Iterator
from math import inf
from typing import Any

HALF_LIVES_MOST = 40.0
"""Weights beyond two to the power of this would cost floats their last digits."""
TENANTS_MOST = 4_096


class Waiting:
    """A job that waits. `size` is (prompt tokens, most tokens of the answer), `tokens` its expected service.

    Jobs of one `kind` can be served by the same lanes. `due_ms` orders it inside its tenant, `until_ms` ends its
    patience. Begun after `good_ms` it cannot meet its objective; it is `late` from then on. `payload` is the caller's.
    """

    __slots__ = (
        "due_ms", "good_ms", "key", "kind", "late", "model", "number", "payload", "queued", "rank", "since_ms", "size",
        "tenant", "tokens", "until_ms",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        model: str,
        rank: int,
        tenant: str,
        key: Hashable,
        kind: Hashable,
        size: tuple[int, int],
        tokens: float,
        since_ms: float,
        until_ms: float,
        due_ms: float,
        payload: Any = None,
        good_ms: float = inf,
    ) -> None:
        self.number = number
        self.model = model
        self.rank = rank
        self.tenant = tenant
        self.key = key
        self.kind = kind
        self.size = size
        self.tokens = tokens
        self.since_ms = since_ms
        self.until_ms = until_ms
        self.due_ms = due_ms
        self.payload = payload
        self.good_ms = good_ms
        self.late = False
        self.queued = False


class _Tenant:
    __slots__ = ("attained", "number", "waiting")

    def __init__(self, number: int) -> None:
        self.number = number
        self.attained = 0.0
        self.waiting: list[Waiting] = []


def _age(job: Waiting) -> int:
    return job.number


def _urgency(job: Waiting) -> tuple[bool, float, int]:
    return job.late, job.due_ms, job.number


def _standing(tenant: _Tenant) -> tuple[float, int]:
    return tenant.attained, tenant.number


class Queue:
    """The waiting jobs of one band of one model. Times are the caller's clock in milliseconds, never going back."""

    def __init__(self, half_life_ms: float, oldest_every: int) -> None:
        self._half_life_ms = half_life_ms
        self._oldest_every = oldest_every
        self._start_ms = 0.0
        self._turns = 0
        self._tenants: dict[str, _Tenant] = {}
        self._tenant_numbers = 0
        self._order: list[_Tenant] = []
        self._by_age: list[Waiting] = []
        self._turning: list[tuple[float, int, Waiting]] = []
        self._at_least: list[int] = [0]
        self.kinds: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[Waiting]:
        """Go through the waiting jobs, oldest first."""
        return iter(self._by_age)

    @property
    def oldest(self) -> Waiting:
        """The job that waits longest."""
        return self._by_age[0]

    def put(self, job: Waiting) -> None:
        """Let a job wait; one that comes back keeps its number and so its age."""
        if job.good_ms < inf:
            heapq.heappush(self._turning, (job.good_ms, job.number, job))
        tenant = self._tenant(job.tenant)
        insort(tenant.waiting, job, key=_urgency)
        insort(self._by_age, job, key=_age)
        count = len(tenant.waiting)
        if count == len(self._at_least):
            self._at_least.append(0)
        self._at_least[count] += 1
        if count == 1:
            insort(self._order, tenant, key=_standing)
        self.kinds[job.kind] = self.kinds.get(job.kind, 0) + 1

    def remove(self, job: Waiting) -> None:
        """Take a waiting job out."""
        tenant = self._tenants[job.tenant]
        self._at_least[len(tenant.waiting)] -= 1
        del tenant.waiting[bisect_left(tenant.waiting, _urgency(job), key=_urgency)]
        del self._by_age[bisect_left(self._by_age, job.number, key=_age)]
        if not tenant.waiting:
            self._unlist(tenant)
        left = self.kinds[job.kind] - 1
        if left:
            self.kinds[job.kind] = left
        else:
            del self.kinds[job.kind]

    def first(self, fits: Callable[[Waiting], bool]) -> Waiting | None:
        """Return whose turn it is among the jobs that `fits` accepts, None if there is none."""
        if (self._turns + 1) % self._oldest_every == 0:
            return next((job for job in self._by_age if fits(job)), None)
        for tenant in self._order:
            for job in tenant.waiting:
                if job.late:
                    break
                if fits(job):
                    return job
        return next((job for tenant in self._order for job in tenant.waiting if job.late and fits(job)), None)

    def age(self, now_ms: float) -> None:
        """Let jobs be late that can no longer meet their objective."""
        turning = self._turning
        while turning and (turning[0][0] <= now_ms or not turning[0][2].queued):
            job = heapq.heappop(turning)[2]
            if job.queued and not job.late:
                waiting = self._tenants[job.tenant].waiting
                del waiting[bisect_left(waiting, _urgency(job), key=_urgency)]
                job.late = True
                insort(waiting, job, key=_urgency)

    def count_turn(self) -> None:
        """Note that a turn was used."""
        self._turns += 1

    def ahead(self, tenant: str) -> int:
        """Return how many jobs go before one more of this tenant, if all tenants have attained the same.

        Taking turns, a tenant's k-th job is preceded by at most k jobs of every other and by its own k - 1.
        """
        found = self._tenants.get(tenant)
        own = len(found.waiting) if found else 0
        return sum(self._at_least[1 : own + 2])

    # Attained service

    def charge(self, tenant: str, tokens: float, now_ms: float) -> None:
        """Add tokens of service to a tenant; a negative number takes back what was expected and not delivered."""
        half_lives = (now_ms - self._start_ms) / self._half_life_ms
        if half_lives > HALF_LIVES_MOST:
            self._fade(now_ms)
            half_lives = 0.0
        weight = 2.0**half_lives
        found = self._tenant(tenant)
        if found.waiting:
            self._unlist(found)
            found.attained = max(0.0, found.attained + tokens * weight)
            insort(self._order, found, key=_standing)
        else:
            found.attained = max(0.0, found.attained + tokens * weight)

    def attained(self, tenant: str, now_ms: float) -> float:
        """Return the tokens that a tenant has attained, faded to this moment."""
        found = self._tenants.get(tenant)
        return found.attained * 2.0 ** ((self._start_ms - now_ms) / self._half_life_ms) if found else 0.0

    def _fade(self, now_ms: float) -> None:
        """Move the common start to now. Who attained nothing that still counts, and waits for nothing, is forgotten."""
        factor = 2.0 ** max((self._start_ms - now_ms) / self._half_life_ms, -1_000.0)
        self._start_ms = now_ms
        for tenant in self._tenants.values():
            tenant.attained *= factor
        self._tenants = {name: one for name, one in self._tenants.items() if one.waiting or one.attained >= 1.0}
        self._order.sort(key=_standing)

    def _tenant(self, name: str) -> _Tenant:
        found = self._tenants.get(name)
        if found is None:
            if len(self._tenants) >= TENANTS_MOST:
                self._forget()
            self._tenant_numbers += 1
            found = self._tenants[name] = _Tenant(self._tenant_numbers)
        return found

    def _forget(self) -> None:
        """Forget the half of those who wait for nothing that attained least."""
        idle = sorted((one.attained, name) for name, one in self._tenants.items() if not one.waiting)
        for _, name in idle[: len(idle) // 2 + 1]:
            del self._tenants[name]

    def _unlist(self, tenant: _Tenant) -> None:
        del self._order[bisect_left(self._order, _standing(tenant), key=_standing)]

"""Whatever comes in whatever order: nothing is lost, no place stays empty for want of a turn, realtime is first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scheduler.flow.bands import BANDS, FlowPolicy
from scheduler.flow.flow import PATIENCE, Denied, Flow
from scheduler.flow.line import Verdict
from scheduler.flow.places import Places
from scheduler.flow.queue import Waiting

KINDS = ("chat", "vision", "long")
ranks = st.integers(0, 3)
tenants = st.sampled_from("abcde")


class Lane:
    """A provider that serves some kinds; `fits` is the most tokens its bond covers."""

    def __init__(self, kinds: frozenset[str], places: int, fits: int) -> None:
        self.kinds = kinds
        self.places = places
        self.fits = fits
        self.open = True
        self.running = 0

    @property
    def free(self) -> int:
        return max(0, self.places - self.running) if self.open else 0

    def takes(self, job: Waiting) -> bool:
        return self.free > 0 and job.kind in self.kinds and sum(job.size) <= self.fits


lanes = st.builds(
    Lane,
    st.frozensets(st.sampled_from(KINDS), min_size=1),
    st.integers(0, 4),
    st.sampled_from([5, 50]),
)


class Traffic(RuleBasedStateMachine):
    """A gateway's flow over lanes that open and close; every job is followed to its end."""

    @initialize(lanes=st.lists(lanes, min_size=1, max_size=3))
    def open_shop(self, lanes: list[Lane]) -> None:
        self.lanes = lanes
        self.places = Places()
        self.refused: list[Waiting] = []
        self.flow = Flow(FlowPolicy(queued_most=12, queued_per_key=8), lambda job, _: self.refused.append(job))
        self.line = self.flow.line("m", self.places)
        self.now_ms = 0.0
        self.running: list[tuple[Waiting, Lane]] = []
        self.entered: list[Waiting] = []
        self.placed: list[Waiting] = []
        self.left: list[Waiting] = []
        self._count()

    def _count(self) -> None:
        places = self.places
        places.total = sum(lane.places for lane in self.lanes if lane.open)
        places.used = sum(min(lane.running, lane.places) for lane in self.lanes if lane.open)
        places.per_ms = places.used / 1_000.0

    def _attempt(self, job: Waiting) -> Verdict:
        assert job.queued, "a job that does not wait is never placed"
        waiting = [other for other in self.line.queues[0] if any(lane.takes(other) for lane in self.lanes)]
        lane = next((lane for lane in self.lanes if lane.takes(job)), None)
        if lane is None:
            room = any(lane.free and job.kind in lane.kinds for lane in self.lanes)
            return Verdict.TOO_LARGE if room else Verdict.FULL
        assert job.rank == 0 or not waiting, "realtime that fits goes first"
        lane.running += 1
        self.running.append((job, lane))
        self.placed.append(job)
        self._count()
        return Verdict.TAKEN

    def _dispatch(self) -> None:
        self.flow.dispatch(self.line, self.now_ms, self._attempt)
        free = self.places.free
        for rank, queue in enumerate(self.line.queues):
            if rank == 0 or free > self.line.held_back(self.now_ms):
                for job in queue:
                    assert not any(lane.takes(job) for lane in self.lanes), "a place that fits stayed empty"

    @rule(rank=ranks, tenant=tenants, kind=st.sampled_from(KINDS), size=st.sampled_from([(1, 1), (9, 9), (1, 9)]))
    def arrive(self, rank: int, tenant: str, kind: str, size: tuple[int, int]) -> None:
        job = self.flow.enter(
            self.line, rank, tenant, tenant, kind, size, float(sum(size)), self.now_ms, payload=len(self.entered)
        )
        if isinstance(job, Waiting):
            self.entered.append(job)
            self._dispatch()

    @rule(which=st.integers(0, 100))
    def customer_leaves(self, which: int) -> None:
        if self.entered:
            job = self.entered[which % len(self.entered)]
            if self.flow.leave(job):
                self.left.append(job)

    @rule(which=st.integers(0, 100), tokens=st.integers(-50, 50))
    def job_ends(self, which: int, tokens: int) -> None:
        if self.running:
            job, lane = self.running.pop(which % len(self.running))
            lane.running -= 1
            self._count()
            self.line.end(job.rank, job.tenant, float(tokens), self.now_ms)
            self._dispatch()

    @rule(which=st.integers(0, 100))
    def provider_turns_a_job_away(self, which: int) -> None:
        if self.running:
            job, lane = self.running.pop(which % len(self.running))
            lane.running -= 1
            self._count()
            self.line.end(job.rank, job.tenant, -job.tokens, self.now_ms)
            self.placed.remove(job)
            denied = self.flow.come_back(self.line, job, self.now_ms)
            if denied is not None:
                self.left.append(job)
            self._dispatch()

    @rule(which=st.integers(0, 100))
    def health_flips(self, which: int) -> None:
        lane = self.lanes[which % len(self.lanes)]
        lane.open = not lane.open
        self._count()
        self._dispatch()

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_ms += 1_000.0 * seconds
        self.flow.expire(self.now_ms)
        assert all(job.until_ms > self.now_ms for queue in self.line.queues for job in queue)
        self._dispatch()

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        if not hasattr(self, "flow"):
            return
        waiting = [job for queue in self.line.queues for job in queue]
        ends = [job.payload for job in (*waiting, *self.placed, *self.left, *self.refused)]
        assert sorted(ends) == list(range(len(self.entered))), "lost or served twice"
        assert all(job.queued for job in waiting)
        assert not any(job.queued for job in (*self.placed, *self.left, *self.refused))

    @invariant()
    def counts_balance(self) -> None:
        if not hasattr(self, "flow"):
            return
        flow, counts = self.flow, self.flow.counts
        waiting = [job for queue in self.line.queues for job in queue]
        assert flow.waiting == self.line.waiting == len(waiting) <= flow.policy.queued_most
        assert counts.entered == counts.placed + counts.left + counts.refused + counts.failed + flow.waiting
        assert flow._per_key == Counter(job.key for job in waiting)
        for rank in range(len(BANDS)):
            assert self.line.in_flight[rank] == sum(job.rank == rank for job, _ in self.running)


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def turns_before(waiting: list[tuple[int, str]], rank: int, tenant: str) -> int:
    """Play the turns: higher bands first, then one job of each tenant a round, the newcomer last in its round."""
    before = sum(other < rank for other, _ in waiting)
    own = [name for other, name in waiting if other == rank]
    rounds = own.count(tenant) + 1
    left = {name: own.count(name) for name in own}
    for _ in range(rounds):
        for name in left:
            if left[name]:
                left[name] -= 1
                before += 1
    return before


@given(
    st.lists(st.tuples(ranks, tenants), max_size=40),
    st.tuples(ranks, tenants),
    st.floats(0.0, 0.05),
    st.floats(0.0, 400_000.0),
)
def test_a_job_is_refused_exactly_when_the_predicted_wait_exceeds_its_patience(
    waiting: list[tuple[int, str]], newcomer: tuple[int, str], per_ms: float, first_ms: float
) -> None:
    places = Places()
    flow = Flow(FlowPolicy(queued_per_key=1_000))
    line = flow.line("m", places)
    for rank, tenant in waiting:
        assert isinstance(flow.enter(line, rank, tenant, tenant, "chat", (1, 1), 1.0, 0.0), Waiting)
    places.per_ms = per_ms
    rank, tenant = newcomer
    pace_wait_ms = (turns_before(waiting, rank, tenant) + 1) / per_ms if per_ms else 0.0
    expected_ms = max(first_ms, pace_wait_ms)
    job = flow.enter(line, rank, tenant, tenant, "chat", (1, 1), 1.0, 0.0, first_ms)
    if expected_ms > BANDS[rank].patience_ms:
        assert isinstance(job, Denied) and job.reason == PATIENCE
        assert job.retry_ms == int(min(max(expected_ms, 50), 120_000))
    else:
        assert isinstance(job, Waiting)
        places.total = 1_000
        order: list[Waiting] = []

        def attempt(one: Waiting) -> Verdict:
            order.append(one)
            return Verdict.TAKEN

        flow.dispatch(line, 0.0, attempt)
        assert len(order) == len(waiting) + 1


@given(st.lists(st.tuples(tenants, st.integers(1, 500)), min_size=1, max_size=60))
def test_tenants_that_always_have_work_attain_the_same_within_one_job(jobs: list[tuple[str, int]]) -> None:
    """Places come one at a time; each tenant sends its jobs again as soon as they were placed."""
    places = Places()
    flow = Flow(FlowPolicy(queued_per_key=10_000, queued_most=10_000, half_life_ms=1e12, oldest_every=10**9))
    line = flow.line("m", places)
    for tenant, tokens in jobs:
        flow.enter(line, 1, tenant, tenant, "chat", (1, 1), float(tokens), 0.0)
    attained = {tenant: 0 for tenant, _ in jobs}
    largest = max(tokens for _, tokens in jobs)
    placed: list[Waiting] = []

    def attempt(job: Waiting) -> Verdict:
        places.used += 1
        attained[job.tenant] += int(job.tokens)
        placed.append(job)
        return Verdict.TAKEN

    for _ in range(100):
        places.total += 1
        assert flow.dispatch(line, 0.0, attempt) == 1
        job = placed[-1]
        flow.enter(line, 1, job.tenant, job.tenant, "chat", (1, 1), job.tokens, 0.0)
        assert max(attained.values()) - min(attained.values()) <= largest

"""A lane's limit falls when jobs wait behind the engine or the provider says "full", and comes back when none do."""

from __future__ import annotations

import heapq
import random
from collections import deque
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.classes import REALTIME
from scheduler.decide import decide
from scheduler.decision import Decision
from scheduler.flow.limit import PROBE_AFTER_MS, Limit, jobs_waiting
from scheduler.gates import FULL
from scheduler.policy import Policy
from scheduler.state import MarketState
from scheduler.testing import MODEL, address, decided, make_job, make_market, make_offer, refused
from scheduler.types import Outcome, Reservation, Status

SERVED = Outcome(Status.SERVED, 200, 20_000)


def crowd(limit: Limit, count: int, waiting: float = 20.0) -> None:
    for _ in range(count):
        limit.served(limit.places, waiting, 0.0)


def test_jobs_that_wait_follow_from_one_that_ended() -> None:
    assert jobs_waiting(10, 3_000.0, 200.0, 5_000.0) == 5.0, "a half of its time beyond 2.5 · 200 ms was waiting"
    assert jobs_waiting(10, 400.0, 200.0, 5_000.0) == 0.0, "a prediction may be off"


def test_it_starts_at_what_was_declared_and_what_may_wait_there() -> None:
    assert Limit(8, 10).places == 10
    assert Limit(0, 0).places == 1, "a lane is asked at all"


def test_jobs_that_wait_cut_it_once_in_a_round() -> None:
    limit = Limit(32, 34)
    crowd(limit, 2)
    assert limit.places == 28, "0.85 · 34 = 28.9"
    crowd(limit, 27)
    assert limit.places == 28, "the jobs of the same round still tell of before"
    crowd(limit, 1)
    assert limit.places == 23, "0.85 · 28, the jobs that were in flight"


def test_one_stall_cuts_nothing() -> None:
    limit = Limit(32, 34)
    crowd(limit, 1, 20.0)
    crowd(limit, 50, 0.0)
    assert limit.value == limit.most


def test_a_lane_that_is_mostly_idle_says_nothing_about_its_limit() -> None:
    limit = Limit(32, 34)
    for _ in range(100):
        limit.served(16, 16.0, 0.0)
        limit.timed_out(16)
    assert limit.value == limit.most


def test_a_full_provider_teaches_its_slots_in_one_answer_and_is_not_tried_beyond_for_a_while() -> None:
    limit = Limit(8, 10)
    limit.refused(8, 0.0)
    assert limit.places == 8
    limit.served(8, None, PROBE_AFTER_MS - 1.0)
    assert limit.value == 8.0
    for _ in range(9):
        limit.served(8, None, PROBE_AFTER_MS)
    assert limit.places == 9, "one more after a round of jobs"


def test_it_grows_only_while_it_is_in_use_and_few_wait() -> None:
    limit = Limit(8, 10)
    limit.timed_out(10)
    cut = limit.value
    limit.served(limit.places - 1, None, 1.0)
    assert limit.value == cut
    limit.waiting = 2.01
    limit.served(limit.places, None, 1.0)
    assert limit.value == cut
    limit.waiting = 2.0
    limit.served(limit.places, None, 1.0)
    assert limit.value == cut + 1.0 / cut


def test_it_never_falls_below_an_eighth_of_the_slots() -> None:
    limit = Limit(32, 34)
    for _ in range(1_000):
        crowd(limit, 1)
        limit.refused(0, 0.0)
    assert limit.places == 4


acts = st.lists(
    st.tuples(st.sampled_from(["waiting", "timed_out", "refused", "served"]), st.integers(0, 80), st.floats(0.0, 1e6)),
    max_size=200,
)


@given(acts, st.integers(1, 64), st.integers(0, 8))
def test_it_stays_within_its_bounds_whatever_happens(acts: list[tuple[str, int, float]], slots: int, more: int) -> None:
    limit = Limit(slots, slots + more)
    now_ms = 0.0
    for act, count, number in acts:
        now_ms += number
        match act:
            case "waiting":
                limit.served(count, number, now_ms)
            case "timed_out":
                limit.timed_out(count)
            case "refused":
                limit.refused(count, now_ms)
            case _:
                limit.served(count, None, now_ms)
        assert max(1, slots // 8) <= limit.places <= slots + more
        assert limit.places == int(limit.value)


# Engines that run so many jobs and let the rest wait, asked by a gateway that always has more


class Engine:
    """A provider that declared `slots` and runs `runs`: 200 ms to the first byte, then a second, both with spread."""

    def __init__(self, runs: int, slots: int, backlog_most_ms: float = inf) -> None:
        self.rng = random.Random(1)
        policy = Policy(share_cap_ppm=1_000_000, backlog_most_ms=backlog_most_ms)
        self.state = make_market([make_offer(slots=slots, stake_free_atto=10**24)], policy)
        self.runs = runs
        self.now_ms = 0.0
        self.busy = 0
        self.waits: deque[Reservation] = deque()
        self.events: list[tuple[float, int, bool, Reservation]] = []
        self.served = 0
        self.ttfts: list[float] = []

    def work(self, until_ms: float) -> None:
        self._fill()
        while self.events and self.now_ms < until_ms:
            self.now_ms, _, ends, reservation = heapq.heappop(self.events)
            if not ends:
                self.ttfts.append(self.now_ms - reservation.reserved_ms)
                self.state.started(reservation, self.ttfts[-1], self.now_ms)
                self._fill()
                continue
            self.state.release(reservation, SERVED, self.now_ms)
            self.served += 1
            self.busy -= 1
            if self.waits:
                self._start(self.waits.popleft())
            self._fill()

    def _fill(self) -> None:
        while isinstance(found := decide(self.state, make_job(), self.rng, self.now_ms), Decision):
            reservation = self.state.reserve(found, self.now_ms)
            if self.busy < self.runs:
                self._start(reservation)
            else:
                self.waits.append(reservation)

    def _start(self, reservation: Reservation) -> None:
        self.busy += 1
        first_ms = self.now_ms + 200.0 * self.rng.lognormvariate(0.0, 0.2)
        heapq.heappush(self.events, (first_ms, 2 * reservation.number, False, reservation))
        ends_ms = first_ms + 1_000.0 * self.rng.lognormvariate(0.0, 0.3)
        heapq.heappush(self.events, (ends_ms, 2 * reservation.number + 1, True, reservation))


@pytest.mark.parametrize(("runs", "slots"), [(8, 64), (8, 16), (2, 8)])
def test_a_provider_that_runs_fewer_jobs_than_it_declared_is_found_and_the_queue_comes_home(
    runs: int, slots: int
) -> None:
    engine = Engine(runs, slots)
    engine.work(120_000.0)
    engine.served = 0
    engine.ttfts.clear()
    engine.work(300_000.0)
    assert runs <= engine.state.lanes[0].limit.places <= runs + 6, "two or three may wait, and it probes"
    assert engine.served >= 0.97 * runs * 180_000 / 1_250, "the engine never runs dry for it"
    assert sorted(engine.ttfts)[len(engine.ttfts) // 2] < 0.6 * (slots + 2 - runs) * 1_250 / runs


@pytest.mark.parametrize(("runs", "slots"), [(8, 64), (8, 16), (2, 8)])
def test_a_backlog_brings_the_queue_home_too(runs: int, slots: int) -> None:
    engine = Engine(runs, slots, Policy().backlog_most_ms)
    engine.work(120_000.0)
    engine.served = 0
    engine.ttfts.clear()
    engine.work(300_000.0)
    assert engine.served >= 0.97 * runs * 180_000 / 1_250, "the engine never runs dry for it"
    assert sorted(engine.ttfts)[len(engine.ttfts) // 2] < 0.6 * (slots + 2 - runs) * 1_250 / runs


@pytest.mark.parametrize("slots", [1, 8, 32, 64])
def test_a_provider_that_runs_what_it_declared_keeps_its_places(slots: int) -> None:
    engine = Engine(slots, slots)
    engine.work(120_000.0)
    engine.served = 0
    engine.work(300_000.0)
    assert engine.state.lanes[0].limit.places >= slots
    assert engine.served >= 0.97 * slots * 180_000 / 1_250


# In the market


def fill(state: MarketState, count: int, now_ms: float = 0.0) -> list:
    return [state.reserve(decided(state, make_job(n), now_ms=now_ms), now_ms) for n in range(count)]


def test_the_market_sends_no_more_than_the_limit_and_says_full() -> None:
    state = make_market([make_offer(slots=4)], Policy(share_cap_ppm=1_000_000))
    held = fill(state, 6)
    assert refused(state, make_job()).rule == "full"
    state.release(held.pop(), Outcome(Status.REFUSED), 0.0)
    assert state.lanes[0].limit.places == 5
    state.tick(state.policy.refusal_hold_ms)
    assert state.lanes[0].compute_gate(state.policy.refusal_hold_ms, state.policy) & FULL


def test_whole_answers_teach_no_limit_because_nothing_shows_when_they_began() -> None:
    state = make_market([make_offer(slots=2)])
    now_ms = 0.0
    for _ in range(50):
        held = fill(state, 2, now_ms)
        now_ms += 100_000.0
        for reservation in held:
            state.release(reservation, SERVED, now_ms)
    assert state.lanes[0].limit.value == state.lanes[0].limit.most


@pytest.mark.parametrize(("slots", "hardware"), [(16, "A100"), (8, "H100")])
def test_other_terms_start_the_limit_over(slots: int, hardware: str) -> None:
    state = make_market([make_offer(slots=8)])
    state.lanes[0].limit.refused(4, 0.0)
    state.put_offer(make_offer(slots=8, score_ppm=500_000), 1.0)
    assert state.lanes[0].limit.places == 4, "a score says nothing about room"
    state.put_offer(make_offer(slots=slots, hardware_class=hardware), 2.0)
    assert state.lanes[0].limit.places == slots + 2


def test_places_follow_lanes_that_open_and_close() -> None:
    state = make_market([make_offer(n, slots=4) for n in range(3)], Policy(share_cap_ppm=1_000_000))
    places = state.places(MODEL)
    assert (places.total, places.used, places.per_ms) == (18, 0, 0.0)
    held = fill(state, 5)
    assert (places.total, places.used) == (18, 5)
    assert places.per_ms == pytest.approx(sum(lane.running / lane.job_ms for lane in state.lanes))
    mine = [reservation for reservation in held if reservation.provider == held[0].provider]
    for _ in range(3):
        state.lane(held[0].provider, MODEL).breaker.failure(0.0)
    state.observe_rtt(held[0].provider, 1.0, 0.0)
    assert (places.total, places.used) == (12, 5 - len(mine)), "an open breaker has no places, running jobs or not"
    state.tick(60_000.0)
    assert (places.total, places.used) == (18, 5)
    for reservation in held:
        state.release(reservation, SERVED, 60_000.0)
    assert (places.total, places.used, places.per_ms) == (18, 0, 0.0)
    state.remove_offer(address(0), MODEL, 60_000.0)
    state.put_offer(make_offer(1, slots=4, jailed=True), 60_000.0)
    assert places.total == 6
    state.rebalance(60_000.0)
    assert (places.total, places.used, places.per_ms) == (6, 0, 0.0)


def test_a_report_of_its_own_load_takes_places_away() -> None:
    state = make_market([make_offer(slots=4)])
    state.report(address(0), MODEL, 6, 0.0, 0.0, 0.0)
    assert state.places(MODEL).free == 0
    assert refused(state, make_job(service=REALTIME)).rule == "full"

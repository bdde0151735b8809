"""Half of a large pool is five times slower: sampling by learned capacity keeps queues bounded, evenly it does not."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from math import inf

from scheduler.cost import SHORTEST_DELAY
from scheduler.decide import Decision, MarketState, decide
from scheduler.policy import Policy
from scheduler.testing import make_job, make_market, make_offer
from scheduler.types import Outcome, Reservation, Status

PROVIDERS = 80
OUTPUT_TOKENS = 100
ITL_MS = [20.0 if number % 2 else 100.0 for number in range(PROVIDERS)]
CAPACITY_PER_MS = sum(1.0 / (OUTPUT_TOKENS * itl_ms) for itl_ms in ITL_MS)
POLICY = Policy(
    weights=SHORTEST_DELAY,
    queue_allowance=1_000_000,
    backlog_most_ms=inf,
    waits_for_better=False,
    newcomer_floor_ppm=0,
    share_cap_ppm=1_000_000,
    explore_ppm=0,
)


class Queues:
    """Providers with one slot each that serve in order of arrival; the market is told what a gateway would see."""

    def __init__(self, state: MarketState) -> None:
        self.state = state
        self.waiting: list[deque[Reservation]] = [deque() for _ in range(PROVIDERS)]
        self.events: list[tuple[float, int]] = []

    def arrive(self, reservation: Reservation, now_ms: float, rng: random.Random) -> None:
        queue = self.waiting[reservation.lane]
        queue.append(reservation)
        if len(queue) == 1:
            self._begin(reservation, now_ms, rng)

    def _begin(self, reservation: Reservation, now_ms: float, rng: random.Random) -> None:
        self.state.started(reservation, now_ms - reservation.reserved_ms + 1.0, now_ms)
        took_ms = OUTPUT_TOKENS * ITL_MS[reservation.lane] * rng.expovariate(1.0)
        heapq.heappush(self.events, (now_ms + took_ms, reservation.lane))

    def run_until(self, now_ms: float, rng: random.Random) -> None:
        while self.events and self.events[0][0] <= now_ms:
            at_ms, lane = heapq.heappop(self.events)
            done = self.waiting[lane].popleft()
            self.state.release(done, Outcome(Status.SERVED, OUTPUT_TOKENS, round(1_000 * ITL_MS[lane])), at_ms)
            if self.waiting[lane]:
                self._begin(self.waiting[lane][0], at_ms, rng)

    def size(self) -> int:
        return sum(len(queue) for queue in self.waiting)


def play(pick: Callable[[MarketState, Decision, random.Random], str], jobs: int) -> tuple[int, int]:
    """Offer 90 % of capacity; return how many jobs are in the system after half of them and after all."""
    rng = random.Random(8)
    state = make_market([make_offer(number, slots=1) for number in range(PROVIDERS)], POLICY)
    queues, now_ms, half = Queues(state), 0.0, 0
    for number in range(jobs):
        now_ms += rng.expovariate(0.9 * CAPACITY_PER_MS)
        queues.run_until(now_ms, rng)
        if number % 500 == 0:
            state.rebalance(now_ms)
        decision = decide(state, make_job(number, expected_output_tokens=OUTPUT_TOKENS), rng, now_ms)
        assert isinstance(decision, Decision)
        chosen = pick(state, decision, rng)
        # The rival chooses by itself; a decision about its choice alone is what reserve needs.
        row = state.hot[state.lane(chosen, decision.model).index]
        alone = decision._replace(rows=[row], costs=[0.0], chosen=0)
        queues.arrive(state.reserve(alone, now_ms), now_ms, rng)
        if number == jobs // 2:
            half = queues.size()
    return half, queues.size()


def ours(_: MarketState, decision: Decision, __: random.Random) -> str:
    return decision.provider


def even_power_of_two(state: MarketState, _: Decision, rng: random.Random) -> str:
    """Draw two providers evenly and take the one with fewer jobs: the rule of most balancers."""
    return min(rng.sample(state.lanes, 2), key=lambda lane: lane.running).offer.provider


def test_capacity_weighting_stays_bounded_at_ninety_per_cent_where_even_power_of_two_does_not() -> None:
    half, end = play(ours, 12_000)
    assert half < 3 * PROVIDERS and end < 3 * PROVIDERS
    rival_half, rival_end = play(even_power_of_two, 12_000)
    # Both slow draws come in a quarter of all cases: the slow half gets more than it can serve, for ever.
    assert rival_end > 1.5 * rival_half > 3 * end


def test_the_learned_capacities_are_in_the_ratio_of_the_speeds() -> None:
    rng = random.Random(3)
    state = make_market([make_offer(number, slots=1) for number in range(PROVIDERS)], POLICY)
    queues, now_ms = Queues(state), 0.0
    for number in range(6_000):
        now_ms += rng.expovariate(0.5 * CAPACITY_PER_MS)
        queues.run_until(now_ms, rng)
        decision = decide(state, make_job(number, expected_output_tokens=OUTPUT_TOKENS), rng, now_ms)
        assert isinstance(decision, Decision)
        queues.arrive(state.reserve(decision, now_ms), now_ms, rng)
    state.rebalance(now_ms)
    fast = sum(lane.capacity for lane in state.lanes[1::2])
    slow = sum(lane.capacity for lane in state.lanes[::2])
    assert 3.0 < fast / slow < 7.0

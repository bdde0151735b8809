"""Each rival's rule on an example worked by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from scheduler.simulate.engine import Attempt
from scheduler.simulate.pools import make_pool
from scheduler.simulate.rivals import (
    CacheAware,
    InverseSquarePrice,
    LatencyOfLastTen,
    LeastRequest,
    PowerOfTwo,
    Rival,
    RoundRobin,
    TokenAware,
    WeightedSum,
)
from scheduler.simulate.seen import SeenBlocks
from scheduler.simulate.trace import Arrival
from scheduler.simulate.world import World

ALL = (0, 1, 2)
ONE = Arrival(0, 0.0, 2_048, 10, (1, 2, 3, 4))


def started(kind: type[Rival], prices: Sequence[int] = (1, 1, 1)) -> Rival:
    """Return a rival that has begun in a world of three equal providers."""
    pool = make_pool("equal", random.Random(1), 3)
    pool = [
        replace(one, offer=replace(one.offer, price_in_atto=price)) for one, price in zip(pool, prices, strict=True)
    ]
    rival = kind(random.Random(1))
    rival.begin(World(pool, rival, [ONE]))
    return rival


def chosen(rival: Rival, times: int = 300, arrival: Arrival = ONE) -> Counter[int]:
    return Counter(rival.choose(arrival, ALL) for _ in range(times))


def test_round_robin_takes_each_in_turn() -> None:
    assert chosen(started(RoundRobin), 9) == {0: 3, 1: 3, 2: 3}


def test_least_request_takes_the_least_busy_and_draws_among_equals() -> None:
    rival = started(LeastRequest)
    rival.running = [2, 1, 1]
    assert chosen(rival).keys() == {1, 2}


def test_power_of_two_takes_the_less_busy_of_two() -> None:
    rival = started(PowerOfTwo)
    rival.running = [0, 1, 2]
    counts = chosen(rival, 900)
    assert counts[2] == 0 and counts[0] == pytest.approx(600, abs=60), (
        "the busiest never, the idlest in two pairs of three"
    )


def test_cache_aware_follows_a_match_above_three_tenths_until_the_pool_is_imbalanced() -> None:
    rival = started(CacheAware)
    rival.running = [60, 0, 0]
    rival.sent(replace(ONE, blocks=(1, 2)), 0)
    assert chosen(rival) == {0: 300}, "half of the prompt"
    assert chosen(rival, arrival=replace(ONE, blocks=(1, 2, 3, 4, 5, 6, 7)))[0] == 0, (
        "two blocks of seven are too little"
    )
    rival.running = [65, 0, 0]
    assert chosen(rival)[0] == 0, "65 apart and more than one and a half times"


def test_weighted_sum_adds_prefix_queue_and_cache() -> None:
    rival = started(WeightedSum)
    rival.sent(replace(ONE, blocks=(1, 2)), 0)
    for number in range(60):
        rival.world.engines[0].take(Attempt(Arrival(number, 0.0, 100, 100), 0, 0.0), 0.0)
    assert chosen(rival)[0] == 0, "3 · 0.5 for the prefix is less than 2 · 1 for the queue"
    rival.sent(ONE, 0)
    assert chosen(rival) == {0: 300}, "3 · 1 is more"


def test_weighted_sum_believes_a_liar() -> None:
    rival = started(WeightedSum)
    world = rival.world
    world.providers[0] = replace(world.providers[0], lies=True)  # type: ignore[index]
    for at, engine in enumerate(world.engines):
        for number in range(60 if at == 0 else 50):
            engine.take(Attempt(Arrival(number, 0.0, 100, 100), 0, 0.0), 0.0)
    assert chosen(rival) == {0: 300}


def test_token_aware_is_sticky_until_the_lead_is_too_long() -> None:
    rival = started(TokenAware)
    rival.sent(ONE, 0)
    rival.tokens = [200_000.0, 1_000.0, 0.0]
    assert chosen(rival) == {0: 300}
    rival.tokens = [rival.LEAD_TOKENS + 1.0, 1_000.0, 0.0]
    assert chosen(rival) == {2: 300}


def test_token_aware_counts_the_same_tokens_in_and_out() -> None:
    rival = started(TokenAware)
    rival.sent(replace(ONE, blocks=(1, 2)), 0)
    rival.choose(ONE, (0,))
    tokens = rival.weigh(ONE, 0)
    assert tokens == 1_024.0
    rival.sent(ONE, 0)
    assert rival.weigh(ONE, 0) == tokens


def test_latency_of_the_last_ten_tries_everybody_and_forgets_the_eleventh() -> None:
    rival = started(LatencyOfLastTen)

    def seen(provider: int, ttft_ms: float) -> None:
        attempt = Attempt(ONE, provider, 0.0)
        attempt.first_ms = ttft_ms
        rival.running[provider] += 1
        rival.finished(attempt, 1_000.0)

    seen(0, 100.0)
    assert chosen(rival)[0] == 0
    for _ in range(10):
        seen(1, 50.0)
        seen(2, 200.0)
    assert chosen(rival) == {1: 300}
    for _ in range(10):
        seen(0, 10.0)
    assert chosen(rival) == {0: 300}, "the 100 ms are forgotten"


def test_inverse_square_price_draws_by_price_and_leaves_out_who_broke_lately() -> None:
    rival = started(InverseSquarePrice, prices=(1, 2, 2))
    counts = chosen(rival, 3_000)
    assert counts[0] == pytest.approx(2_000, abs=120), "1 to a quarter to a quarter"
    rival.running[0] = 1
    rival.broken(Attempt(ONE, 0, 0.0), 0.0)
    assert chosen(rival)[0] == 0
    rival.world.now_ms = rival.OUTAGE_MS
    assert chosen(rival)[0] > 100


def test_who_broke_three_attempts_in_a_row_is_left_out_for_a_while() -> None:
    rival = started(RoundRobin)
    for _ in range(3):
        rival.running[0] += 1
        rival.broken(Attempt(ONE, 0, 0.0), 0.0)
    for number in range(6):
        rival.arrive(replace(ONE, number=number), (), 1_000.0)
    assert rival.running == [0, 3, 3]


def test_seen_blocks_tell_the_share_from_the_beginning_and_forget_the_least_recently_used() -> None:
    seen = SeenBlocks(2, 4)
    seen.add(ONE, 0)
    seen.add(replace(ONE, blocks=(1, 2)), 1)
    assert seen.shares(ONE, (0, 1)) == {0: 1.0, 1: 0.5}
    assert seen.shares(replace(ONE, blocks=(9, 2, 3)), (0, 1)) == {}
    seen.add(replace(ONE, blocks=(8,)), 0)
    assert seen.shares(ONE, (0,)) == {0: 0.75}, "its last block went"

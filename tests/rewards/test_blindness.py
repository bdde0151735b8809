"""Times of probes against times of customers: exact where it can be, calibrated where it approximates."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import Countersignature
from rewards import blindness as module
from rewards.blindness import blindness, latencies_ppb
from rewards.measurement import PPB
from rewards.testing import Network
from rewards.types import Attempt


def counted(probes: list[int], customers: list[int]) -> int:
    """Deal every way and compare rank sums, ranks counted by hand."""
    times = [*probes, *customers]
    ranks = [2 * sum(other < time for other in times) + sum(other == time for other in times) for time in times]
    sums = [sum(deal) for deal in combinations(ranks, len(probes))]
    low = sum(each <= sum(ranks[: len(probes)]) for each in sums)
    return -(-low * PPB // len(sums))


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="nothing to compare"):
        latencies_ppb([((1, 2), ())])


def test_two_faster_of_five_is_one_deal_of_ten():
    assert latencies_ppb([((5, 6), (7, 8, 9))]) == 100_000_000
    assert latencies_ppb([((7, 8), (5, 6))]) == PPB
    assert latencies_ppb([((5, 5), (5, 5, 5))]) == PPB


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_the_exact_p_value_is_the_share_of_deals_counted_one_by_one(probes: list[int], customers: list[int]):
    assert latencies_ppb([(probes, customers)]) == counted(probes, customers)


@given(st.lists(st.integers(0, 90), min_size=8, max_size=12), st.lists(st.integers(0, 90), min_size=8, max_size=12))
def test_the_approximation_is_near_the_exact_value(probes: list[int], customers: list[int]):
    exact = latencies_ppb([(probes, customers)])
    most, module.EXACT_MOST = module.EXACT_MOST, 0
    try:
        near = latencies_ppb([(probes, customers)])
    finally:
        module.EXACT_MOST = most
    # ties by the dozen make the steps of the distribution coarse
    assert abs(near - exact) <= (25_000_000 if len({*probes, *customers}) > 8 else 150_000_000)


def test_longer_requests_of_customers_do_not_look_like_slower_answers():
    rng = random.Random(4)
    short = [rng.gauss(100, 10) for _ in range(80)]
    long = [rng.gauss(400, 10) for _ in range(80)]
    probes = ([int(t) for t in short[:30]], [int(t) for t in long[:5]])
    customers = ([int(t) for t in short[30:35]], [int(t) for t in long[5:60]])
    together = latencies_ppb([(probes[0] + probes[1], customers[0] + customers[1])])
    assert together < 1_000 < 50_000_000 < latencies_ppb(list(zip(probes, customers, strict=True)))


NET = Network(providers=2, customers=2)
FAIR, SPECIAL = NET.provider_names


def served(provider: str, customer: str, ttft_ms: int, number: int, itl_us: int = 9_000) -> Attempt:
    made = NET.attempt(provider, customer, number % NET.slots, job=number.to_bytes(32))
    counter = Countersignature(made.receipt.struct_hash(), customer, number % NET.slots, ttft_ms, itl_us)
    return Attempt(made.receipt, made.provider_signature, counter, made.gateway, made.gateway_signature)


def test_whoever_is_slow_for_customers_alone_is_found_and_nobody_else():
    rng, attempts = random.Random(1), []
    verifier, customer = NET.verifier_keys[0].address, NET.customer_names[0]
    for number in range(0, 120, 4):
        attempts += [
            served(FAIR, verifier, rng.randrange(100, 200), number),
            served(FAIR, customer, rng.randrange(100, 200), number + 1),
            served(SPECIAL, verifier, rng.randrange(100, 200), number + 2),
            served(SPECIAL, customer, rng.randrange(160, 260), number + 3),
        ]
    fair, special = blindness(NET.inputs(attempts=attempts))
    assert (fair.provider, fair.probes, fair.customers) == (FAIR, 30, 30)
    assert fair.p_ppb > 10_000_000 and special.p_ppb < 1_000_000
    assert special.probes_median_ms < 180 < special.customers_median_ms


def test_answers_that_were_not_streamed_and_too_few_of_them_say_nothing():
    verifier, customer = NET.verifier_keys[0].address, NET.customer_names[0]
    whole = [
        served(FAIR, who, 100 + n, 2 * n + (who == customer), 0) for n in range(30) for who in (verifier, customer)
    ]
    few = [served(SPECIAL, verifier, 1, 100 + n) for n in range(9)] + [served(SPECIAL, customer, 9, 200)]
    assert [(one.probes, one.p_ppb) for one in blindness(NET.inputs(attempts=[*whole, *few]))] == [(0, PPB), (9, PPB)]

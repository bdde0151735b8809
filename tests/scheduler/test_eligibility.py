"""Cached pools equal what the rules say of every offer, after any change; alias tables draw as they were weighed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.eligibility import (
    POOLS_LIMIT,
    STATIC_RULES,
    Eligibility,
    bits_of,
    disagreement,
    in_region,
    lanes_of,
)
from scheduler.sampling import build_alias_table
from scheduler.testing import make_market, make_offer
from scheduler.types import Demand, Offer

MODELS = ("a", "b")
FEATURES = ("tools", "json_schema", "logprobs")
REGIONS = ("eu", "eu-west", "us", "europe")

offers = st.builds(
    lambda model, context, features, region, price, jailed, weight: make_offer(
        model=model,
        context_length=context,
        features=frozenset(features),
        region=region,
        price_in_atto=price,
        price_out_atto=2 * price,
        jailed=jailed,
        weight_ppm=weight,
    ),
    st.sampled_from(MODELS),
    st.sampled_from((512, 2_048, 4_096)),
    st.sets(st.sampled_from(FEATURES)),
    st.sampled_from(REGIONS),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from((0, 250_000, 1_000_000)),
)
demands = st.builds(
    Demand,
    st.sampled_from((*MODELS, "c")),
    st.frozensets(st.sampled_from((*FEATURES, "embeddings"))),
    st.sampled_from(("", *REGIONS)),
    st.one_of(st.none(), st.integers(0, 5)),
    st.one_of(st.none(), st.integers(0, 10)),
)


def by_rules(registered: dict[int, Offer], demand: Demand, tokens: int) -> tuple[list[int], dict[str, int]]:
    """Apply the rules to every offer, one after the other, without any cache."""
    lanes, excluded = [], dict.fromkeys(STATIC_RULES, 0)
    for lane, offer in sorted(registered.items()):
        for rule in STATIC_RULES:
            if disagreement(rule, offer, demand, tokens) is not None:
                excluded[rule] += 1
                break
        else:
            lanes.append(lane)
    return lanes, excluded


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | offers, demands, st.sampled_from((1, 512, 513, 4_096, 9_999))),
        min_size=1,
        max_size=40,
    )
)
def test_cached_pools_equal_recomputed_ones_after_every_change(
    steps: list[tuple[int, Offer | None, Demand, int]],
) -> None:
    eligible = Eligibility(3, lambda lane: 1.0 + lane, lambda lane: lane % 2 == 0)
    registered: dict[int, Offer] = {}
    asked: list[tuple[Demand, int]] = []
    for lane, offer, demand, tokens in steps:
        if offer is None:
            eligible.drop(lane)
            registered.pop(lane, None)
        else:
            eligible.put(lane, offer)
            registered[lane] = offer
        asked.append((demand, tokens))
        for demand, tokens in asked:
            pool = eligible.pool(demand, tokens)
            lanes, excluded = by_rules(registered, demand, tokens)
            assert list(pool.lanes) == lanes
            assert {"model": eligible.count_others(demand.model), **pool.excluded} == excluded
            assert pool.bits == bits_of(lanes) and pool.members == set(lanes)
            assert (pool.table is not None) == (len(lanes) > 3)
            assert set(pool.newcomers) in ({lane for lane in lanes if lane % 2 == 0}, set())


def test_a_pool_is_built_once_until_an_offer_of_its_model_changes() -> None:
    eligible = Eligibility(64, lambda lane: 1.0, lambda lane: False)
    eligible.put(0, make_offer(0, model="a"))
    eligible.put(1, make_offer(1, model="b"))
    first = eligible.pool(Demand("a"), 100)
    assert eligible.pool(Demand("a"), 200) is first
    eligible.put(1, make_offer(1, model="b", price_in_atto=7))
    assert eligible.pool(Demand("a"), 100) is first
    eligible.put(0, make_offer(0, model="a", price_in_atto=7))
    assert eligible.pool(Demand("a"), 100) is not first


def test_another_models_context_length_does_not_move_a_cached_pool_to_other_jobs() -> None:
    eligible = Eligibility(64, lambda lane: 1.0, lambda lane: False)
    eligible.put(0, make_offer(0, model="a", context_length=2_048))
    assert eligible.pool(Demand("a"), 3_000).lanes == ()
    eligible.put(1, make_offer(1, model="b", context_length=512))
    assert eligible.pool(Demand("a"), 1_000).lanes == (0,)


def test_scores_and_stakes_change_without_rebuilding_pools() -> None:
    state = make_market([make_offer(0), make_offer(1)])
    pool = state.eligible.pool(Demand(make_offer().model), 100)
    state.put_offer(make_offer(0, score_ppm=1, stake_free_atto=5, observations=0), 0.0)
    assert state.eligible.pool(Demand(make_offer().model), 100) is pool
    state.put_offer(make_offer(0, jailed=True), 0.0)
    assert state.eligible.pool(Demand(make_offer().model), 100).lanes == (1,)


def test_the_cache_of_pools_is_bounded() -> None:
    eligible = Eligibility(64, lambda lane: 1.0, lambda lane: False)
    eligible.put(0, make_offer())
    for price in range(2 * POOLS_LIMIT):
        eligible.pool(Demand(make_offer().model, max_price_in_atto=price), 1)
    assert len(eligible._pools) == POOLS_LIMIT


def test_a_region_holds_its_parts_but_not_its_namesakes() -> None:
    assert in_region("eu", "eu") and in_region("eu", "eu-west") and in_region("", "us")
    assert not in_region("eu", "europe") and not in_region("eu-west", "eu") and not in_region("us", "eu")


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="the rules are"):
        disagreement("colour", make_offer(), Demand("a"), 1)


@given(st.sets(st.integers(0, 12_000)))
def test_bitsets_and_lists_of_lanes_convert_both_ways(lanes: set[int]) -> None:
    assert lanes_of(bits_of(lanes)) == sorted(lanes)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=200))
def test_an_alias_table_holds_exactly_the_probabilities_it_was_built_from(weights: list[float]) -> None:
    table = build_alias_table(range(len(weights)), weights)
    total = sum(weights)
    for item, weight in enumerate(weights):
        wanted = weight / total if total > 0 else 1 / len(weights)
        assert table.probability(item) == pytest.approx(wanted, abs=1e-9)


def test_draws_from_an_alias_table_follow_the_weights() -> None:
    weights = [1.0, 2.0, 3.0, 10.0, 0.0, 4.0]
    table = build_alias_table([10, 11, 12, 13, 14, 15], weights)
    rng, counts = random.Random(2), dict.fromkeys(range(10, 16), 0)
    for _ in range(100_000):
        counts[table.pick(rng.random())] += 1
    for item, weight in zip(counts, weights, strict=True):
        # Five standard deviations of a binomial count.
        p = weight / 20
        assert abs(counts[item] - 100_000 * p) <= 5 * (100_000 * p * (1 - p)) ** 0.5 + 1e-9


def test_sampling_weighs_capacity_times_score_squared_and_probation() -> None:
    state = make_market([make_offer(number) for number in range(100)])
    base = state.lanes[0].sampling_weight()
    changes = {
        1: {"score_ppm": 475_000},
        2: {"weight_ppm": 250_000},
        3: {"audited_tokens_per_s": round(2 * state.lanes[0].capacity)},
    }
    for number, change in changes.items():
        state.put_offer(replace(make_offer(number), **change), 0.0)
    state.rebalance(0.0)
    table = state.eligible.pool(Demand(make_offer().model), 1).table
    assert table is not None
    one = table.probability(0)
    assert base > 0
    assert table.probability(1) == pytest.approx(0.25 * one)
    assert table.probability(2) == pytest.approx(0.25 * one)
    assert table.probability(3) == pytest.approx(2 * one, rel=1e-3)

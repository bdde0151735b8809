"""The choice: least expected cost, ablations, newcomers, session pins, and refusals that name their rules."""

from __future__ import annotations

import random
from dataclasses import replace
from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.classes import BACKGROUND, BATCH, CLASSES, REALTIME, STANDARD
from scheduler.cost import BARRED, CHEAPEST, MOST_RELIABLE, SHORTEST_DELAY, TermWeights
from scheduler.decide import Decision, MarketState, decide
from scheduler.errors import NotACandidate
from scheduler.policy import Policy
from scheduler.testing import (
    MICRO_ATTO,
    address,
    decided,
    make_job,
    make_market,
    make_offer,
    make_pool,
    refused,
    serve,
)
from scheduler.types import Demand, Job, Outcome, Status

QUIET = Policy(newcomer_floor_ppm=0, explore_ppm=0)


def loaded_market(count: int, seed: int, policy: Policy = QUIET) -> MarketState:
    """Return a market with different loads, histories and models on every lane."""
    rng = random.Random(seed)
    state = make_market(make_pool(count, seed), policy)
    for number in range(3 * count):
        decision = decide(state, make_job(number, input_tokens=rng.randrange(1, 3_000)), rng, 0.0)
        if isinstance(decision, Decision):
            reservation = state.reserve(decision, 0.0, rng.choice(decision.order()))
            fate = rng.random()
            if fate < 0.4:
                serve(state, reservation, 0.0, rng.uniform(20, 900), rng.uniform(5, 80))
            elif fate < 0.45:
                state.release(reservation, Outcome(Status.PROVIDER_ERROR), 0.0)
    return state


def expected_cost(state: MarketState, provider: str, job: Job) -> float:
    """Compute J from the models and counters, by the formula of the design and not by rows."""
    lane = state.lane(provider, job.demand.model)
    offer, service, latency = lane.offer, job.service, lane.latency
    running, queued_tokens, kv_tokens = lane.load()
    ttft = latency.ttft_ms(queued_tokens + job.input_tokens)
    if running >= offer.slots:
        ttft += (running - offer.slots + 1) * lane.job_ms / offer.slots
    kv = kv_tokens + job.input_tokens + job.expected_output_tokens / 2
    itl = latency.itl_ms(running + 1, kv)
    on_time = 1 / (1 + exp(1.702 / latency.ttft.sigma * (1 - service.slo_ttft_ms / ttft)))
    on_pace = 1 / (1 + exp(1.702 / latency.itl.sigma * (1 - service.slo_itl_us / 1000 / itl)))
    seen = offer.observations + lane.observations
    base = ttft - latency.token_ms * job.input_tokens
    return (
        job.input_tokens * offer.price_in_atto
        + job.expected_output_tokens * offer.price_out_atto
        + service.ttft_value_atto * ttft
        + service.itl_value_atto * job.expected_output_tokens * itl
        + service.miss_atto * (1 - on_time * on_pace)
        + service.failure_atto * (1 - lane.reliability.rho)
        - service.curiosity_atto * latency.ttft.sigma * base / (seen + 1) ** 0.5
    )


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 64),
    seed=st.integers(0, 10_000),
    service=st.sampled_from(sorted(CLASSES)),
    tokens=st.integers(1, 4_000),
)
def test_the_choice_is_the_least_expected_cost_of_all_up_to_64(
    count: int, seed: int, service: str, tokens: int
) -> None:
    state = loaded_market(count, seed)
    job = make_job(input_tokens=tokens, service=CLASSES[service])
    decision = decide(state, job, random.Random(seed), 0.0)
    if not isinstance(decision, Decision):
        assert decision.retryable
        return
    allowed = [
        lane.offer.provider
        for lane in state.lanes
        if not lane.compute_gate(0.0, state.policy) & decision.mask and tokens + 1_000 <= lane.offer.context_length
    ]
    costs = {provider: expected_cost(state, provider, job) for provider in allowed}
    assert set(decision.order()) == set(allowed)
    assert costs[decision.provider] == pytest.approx(min(costs.values()), rel=1e-9)
    for provider, term in decision.terms().items():
        assert term.total_atto == pytest.approx(costs[provider], rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 200), seed=st.integers(0, 10_000), hit=st.integers(0, 2_000))
def test_the_terms_sum_to_the_very_bits_of_the_cost_that_was_compared(count: int, seed: int, hit: int) -> None:
    state = loaded_market(count, seed)
    warm = tuple((address(number), hit) for number in range(3))
    decision = decide(state, make_job(input_tokens=1_500, warm=warm), random.Random(seed), 0.0)
    if isinstance(decision, Decision):
        by_provider = {decision.names[row[0]]: cost for row, cost in zip(decision.rows, decision.costs, strict=True)}
        for provider, term in decision.terms().items():
            assert term.total_atto == by_provider[provider]


def test_runner_ups_follow_in_order_of_cost_and_each_is_named_once() -> None:
    decision = decided(make_market(make_pool(300)), make_job())
    order = decision.order()
    assert order[0] == decision.provider
    assert len(order) == len(set(order)) >= 3
    totals = [decision.terms()[provider].total_atto for provider in order]
    assert totals == sorted(totals)


def test_a_runner_up_can_be_reserved_and_a_stranger_cannot() -> None:
    state = make_market(make_pool(5), QUIET)
    decision = decided(state, make_job())
    second = decision.order()[1]
    assert state.reserve(decision, 0.0, second).provider == second
    with pytest.raises(NotACandidate):
        state.reserve(decision, 0.0, address(99))


def test_equal_providers_share_the_work_instead_of_the_first_taking_all() -> None:
    state = make_market([make_offer(number) for number in range(4)], QUIET)
    rng = random.Random(5)
    chosen = [decide(state, make_job(), rng, 0.0).provider for _ in range(400)]  # type: ignore[union-attr]
    assert all(chosen.count(address(number)) > 60 for number in range(4))


def test_price_alone_is_the_cheapest_rule() -> None:
    state = make_market(make_pool(40, seed=9), replace(QUIET, weights=CHEAPEST))
    job = make_job()
    cheapest = min(state.lanes, key=lambda lane: 500 * lane.offer.price_in_atto + 200 * lane.offer.price_out_atto)
    assert decided(state, job).provider == cheapest.offer.provider


def test_delay_alone_is_the_shortest_expected_delay_rule() -> None:
    slow = make_offer(0, hardware_class="T4", price_in_atto=1, price_out_atto=1)
    fast = make_offer(1, hardware_class="H100", price_in_atto=10**13, price_out_atto=10**13)
    state = make_market([slow, fast], replace(QUIET, weights=SHORTEST_DELAY))
    assert decided(state, make_job()).provider == address(1)
    # Behind enough prompt tokens the fast one takes longer than the slow one does at once.
    state.report(address(1), fast.model, 5, 40_000.0, 0.0, 0.0)
    ahead_ms = state.lane(address(1), fast.model).latency.ttft_ms(40_500)
    assert ahead_ms > state.lane(address(0), slow.model).latency.ttft_ms(500)
    assert decided(state, make_job()).provider == address(0)


def test_delay_alone_on_equal_machines_is_the_least_tokens_rule() -> None:
    offers = [make_offer(number, price_in_atto=MICRO_ATTO * (number + 1)) for number in range(6)]
    state = make_market(offers, replace(QUIET, weights=SHORTEST_DELAY))
    queued = [900.0, 400.0, 300.0, 700.0, 120.0, 500.0]
    for number, tokens in enumerate(queued):
        # Few long prompts against many short ones: tokens decide, not the number of requests.
        state.report(address(number), offers[number].model, 10 if number == 4 else 1, tokens, 0.0, 0.0)
    assert decided(state, make_job()).provider == address(4)


def test_failure_alone_is_the_most_reliable_rule() -> None:
    state = make_market(make_pool(40, seed=2), replace(QUIET, weights=MOST_RELIABLE))
    best = max(state.lanes, key=lambda lane: lane.reliability.rho)
    assert decided(state, make_job()).provider == best.offer.provider


@pytest.mark.parametrize("term", ["price", "ttft", "pace", "miss", "failure", "curiosity"])
def test_every_term_can_be_switched_off_alone(term: str) -> None:
    state = loaded_market(20, 4, replace(QUIET, weights=replace(TermWeights(), **{term: 0.0})))
    field = f"{term}_atto"
    terms = decided(state, make_job()).terms().values()
    assert all(getattr(parts, field) == 0 for parts in terms)
    state = loaded_market(20, 4)
    assert any(getattr(parts, field) != 0 for parts in decided(state, make_job()).terms().values())


def test_realtime_pays_for_speed_where_batch_takes_the_cheap_one() -> None:
    cheap = make_offer(0, hardware_class="T4", price_in_atto=MICRO_ATTO // 4, price_out_atto=MICRO_ATTO)
    quick = make_offer(1, hardware_class="H100", price_in_atto=2 * MICRO_ATTO, price_out_atto=8 * MICRO_ATTO)
    state = make_market([cheap, quick], QUIET)
    assert decided(state, make_job(service=REALTIME)).provider == address(1)
    assert decided(state, make_job(service=BATCH)).provider == address(0)


def test_score_moves_the_choice_between_otherwise_equal_providers() -> None:
    state = make_market([make_offer(0, score_ppm=400_000), make_offer(1, score_ppm=990_000)], QUIET)
    assert all(decided(state, make_job(), seed).provider == address(1) for seed in range(20))


def test_stake_beyond_what_the_job_needs_changes_nothing() -> None:
    poor, rich = make_offer(0, stake_free_atto=10**18), make_offer(1, stake_free_atto=10**24)
    terms = decided(make_market([poor, rich], QUIET), make_job()).terms()
    assert terms[address(0)].total_atto == terms[address(1)].total_atto


def test_a_session_returns_to_the_provider_that_holds_its_prefix() -> None:
    state = make_market([make_offer(number) for number in range(200)], QUIET)
    first = decided(state, make_job(session="s", input_tokens=3_000))
    serve(state, state.reserve(first, 0.0), 0.0)
    for seed in range(20):
        again = decided(state, make_job(session="s", input_tokens=3_300), seed)
        assert again.provider == first.provider
        assert again.hits == {first.row[0]: 3_200}


def test_a_pin_expires_and_does_not_outlive_the_offer() -> None:
    state = make_market([make_offer(number) for number in range(200)], QUIET)
    first = decided(state, make_job(session="s"))
    serve(state, state.reserve(first, 0.0), 0.0)
    assert not decided(state, make_job(session="s"), now_ms=300_001.0).hits
    state.remove_offer(first.provider, first.model, 1.0)
    assert not decided(state, make_job(session="s"), now_ms=2.0).hits


def test_a_warm_provider_is_left_when_its_queue_costs_more_than_a_cold_start() -> None:
    state = make_market([make_offer(0), make_offer(1)], QUIET)
    warm = ((address(0), 2_000),)
    assert decided(state, make_job(input_tokens=2_001, warm=warm)).provider == address(0)
    state.report(address(0), make_offer().model, 20, 30_000.0, 0.0, 0.0)
    assert decided(state, make_job(input_tokens=2_001, warm=warm)).provider == address(1)


def test_at_most_three_prefix_holders_are_asked() -> None:
    state = make_market([make_offer(number) for number in range(200)], QUIET)
    warm = tuple((address(number), 100) for number in range(10))
    assert len(decided(state, make_job(warm=warm)).hits) == 3


@pytest.mark.parametrize("count", [20, 200])
def test_newcomers_get_their_floor_though_others_look_better(count: int) -> None:
    offers = [make_offer(number) for number in range(count)]
    for number in range(3):
        offers[number] = make_offer(number, observations=0, score_ppm=300_000, hardware_class="T4")
    state = make_market(offers)
    newcomers = {address(number) for number in range(3)}
    rng, given_to_newcomers = random.Random(11), 0
    for _ in range(4_000):
        decision = decide(state, make_job(service=REALTIME), rng, 0.0)
        assert isinstance(decision, Decision)
        given_to_newcomers += decision.provider in newcomers
    # 200 expected, standard deviation 14.
    assert given_to_newcomers >= 150
    without = make_market(offers, QUIET)
    assert not any(
        decide(without, make_job(service=REALTIME), rng, 0.0).provider in newcomers  # type: ignore[union-attr]
        for _ in range(400)
    )


def test_a_newcomer_cannot_ask_any_price_for_its_floor() -> None:
    offers = [make_offer(number) for number in range(10)]
    offers.append(make_offer(10, observations=0, price_in_atto=2 * MICRO_ATTO, price_out_atto=6 * MICRO_ATTO))
    state, rng = make_market(offers), random.Random(3)
    assert all(
        decide(state, make_job(), rng, 0.0).provider != address(10)  # type: ignore[union-attr]
        for _ in range(1_000)
    )


def test_a_newcomer_stops_being_one_after_enough_observations() -> None:
    state = make_market([make_offer(0, observations=199), make_offer(1)])
    lane = state.lane(address(0), make_offer().model)
    assert lane.is_newcomer(state.policy)
    decision = decided(state, make_job())
    serve(state, state.reserve(decision, 0.0, address(0)), 0.0)
    assert not lane.is_newcomer(state.policy)


@pytest.mark.parametrize(("weight_ppm", "least", "most"), [(250_000, 0.2, 0.3), (500_000, 0.45, 0.55)])
def test_probation_thins_the_traffic_of_the_best_provider_of_a_small_pool(
    weight_ppm: int, least: float, most: float
) -> None:
    state = make_market([make_offer(0, weight_ppm=weight_ppm, price_in_atto=1, price_out_atto=1), make_offer(1)], QUIET)
    rng = random.Random(1)
    share = sum(
        decide(state, make_job(), rng, 0.0).provider == address(0)  # type: ignore[union-attr]
        for _ in range(2_000)
    )
    assert least < share / 2_000 < most


def test_a_provider_on_probation_serves_when_it_is_the_only_one() -> None:
    state = make_market([make_offer(0, weight_ppm=250_000)], QUIET)
    assert all(decided(state, make_job(), seed).provider == address(0) for seed in range(20))


def test_the_same_market_and_rng_state_give_the_same_decisions() -> None:
    for count in (30, 500):
        runs = []
        for _ in range(2):
            state, rng = loaded_market(count, 6, Policy()), random.Random(77)
            runs.append([decide(state, make_job(number), rng, 0.0) for number in range(200)])
        assert runs[0] == runs[1]


def test_a_full_sample_does_not_hide_a_free_provider() -> None:
    state = make_market([make_offer(number, slots=1) for number in range(300)], replace(QUIET, queue_allowance=0))
    for number in range(300):
        if number != 217:
            state.report(address(number), make_offer().model, 1, 0.0, 0.0, 0.0)
    assert decided(state, make_job()).provider == address(217)


def test_a_tight_stake_does_not_hide_the_one_provider_with_room() -> None:
    offers = [make_offer(number, stake_free_atto=1) for number in range(300)]
    offers[250] = make_offer(250)
    assert decided(make_market(offers, QUIET), make_job()).provider == address(250)


def test_refuses_an_unknown_model_and_says_that_no_wait_helps() -> None:
    refusal = refused(make_market(make_pool(5)), make_job(demand=Demand("nobody-has-this")))
    assert (refusal.rule, refusal.counts, refusal.retryable, refusal.wait_ms) == ("model", {"model": 5}, False, 0)


def test_refuses_with_every_rule_named_and_counted_once() -> None:
    offers = [
        make_offer(0, model="another"),
        make_offer(1, jailed=True),
        make_offer(2, context_length=100),
        make_offer(3, features=frozenset()),
        make_offer(4, region="us"),
        make_offer(5, price_in_atto=10 * MICRO_ATTO),
        make_offer(6, stake_free_atto=5),
        make_offer(7, price_out_atto=100 * MICRO_ATTO),
        make_offer(8),
        make_offer(9),
        make_offer(10),
        make_offer(11),
    ]
    state = make_market(offers, replace(QUIET, queue_allowance=0))
    model = make_offer().model
    state.report(address(8), model, 32, 0.0, 0.0, 0.0)
    breaker = state.lane(address(9), model).breaker
    for _ in range(3):
        breaker.failure(0.0)
    state.observe_rtt(address(9), 5.0, 0.0)
    only_tenth = decided(make_market([offers[10]], QUIET), make_job())
    state.report(address(11), model, 32, 0.0, 0.0, 0.0)
    job = make_job(demand=Demand(model, frozenset({"tools"}), "eu", 2 * MICRO_ATTO), budget_atto=4 * 10**15)
    # The tenth refuses although it holds nothing: it stays away for a moment.
    reservation = state.reserve(decided(state, job), 0.0)
    assert reservation.provider == only_tenth.provider == address(10)
    state.release(reservation, Outcome(Status.REFUSED), 0.0)
    refusal = refused(state, job)
    assert refusal.counts == {
        "model": 1, "jailed": 1, "context": 1, "features": 1, "region": 1, "price": 1,
        "full": 2, "breaker_open": 1, "refused_lately": 1, "budget": 1, "stake_ceiling": 1,
    }  # fmt: skip
    assert sum(refusal.counts.values()) == len(offers)
    assert refusal.rule == "full"
    assert refusal.retryable
    assert 0 < refusal.wait_ms <= 5_000


def test_refusal_waits_for_the_first_breaker_to_half_open() -> None:
    state = make_market([make_offer(0), make_offer(1)], QUIET)
    for number in range(6):
        decision = decided(state, make_job())
        state.release(state.reserve(decision, 100.0 * number), Outcome(Status.TIMEOUT), 100.0 * number)
    refusal = refused(state, make_job(), now_ms=600.0)
    assert refusal.rule == "breaker_open"
    assert 4_000 <= refusal.wait_ms <= 5_000
    assert isinstance(decide(state, make_job(service=BACKGROUND), random.Random(1), 600.0 + refusal.wait_ms), Decision)


def test_a_budget_that_no_provider_meets_is_refused_for_good() -> None:
    refusal = refused(make_market(make_pool(100)), make_job(budget_atto=1))
    assert (refusal.rule, refusal.retryable) == ("budget", False)


def test_the_traffic_cap_moves_work_to_others_but_never_refuses() -> None:
    policy = replace(QUIET, share_cap_ppm=300_000, share_capacity_multiple=1.0, weights=CHEAPEST)
    offers = [make_offer(number, price_in_atto=MICRO_ATTO + number) for number in range(4)]
    state, rng, now_ms, counts = make_market(offers, policy), random.Random(4), 0.0, [0, 0, 0, 0]
    for number in range(1_000):
        now_ms += 50.0
        decision = decide(state, make_job(number), rng, now_ms)
        assert isinstance(decision, Decision)
        counts[decision.row[0]] += 1
        serve(state, state.reserve(decision, now_ms), now_ms)
    assert counts[0] < 450 and counts[3] >= 50
    for number in range(1, 4):
        state.remove_offer(address(number), make_offer().model, now_ms)
    assert decided(state, make_job(), now_ms=now_ms).provider == address(0)


def test_barred_candidates_cost_infinity_and_are_never_chosen() -> None:
    state = make_market([make_offer(0, stake_free_atto=1), make_offer(1)], QUIET)
    decision = decided(state, make_job())
    assert sorted(cost == BARRED for cost in decision.costs) == [False, True]
    assert decision.order() == [address(1)]


def test_standard_is_the_default_class_of_the_builders() -> None:
    assert make_job().service is STANDARD

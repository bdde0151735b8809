"""When a job had better wait than be served late, and who goes first of those that wait."""

from __future__ import annotations

import random
from dataclasses import replace

from scheduler.classes import STANDARD
from scheduler.decide import decide
from scheduler.decision import Decision
from scheduler.explain import explain
from scheduler.flow.bands import FlowPolicy
from scheduler.flow.flow import Flow
from scheduler.flow.line import Verdict
from scheduler.flow.places import Places
from scheduler.flow.queue import Waiting
from scheduler.gates import BUSY, FULL
from scheduler.hardware import cache_tokens
from scheduler.lane import KNOWN_AFTER
from scheduler.policy import Policy
from scheduler.refusal import BETTER_WAIT
from scheduler.state import MarketState
from scheduler.testing import MODEL, address, decided, make_job, make_market, make_offer, refused, serve
from scheduler.types import Outcome, Status

QUIET = Policy(newcomer_floor_ppm=0, explore_ppm=0, share_cap_ppm=1_000_000)
LONG = {"input_tokens": 6_000, "expected_output_tokens": 10}


def fast_and_slow(policy: Policy = QUIET) -> MarketState:
    """Return a market of one H100 with one place and one CPU, on which a long prompt takes minutes."""
    fast = make_offer(0, hardware_class="H100", slots=1)
    slow = make_offer(1, hardware_class="CPU", slots=64, price_in_atto=1, price_out_atto=1)
    return make_market([fast, slow], replace(policy, queue_allowance=0))


def test_a_job_waits_for_a_quick_lane_rather_than_be_late_at_the_only_one_with_a_place() -> None:
    state = fast_and_slow()
    first = decided(state, make_job(0, **LONG))
    assert first.provider == address(0)
    state.reserve(first, 0.0)
    refusal = refused(state, make_job(1, **LONG))
    assert refusal.rule == BETTER_WAIT and refusal.retryable and refusal.wait_ms >= 50
    assert sum(refusal.counts.values()) == 2


def test_a_job_that_is_in_time_anywhere_does_not_wait() -> None:
    state = fast_and_slow()
    short = {"input_tokens": 8, "expected_output_tokens": 1, "service": replace(STANDARD, slo_itl_us=10**9)}
    state.reserve(decided(state, make_job(0, **LONG)), 0.0)
    assert decided(state, make_job(1, **short)).provider == address(1)


def test_a_policy_may_send_on_at_once() -> None:
    state = fast_and_slow(replace(QUIET, waits_for_better=False))
    state.reserve(decided(state, make_job(0, **LONG)), 0.0)
    assert decided(state, make_job(1, **LONG)).provider == address(1)


def test_time_waited_is_time_lost_for_the_objective_and_none_is_left_at_its_end() -> None:
    state = make_market([make_offer()], QUIET)
    slo_ms = STANDARD.coefficients[3]

    def objective(waited_ms: float) -> tuple[float, float]:
        coefficients = decided(state, make_job(waited_ms=waited_ms)).numbers[4]
        return coefficients[3], coefficients[5]

    assert objective(0.0) == (slo_ms, STANDARD.miss_atto)
    assert objective(500.0) == (slo_ms - 500.0, STANDARD.miss_atto)
    assert objective(slo_ms) == (slo_ms, 0.0)


def known(state: MarketState) -> None:
    """Let the first lane serve as many jobs as it takes to know it."""
    for number in range(KNOWN_AFTER):
        now_ms = 1_000.0 * number
        reservation = state.reserve(decided(state, make_job(number), now_ms=now_ms), now_ms)
        serve(state, reservation, now_ms, reservation.ttft_ms, reservation.itl_ms)


def test_a_backlog_of_prompts_bars_a_lane_until_they_are_computed() -> None:
    state = make_market([make_offer()], QUIET)
    known(state)
    now_ms = 1e6
    long = state.reserve(decided(state, make_job(50, **LONG), now_ms=now_ms), now_ms)
    assert refused(state, make_job(51), now_ms=now_ms).rule == "backlog"
    assert state.places(MODEL).free == 0
    said = explain(state, make_job(51), refused(state, make_job(51), now_ms=now_ms), now_ms).of(address(0))
    assert said is not None and said.rule == "backlog" and said.need == 250.0 < said.has
    state.started(long, 500.0, now_ms)
    assert decided(state, make_job(52), now_ms=now_ms).provider == address(0)
    assert state.places(MODEL).free == 33


def test_a_backlog_does_not_bar_who_finds_its_prompt_in_the_cache() -> None:
    state = make_market([make_offer()], QUIET)
    known(state)
    state.reserve(decided(state, make_job(50, **LONG), now_ms=1e6), 1e6)
    warm = make_job(51, **LONG, warm=((address(0), 5_120),))
    decision = decided(state, warm, now_ms=1e6)
    assert state.reserve(decision, 1e6).fresh_tokens == 880
    assert refused(state, make_job(52, **LONG, warm=((address(0), 512),)), now_ms=1e6).rule == "backlog"


def test_caches_that_are_full_by_our_own_count_bar_a_lane() -> None:
    state = make_market([make_offer(hardware_class="4090", stake_free_atto=10**24)], QUIET)
    known(state)
    room = cache_tokens("4090", 1, 8_000)
    taken, number = 0.0, 100
    while not state.lanes[0].compute_gate(1e6, state.policy) & BUSY:
        reservation = state.reserve(decided(state, make_job(number, **LONG), now_ms=1e6), 1e6)
        state.started(reservation, 500.0, 1e6)
        taken, number = taken + 6_005.0, number + 1
        assert not state.lanes[0].compute_gate(1e6, state.policy) & FULL
    assert taken - 6_005.0 <= room < taken


def late_flow() -> tuple[Flow, Places]:
    return Flow(FlowPolicy(oldest_every=10**9)), Places()


def enter(flow: Flow, places: Places, tenant: str, good_ms: float, now_ms: float = 0.0) -> Waiting:
    line = flow.line(MODEL, places)
    job = flow.enter(line, 1, tenant, tenant, "chat", (1, 1), 1.0, now_ms, good_ms=good_ms)
    assert isinstance(job, Waiting)
    return job


def order(flow: Flow, places: Places, now_ms: float) -> list[Waiting]:
    placed: list[Waiting] = []

    def attempt(job: Waiting) -> Verdict:
        placed.append(job)
        return Verdict.TAKEN

    places.total = 100
    flow.dispatch(flow.line(MODEL, places), now_ms, attempt)
    return placed


def test_who_can_still_be_in_time_goes_before_who_cannot() -> None:
    flow, places = late_flow()
    jobs = [enter(flow, places, "a", 100.0), enter(flow, places, "b", 900.0), enter(flow, places, "a", 800.0)]
    assert order(flow, places, 500.0) == [jobs[2], jobs[1], jobs[0]]


def test_before_anybody_is_late_the_order_is_by_arrival() -> None:
    flow, places = late_flow()
    jobs = [enter(flow, places, "a", 100.0), enter(flow, places, "b", 900.0), enter(flow, places, "a", 800.0)]
    assert order(flow, places, 99.0) == jobs


def test_the_one_turn_in_so_many_of_the_oldest_is_kept_for_the_late_too() -> None:
    flow, places = Flow(FlowPolicy(oldest_every=1)), Places()
    jobs = [enter(flow, places, "a", 100.0), enter(flow, places, "b", 900.0)]
    assert order(flow, places, 500.0) == jobs


def test_a_late_job_can_leave_and_is_gone() -> None:
    flow, places = late_flow()
    late, other = enter(flow, places, "a", 100.0), enter(flow, places, "a", 900.0)
    line = flow.line(MODEL, places)
    line.queues[1].age(500.0)
    assert late.late and not other.late
    assert flow.leave(late)
    assert order(flow, places, 600.0) == [other]


def test_the_quickest_lane_is_found_when_the_market_is_weighed() -> None:
    state = fast_and_slow()
    assert state.quickest_ms(MODEL, 100.0) == 0.0
    state.rebalance(0.0)
    assert state.quickest_ms(MODEL, 100.0) == state.lanes[0].latency.ttft_ms(100.0)


def test_a_broken_wait_gives_nothing_away() -> None:
    """A refusal to wait for something better reserves nothing, and the job goes once the quick lane is free."""
    state = fast_and_slow()
    first = state.reserve(decided(state, make_job(0, **LONG)), 0.0)
    refused(state, make_job(1, **LONG))
    assert state.open_reservations == 1
    state.release(first, Outcome(Status.CUSTOMER_ABORT), 10.0)
    again = decide(state, make_job(1, **LONG, waited_ms=10.0), random.Random(1), 10.0)
    assert isinstance(again, Decision) and again.provider == address(0)

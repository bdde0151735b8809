"""The breaker opens on failures, tests with filler first, and its deadline only moves later."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.breaker import FILLER_GRACE_MS, FIRST_OPEN_MS, LONGEST_OPEN_MS, TEST_LEASE_MS, Breaker
from scheduler.classes import BACKGROUND
from scheduler.gates import OPEN, TRIAL
from scheduler.testing import address, decided, make_job, make_market, make_offer, serve
from scheduler.types import Outcome, Status


def opened_at(now_ms: float) -> Breaker:
    breaker = Breaker()
    for _ in range(3):
        breaker.failure(now_ms)
    assert breaker.is_open
    return breaker


def test_two_failures_in_a_row_do_not_open_and_three_do() -> None:
    breaker = Breaker()
    for now_ms in (0.0, 1.0):
        breaker.failure(now_ms)
        assert breaker.gate(now_ms) == 0
    breaker.failure(2.0)
    assert breaker.gate(2.0) == OPEN and breaker.deadline_ms == 2.0 + FIRST_OPEN_MS


def test_a_success_between_restarts_the_row() -> None:
    breaker = Breaker()
    for now_ms, failed in enumerate((True, True, False, True, True)):
        (breaker.failure if failed else breaker.success)(float(now_ms))
    # Four failures of five in a minute are more than half: it opened by the other rule at the fifth.
    assert breaker.is_open
    calm = Breaker()
    for now_ms, failed in enumerate((False, False, False, True, True, False, True, True)):
        (calm.failure if failed else calm.success)(float(now_ms))
    assert not calm.is_open


def test_more_than_half_of_five_within_a_minute_opens_and_exactly_half_does_not() -> None:
    def play(*failed: bool, gap_ms: float = 100.0) -> Breaker:
        breaker = Breaker()
        for number, failure in enumerate(failed):
            (breaker.failure if failure else breaker.success)(gap_ms * number)
        return breaker

    assert play(True, False, True, False, True).is_open
    assert not play(True, False, True, False).is_open
    assert not play(False, True, False, True, False, True).is_open
    assert not play(True, False, True, False, True, gap_ms=30_000.0).is_open


def test_a_half_open_breaker_admits_filler_first_and_anybody_after_a_grace() -> None:
    breaker = opened_at(0.0)
    assert breaker.gate(FIRST_OPEN_MS - 1) == OPEN
    assert breaker.gate(FIRST_OPEN_MS) == TRIAL
    assert breaker.gate(FIRST_OPEN_MS + FILLER_GRACE_MS) == 0


def test_only_one_test_runs_at_a_time_and_a_lost_one_is_given_up() -> None:
    breaker = opened_at(0.0)
    assert not breaker.begin(1.0)
    assert breaker.begin(6_000.0)
    assert breaker.gate(6_000.0) == OPEN and not breaker.begin(6_001.0)
    assert breaker.gate(6_000.0 + TEST_LEASE_MS) == 0


def test_only_the_tests_own_success_closes() -> None:
    breaker = opened_at(0.0)
    breaker.success(10.0)
    assert breaker.is_open
    assert breaker.begin(6_000.0)
    breaker.success(6_100.0)
    assert breaker.is_open
    breaker.success(6_200.0, test=True)
    assert not breaker.is_open and breaker.gate(6_200.0) == 0


def test_failed_tests_double_the_time_up_to_a_minute() -> None:
    breaker, spans = opened_at(0.0), []
    for _ in range(6):
        now_ms = breaker.deadline_ms
        assert breaker.begin(now_ms)
        breaker.failure(now_ms, test=True)
        spans.append(breaker.deadline_ms - now_ms)
    assert spans == [10_000.0, 20_000.0, 40_000.0, LONGEST_OPEN_MS, LONGEST_OPEN_MS, LONGEST_OPEN_MS]


def test_a_test_that_says_nothing_leaves_the_breaker_half_open() -> None:
    breaker = opened_at(0.0)
    assert breaker.begin(6_000.0)
    breaker.abandon(test=True)
    assert breaker.gate(6_001.0) == TRIAL and breaker.begin(6_001.0)


@given(
    st.lists(st.tuples(st.floats(0, 20_000), st.sampled_from(("success", "failure", "begin", "abandon"))), max_size=80)
)
def test_deadlines_only_move_later(steps: list[tuple[float, str]]) -> None:
    breaker, now_ms, testing = Breaker(), 0.0, False
    for later, step in steps:
        now_ms += later
        before = breaker.deadline_ms
        if step == "begin":
            testing = breaker.begin(now_ms) or testing
        elif step == "abandon":
            breaker.abandon(testing)
            testing = False
        else:
            getattr(breaker, step)(now_ms, testing)
            testing = False
        assert breaker.deadline_ms >= before


@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=30))
def test_stragglers_that_fail_out_of_order_never_shorten_the_sentence(moments: list[float]) -> None:
    breaker = opened_at(5_000.0)
    latest = breaker.deadline_ms
    for now_ms in moments:
        breaker.failure(now_ms)
        latest = max(latest, now_ms + FIRST_OPEN_MS)
        assert breaker.deadline_ms == latest


def test_the_market_bars_a_failing_lane_tests_it_with_filler_and_takes_it_back() -> None:
    state = make_market([make_offer(0, price_in_atto=1, price_out_atto=1), make_offer(1)])
    for number in range(3):
        held = state.reserve(decided(state, make_job(number)), float(number))
        assert held.provider == address(0)
        state.release(held, Outcome(Status.PROVIDER_ERROR), float(number))
    assert decided(state, make_job(), now_ms=3.0).provider == address(1)
    assert decided(state, make_job(service=BACKGROUND), now_ms=3.0).provider == address(1)
    now_ms = 5_100.0
    assert decided(state, make_job(), now_ms=now_ms).provider == address(1)
    test = state.reserve(decided(state, make_job(service=BACKGROUND), now_ms=now_ms), now_ms)
    assert test.provider == address(0) and test.trial
    assert decided(state, make_job(service=BACKGROUND), now_ms=now_ms).provider == address(1)
    serve(state, test, now_ms + 100)
    assert decided(state, make_job(service=BACKGROUND), now_ms=now_ms + 100).provider == address(0)


def test_a_customer_tests_a_half_open_lane_when_there_is_nobody_else() -> None:
    state = make_market([make_offer(0)])
    for number in range(3):
        state.release(state.reserve(decided(state, make_job(number)), 0.0), Outcome(Status.TIMEOUT), 0.0)
    assert decided(state, make_job(), now_ms=5_001.0).provider == address(0)

"""A lane's limit falls when first bytes are late or the provider says "full", and comes back when it is on time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.classes import REALTIME
from scheduler.flow.limit import CALM, PROBE_AFTER_MS, Limit
from scheduler.gates import FULL
from scheduler.policy import Policy
from scheduler.state import TRUSTED_AFTER, MarketState
from scheduler.testing import MODEL, address, decided, make_job, make_market, make_offer, refused, serve
from scheduler.types import Outcome, Status

SERVED = Outcome(Status.SERVED, 200, 20_000)


def late(limit: Limit, count: int, stretch: float = 4.0) -> None:
    for _ in range(count):
        limit.first_byte(stretch, limit.places)


def test_it_starts_at_what_was_declared_and_what_may_wait_there() -> None:
    assert Limit(8, 10).places == 10
    assert Limit(0, 0).places == 1, "a lane is asked at all"


def test_late_first_bytes_cut_it_once_in_a_round() -> None:
    limit = Limit(32, 34)
    late(limit, 2)
    assert limit.places == 28, "0.85 · 34 = 28.9"
    late(limit, 27)
    assert limit.places == 28, "the first bytes of the same round still tell of before"
    late(limit, 1)
    assert limit.places == 23, "0.85 · 28, the jobs that were in flight"


def test_one_stall_cuts_nothing() -> None:
    limit = Limit(32, 34)
    late(limit, 1, 100.0)
    for _ in range(50):
        limit.first_byte(1.0, limit.places)
    assert limit.value == limit.most


def test_a_lane_that_is_mostly_idle_says_nothing_about_its_limit() -> None:
    limit = Limit(32, 34)
    for _ in range(100):
        limit.first_byte(4.0, 16)
        limit.timed_out(16)
    assert limit.value == limit.most


def test_a_full_provider_teaches_its_slots_in_one_answer_and_is_not_tried_beyond_for_a_while() -> None:
    limit = Limit(8, 10)
    limit.refused(8, 0.0)
    assert limit.places == 8
    limit.served(8, PROBE_AFTER_MS - 1.0)
    assert limit.value == 8.0
    for _ in range(9):
        limit.served(8, PROBE_AFTER_MS)
    assert limit.places == 9, "one more after a round of jobs"


def test_it_grows_only_while_it_is_in_use_and_first_bytes_are_on_time() -> None:
    limit = Limit(8, 10)
    limit.timed_out(10)
    cut = limit.value
    limit.served(limit.places - 1, 1.0)
    assert limit.value == cut
    limit.stretch = CALM + 0.01
    limit.served(limit.places, 1.0)
    assert limit.value == cut
    limit.stretch = CALM
    limit.served(limit.places, 1.0)
    assert limit.value == cut + 1.0 / cut


def test_it_never_falls_below_a_quarter_of_the_slots() -> None:
    limit = Limit(32, 34)
    for _ in range(1_000):
        late(limit, 1)
        limit.refused(0, 0.0)
    assert limit.places == 8


acts = st.lists(
    st.tuples(
        st.sampled_from(["first_byte", "timed_out", "refused", "served"]), st.integers(0, 80), st.floats(0.0, 1e6)
    ),
    max_size=200,
)


@given(acts, st.integers(1, 64), st.integers(0, 8))
def test_it_stays_within_its_bounds_whatever_happens(acts: list[tuple[str, int, float]], slots: int, more: int) -> None:
    limit = Limit(slots, slots + more)
    now_ms = 0.0
    for act, count, number in acts:
        now_ms += number
        match act:
            case "first_byte":
                limit.first_byte(number, count)
            case "timed_out":
                limit.timed_out(count)
            case "refused":
                limit.refused(count, now_ms)
            case _:
                limit.served(count, now_ms)
        assert max(1, slots // 4) <= limit.places <= slots + more
        assert limit.places == int(limit.value)


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


def test_a_model_that_is_not_yet_known_teaches_no_limit() -> None:
    state = make_market([make_offer(slots=2)])
    now_ms = 0.0
    for _ in range(TRUSTED_AFTER):
        for reservation in fill(state, 2, now_ms):
            now_ms += 100.0
            serve(state, reservation, now_ms, ttft_ms=50_000.0)
        assert state.lanes[0].limit.value == state.lanes[0].limit.most


def test_first_bytes_far_behind_the_prediction_lower_the_limit_of_a_known_lane() -> None:
    state = make_market([make_offer(slots=8, observations=1_000)], Policy(learn_gap_ms=0.0))
    now_ms = 0.0
    for _ in range(2 * TRUSTED_AFTER):
        now_ms += 1_000.0
        [reservation] = fill(state, 1, now_ms)
        state.started(reservation, reservation.ttft_ms, now_ms)
        state.release(reservation, SERVED, now_ms)
    assert state.lanes[0].limit.places == 10
    for reservation in fill(state, 8, now_ms):
        state.started(reservation, 10 * reservation.ttft_ms, now_ms)
    assert state.lanes[0].limit.places < 8


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

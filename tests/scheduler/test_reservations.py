"""Reserve before send, release exactly once: nothing is lost or counted twice, and no bond is ever exceeded."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scheduler.classes import BATCH, REALTIME, STANDARD
from scheduler.decide import Decision, decide
from scheduler.errors import AlreadyReleased, LaneBarred, StakeCeilingExceeded
from scheduler.policy import Policy
from scheduler.testing import MICRO_ATTO, address, decided, make_job, make_market, make_offer, refused
from scheduler.types import Outcome, Reservation, Status

BOND = 8 * 10**15
MODEL = make_offer().model
SERVED = Outcome(Status.SERVED, 200, 20_000)


def test_a_second_release_is_an_error_and_changes_nothing() -> None:
    state = make_market([make_offer()])
    reservation = state.reserve(decided(state, make_job()), 0.0)
    state.release(reservation, SERVED, 10.0)
    before = (state.in_flight_atto(address(0)), state.lanes[0].running, state.lanes[0].load(), state.hot[0])
    for status in Status:
        with pytest.raises(AlreadyReleased):
            state.release(reservation, Outcome(status), 20.0)
    with pytest.raises(AlreadyReleased):
        state.started(reservation, 5.0, 20.0)
    assert before == (state.in_flight_atto(address(0)), state.lanes[0].running, state.lanes[0].load(), state.hot[0])


def test_the_first_byte_is_counted_once() -> None:
    state = make_market([make_offer()])
    reservation = state.reserve(decided(state, make_job()), 0.0)
    state.started(reservation, 100.0, 100.0)
    state.started(reservation, 100.0, 101.0)
    assert state.lanes[0].queued_tokens == 0 and state.lanes[0].kv_tokens == 600
    state.release(reservation, SERVED, 200.0)
    assert state.lanes[0].load() == (0, 0.0, 0.0)


def test_the_bond_is_a_ceiling_on_value_in_flight() -> None:
    # A job is worth 500 + 1,000 · 3 = 3,500 micro units at the worst: two fit under 8,000.
    state = make_market([make_offer(stake_free_atto=BOND)])
    held = [state.reserve(decided(state, make_job()), 0.0) for _ in range(2)]
    assert state.in_flight_atto(address(0)) == 7_000 * MICRO_ATTO
    assert refused(state, make_job()).rule == "stake_ceiling"
    state.release(held[0], SERVED, 1.0)
    assert decided(state, make_job(), now_ms=1.0).provider == address(0)


def test_a_bond_too_small_for_the_job_is_refused_for_good_and_a_used_one_for_a_while() -> None:
    state = make_market([make_offer(stake_free_atto=BOND)])
    job = make_job(max_output_tokens=5_000)
    assert (refused(state, job).rule, refused(state, job).retryable, refused(state, job).wait_ms) == (
        "stake_ceiling",
        False,
        0,
    )
    for number in range(2):
        state.reserve(decided(state, make_job(number)), 0.0)
    refusal = refused(state, make_job())
    assert refusal.retryable and refusal.wait_ms > 0


def test_kappa_scales_the_ceiling() -> None:
    state = make_market([make_offer(stake_free_atto=BOND)], Policy(kappa_ppm=500_000))
    state.reserve(decided(state, make_job()), 0.0)
    assert state.room_atto(address(0)) == 500 * MICRO_ATTO
    assert refused(state, make_job()).counts == {"stake_ceiling": 1}


def test_all_models_of_a_provider_share_one_bond() -> None:
    state = make_market([make_offer(stake_free_atto=BOND), make_offer(model="other", stake_free_atto=BOND)])
    job = make_job()
    other = replace(job, demand=replace(job.demand, model="other"))
    state.reserve(decided(state, job), 0.0)
    state.reserve(decided(state, other), 0.0)
    assert refused(state, job).rule == refused(state, other).rule == "stake_ceiling"


def test_a_stale_decision_cannot_break_the_ceiling() -> None:
    state = make_market([make_offer(stake_free_atto=BOND)])
    decisions = [decided(state, make_job(number)) for number in range(3)]
    state.reserve(decisions[0], 0.0)
    state.reserve(decisions[1], 0.0)
    with pytest.raises(StakeCeilingExceeded) as caught:
        state.reserve(decisions[2], 0.0)
    assert (caught.value.worst_atto, caught.value.room_atto) == (3_500 * MICRO_ATTO, 1_000 * MICRO_ATTO)
    assert state.in_flight_atto(address(0)) == 7_000 * MICRO_ATTO and state.open_reservations == 2


def test_a_stale_decision_cannot_pass_a_gate_that_closed_since() -> None:
    state = make_market([make_offer(slots=1)], Policy(queue_allowance=0))
    first, second = decided(state, make_job(1)), decided(state, make_job(2))
    state.reserve(first, 0.0)
    with pytest.raises(LaneBarred, match="full"):
        state.reserve(second, 0.0)


def test_a_stake_that_shrinks_below_what_is_in_flight_bars_new_work_only() -> None:
    state = make_market([make_offer(stake_free_atto=BOND)])
    held = state.reserve(decided(state, make_job()), 0.0)
    state.put_offer(make_offer(stake_free_atto=10), 1.0)
    assert state.room_atto(address(0)) < 0
    assert refused(state, make_job(), now_ms=1.0).rule == "stake_ceiling"
    state.release(held, SERVED, 2.0)
    assert state.in_flight_atto(address(0)) == 0


def test_a_low_self_report_changes_nothing_and_a_high_one_raises() -> None:
    state = make_market([make_offer()])
    for number in range(5):
        state.reserve(decided(state, make_job(number)), 0.0)
    honest = state.hot[0]
    state.report(address(0), MODEL, 0, 0.0, 0.0, 1.0)
    assert state.hot[0] == honest
    state.report(address(0), MODEL, -7, -1e9, -1e9, 1.0)
    assert state.hot[0] == honest
    state.report(address(0), MODEL, 30, 50_000.0, 90_000.0, 2.0)
    raised = state.hot[0]
    job = make_job()
    assert decided(state, job, now_ms=2.0).terms()[address(0)].ttft_ms > 2 * honest[6]
    assert raised[6] > honest[6] and raised[8] > honest[8]
    # It is forgotten by itself.
    decided(state, job, now_ms=5_002.0)
    assert state.hot[0] == honest


def test_a_report_of_full_slots_bars_and_one_of_free_slots_does_not_admit() -> None:
    state = make_market([make_offer(slots=2)], Policy(queue_allowance=0))
    held = [state.reserve(decided(state, make_job(number)), 0.0) for number in range(2)]
    state.report(address(0), MODEL, 0, 0.0, 0.0, 0.0)
    assert refused(state, make_job()).rule == "full"
    state.release(held[0], SERVED, 1.0)
    state.report(address(0), MODEL, 2, 0.0, 0.0, 1.0)
    assert refused(state, make_job(), now_ms=1.0).rule == "full"


def test_only_the_providers_own_failures_lower_rho() -> None:
    for status in Status:
        state = make_market([make_offer()])
        rho = state.lanes[0].reliability.rho
        state.release(state.reserve(decided(state, make_job()), 0.0), Outcome(status), 1.0)
        after = state.lanes[0].reliability.rho
        if status in (Status.PROVIDER_ERROR, Status.TIMEOUT, Status.REFUSED):
            assert after < rho
        elif status is Status.SERVED:
            assert after > rho
        else:
            assert after == rho


def test_a_refusal_at_full_slots_is_no_failure_and_bars_the_lane_until_a_job_ends() -> None:
    state = make_market([make_offer(slots=1)])
    first = state.reserve(decided(state, make_job(1)), 0.0)
    second = state.reserve(decided(state, make_job(2)), 0.0)
    rho = state.lanes[0].reliability.rho
    state.release(second, Outcome(Status.REFUSED), 1.0)
    assert state.lanes[0].reliability.rho == rho
    assert refused(state, make_job(), now_ms=2_000.0).rule == "full"
    state.release(first, SERVED, 2_001.0)
    assert decided(state, make_job(), now_ms=2_001.0)


def test_a_refusal_below_the_declared_slots_bars_the_lane_for_a_moment() -> None:
    state = make_market([make_offer(slots=2)])
    state.release(state.reserve(decided(state, make_job()), 0.0), Outcome(Status.REFUSED), 1.0)
    assert refused(state, make_job(), now_ms=2.0).rule == "refused_lately"
    assert decided(state, make_job(), now_ms=1_002.0)


class Market(RuleBasedStateMachine):
    """Interleave everything that may happen and mirror it in plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = random.Random(0)
        self.now_ms = 0.0
        self.state = make_market(
            [make_offer(number, slots=3, stake_free_atto=BOND * (number + 1)) for number in range(4)]
            + [make_offer(0, model="other", stake_free_atto=BOND)]
        )
        self.bonds = {address(number): BOND * (number + 1) for number in range(4)} | {address(0): BOND}
        self.open: dict[int, tuple[Reservation, bool]] = {}
        self.closed: list[Reservation] = []
        self.waiting: list[Decision] = []

    @rule(
        tokens=st.integers(1, 2_000),
        most=st.integers(1, 2_000),
        service=st.sampled_from((REALTIME, STANDARD, BATCH)),
        model=st.sampled_from((MODEL, "other")),
        later=st.floats(0, 4_000),
    )
    def decide_a_job(self, tokens: int, most: int, service: object, model: str, later: float) -> None:
        self.now_ms += later
        job = make_job(input_tokens=tokens, max_output_tokens=most, expected_output_tokens=min(most, 200))
        job = replace(job, service=service, demand=replace(job.demand, model=model), session=str(tokens % 3))
        decision = decide(self.state, job, self.rng, self.now_ms)
        if isinstance(decision, Decision):
            self.waiting.append(decision)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def reserve_a_candidate(self, data: st.DataObject) -> None:
        decision = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        provider = data.draw(st.sampled_from(decision.order()))
        try:
            reservation = self.state.reserve(decision, self.now_ms, provider)
        except (StakeCeilingExceeded, LaneBarred):
            return
        self.open[reservation.number] = (reservation, False)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def start_one(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        reservation, _ = self.open[number]
        self.state.started(reservation, data.draw(st.floats(0.1, 30_000)), self.now_ms)
        self.open[number] = (reservation, True)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), status=st.sampled_from(Status), itl_us=st.one_of(st.none(), st.integers(0, 10**7)))
    def release_one(self, data: st.DataObject, status: Status, itl_us: int | None) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        reservation, _ = self.open.pop(number)
        self.state.release(reservation, Outcome(status, 100, itl_us), self.now_ms)
        self.closed.append(reservation)

    @precondition(lambda self: self.closed)
    @rule(data=st.data())
    def release_again(self, data: st.DataObject) -> None:
        reservation = data.draw(st.sampled_from(self.closed))
        with pytest.raises(AlreadyReleased):
            self.state.release(reservation, SERVED, self.now_ms)

    @rule(number=st.integers(0, 3), running=st.integers(-3, 9), tokens=st.floats(-10, 1e5))
    def report_a_load(self, number: int, running: int, tokens: float) -> None:
        self.state.report(address(number), MODEL, running, tokens, tokens, self.now_ms)

    @rule(number=st.integers(0, 3), bond=st.integers(0, 3 * BOND), score_ppm=st.integers(0, 1_000_000))
    def change_the_chain(self, number: int, bond: int, score_ppm: int) -> None:
        self.state.put_offer(make_offer(number, slots=3, stake_free_atto=bond, score_ppm=score_ppm), self.now_ms)
        self.bonds[address(number)] = bond

    @rule(number=st.integers(0, 3))
    def remove_an_offer(self, number: int) -> None:
        self.state.remove_offer(address(number), MODEL, self.now_ms)

    @rule()
    def rebalance(self) -> None:
        self.state.rebalance(self.now_ms)

    @invariant()
    def counts_are_those_of_the_open_reservations(self) -> None:
        assert self.state.open_reservations == len(self.open)
        for lane in self.state.lanes:
            mine = [entry for entry in self.open.values() if entry[0].lane == lane.index]
            assert lane.running == len(mine)
            assert lane.queued_tokens == sum(held.fresh_tokens for held, started in mine if not started)
            kv_tokens = sum(held.input_tokens + held.expected_output_tokens / 2 for held, started in mine if started)
            assert lane.kv_tokens == kv_tokens

    @invariant()
    def value_in_flight_is_the_sum_of_worst_charges(self) -> None:
        for provider in self.bonds:
            held = sum(entry[0].worst_atto for entry in self.open.values() if entry[0].provider == provider)
            assert self.state.in_flight_atto(provider) == held
            assert self.state.room_atto(provider) == self.bonds[provider] - held

    @invariant()
    def rows_and_bitsets_say_the_same_as_the_lanes(self) -> None:
        from scheduler.cost import PACKED
        from scheduler.gates import BARRING

        for lane in self.state.lanes:
            row = self.state.hot[lane.index]
            assert PACKED.unpack_from(self.state.packed, lane.index * PACKED.size) == row
            for bit in BARRING:
                assert bool(self.state.gate_bits[bit] >> lane.index & 1) == bool(row[1] & bit)


class MarketWithFixedBonds(Market):
    """The same without bonds that shrink: then value in flight never exceeds a bond."""

    change_the_chain = None  # type: ignore[assignment]

    @invariant()
    def no_bond_is_exceeded(self) -> None:
        for provider, bond in self.bonds.items():
            assert self.state.in_flight_atto(provider) <= bond


TestMarket = Market.TestCase
TestMarket.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestMarketWithFixedBonds = MarketWithFixedBonds.TestCase
TestMarketWithFixedBonds.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)

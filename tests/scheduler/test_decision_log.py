"""A decision is computed again from its log entry to the bit, and an altered entry is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.classes import CLASSES
from scheduler.cost import PRICE_IN
from scheduler.decide import Decision, decide
from scheduler.errors import BadLogEntry
from scheduler.explain import explain
from scheduler.log import entry, replay
from scheduler.testing import MICRO_ATTO, address, decided, make_job, make_market, make_offer, make_pool, refused, serve
from scheduler.types import Demand, Outcome, Status


@settings(max_examples=60, deadline=None)
@given(
    count=st.sampled_from((1, 2, 40, 64, 65, 300)),
    seed=st.integers(0, 10_000),
    service=st.sampled_from(sorted(CLASSES)),
)
def test_decisions_replay_bit_equal_from_their_log_entries(count: int, seed: int, service: str) -> None:
    rng = random.Random(seed)
    state = make_market(make_pool(count, seed, weight_ppm=rng.choice((250_000, 1_000_000))))
    now_ms = 0.0
    for number in range(60):
        now_ms += rng.expovariate(0.01)
        job = make_job(
            number,
            input_tokens=rng.randrange(1, 4_000),
            service=CLASSES[service],
            session=str(rng.randrange(5)),
            warm=((address(0), 100),) if number % 2 else (),
        )
        decision = decide(state, job, rng, now_ms)
        if not isinstance(decision, Decision):
            continue
        text = json.dumps(entry(decision), allow_nan=False)
        again = replay(json.loads(text))
        assert json.dumps(entry(again), allow_nan=False) == text
        assert again[:-1] == decision[:-1]
        assert (again.provider, again.order(), again.terms()) == (decision.provider, decision.order(), decision.terms())
        reservation = state.reserve(decision, now_ms)
        if number % 3:
            serve(state, reservation, now_ms, rng.uniform(20, 900), rng.uniform(2, 90))


def test_a_replay_does_not_depend_on_what_happened_since() -> None:
    state = make_market(make_pool(100))
    decision = decided(state, make_job())
    text = json.dumps(entry(decision))
    for number in range(50):
        state.reserve(decided(state, make_job(number), number), 0.0)
    state.remove_offer(decision.provider, decision.model, 1.0)
    assert replay(json.loads(text)).provider == decision.provider


def altered(change: str) -> dict[str, Any]:
    """Return a log entry in which one thing was changed."""
    logged: dict[str, Any] = json.loads(json.dumps(entry(decided(make_market(make_pool(8)), make_job()))))
    match change:
        case "provider":
            logged["provider"] = next(name for name in logged["names"] if name != logged["provider"])
        case "price":
            at = logged["names"].index(logged["provider"])
            logged["rows"][at][PRICE_IN] += 1.0
        case "costs":
            logged["costs"][0] = 1.0
        case "rows":
            logged["rows"] = logged["rows"][:-1]
        case "numbers":
            del logged["numbers"]
        case "format":
            logged["format"] = 99
        case "empty":
            logged["rows"], logged["names"] = [], []
    return logged


@pytest.mark.parametrize("change", ["provider", "price", "costs", "rows", "numbers", "format", "empty"])
def test_an_altered_entry_is_refused(change: str) -> None:
    with pytest.raises(BadLogEntry):
        replay(altered(change))


def test_explain_names_everybody_who_was_passed_over_with_the_numbers_that_disagree() -> None:
    model = make_offer().model
    offers = [
        make_offer(0),
        make_offer(1, price_in_atto=2 * MICRO_ATTO),
        make_offer(2, price_in_atto=50 * MICRO_ATTO),
        make_offer(3, context_length=1_000),
        make_offer(4, stake_free_atto=7),
        make_offer(5, slots=1),
        make_offer(6),
        make_offer(7, jailed=True),
    ]
    state = make_market(offers)
    state.report(address(5), model, 3, 0.0, 0.0, 0.0)
    state.remove_offer(address(6), model, 0.0)
    job = make_job(demand=Demand(model, max_price_in_atto=10 * MICRO_ATTO))
    decision = decided(state, job)
    assert decision.provider == address(0)
    explanation = explain(state, job, decision, 0.0)
    given = [reason for group in explanation.reasons.values() for reason in group]
    found = {reason.provider: (reason.rule, reason.need, reason.has) for reason in given}
    assert set(found) == {address(number) for number in range(1, 8)}
    assert found[address(2)] == ("price", 10 * MICRO_ATTO, 50 * MICRO_ATTO)
    assert found[address(3)] == ("context", 1_500, 1_000)
    assert found[address(4)] == ("stake_ceiling", 3_500 * MICRO_ATTO, 6)
    assert found[address(5)][0] == "full"
    assert found[address(6)][0] == "withdrawn"
    assert found[address(7)][0] == "jailed"
    rule, need, has = found[address(1)]
    terms = decision.terms()
    assert (rule, need, has) == ("cost", terms[address(0)].total_atto, terms[address(1)].total_atto)
    assert explanation.of(address(0)) is None


def test_explain_tells_drawn_from_not_drawn_in_a_large_pool() -> None:
    state = make_market([make_offer(number) for number in range(200)])
    decision = decided(state, make_job())
    explanation = explain(state, make_job(), decision, 0.0)
    assert set(explanation.reasons) == {"cost", "not_drawn"}
    assert len(explanation.reasons["cost"]) == len(decision.order()) - 1


def test_explain_answers_for_refusals_too() -> None:
    state = make_market([make_offer(0)])
    for number in range(3):
        state.release(state.reserve(decided(state, make_job(number)), 0.0), Outcome(Status.TIMEOUT), 0.0)
    job = make_job()
    reason = explain(state, job, refused(state, job), 0.0).of(address(0))
    assert reason is not None and (reason.rule, reason.has) == ("breaker_open", 5_000.0)

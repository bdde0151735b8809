"""A provider is told why a job went elsewhere, and nothing from which it could learn what is not its business."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scheduler.classes import BATCH
from scheduler.decision import Decision, Refusal
from scheduler.log import entry, read_refusal, refusal_entry, replay
from scheduler.testing import MICRO_ATTO, address, decided, make_job, make_market, make_offer, refused
from scheduler.types import Demand, Offer, Outcome, Status
from scheduler.why_not import TERMS, WhyNot, rough, why_not

MODEL = make_offer().model
DEAR = {"price_in_atto": 10**18, "price_out_atto": 10**18}
SECRET_ATTO = 123_456_789 * MICRO_ATTO


def told(offer: Offer, **job: Any) -> WhyNot:
    """Ask for provider 1 after a decision that provider 0 won, by way of the log."""
    state = make_market([make_offer(0, price_in_atto=1, price_out_atto=1), offer])
    decision = decided(state, make_job(**job))
    assert decision.provider == address(0)
    found = why_not(state, address(1), logged(decision), 0.0)
    assert found is not None
    return found


def logged(outcome: Decision | Refusal) -> Decision | Refusal:
    """Write an outcome and read it back."""
    if isinstance(outcome, Decision):
        return replay(json.loads(json.dumps(entry(outcome))))
    return read_refusal(json.loads(json.dumps(refusal_entry(outcome))))


def test_the_dearer_learns_the_gap_of_each_term():
    found = told(make_offer(1))
    assert (found.outcome, found.rule) == ("dearer", "cost")
    assert list(found.terms) == list(found.gaps) == list(TERMS)
    assert found.terms["price"] == 500 * MICRO_ATTO + 200 * 3 * MICRO_ATTO == found.gaps["price"]
    assert found.gaps["ttft"] == found.gaps["pace"] == found.gaps["failure"] == 0
    assert found.gaps["total"] == found.gaps["price"]
    assert set(found.prediction) == {"ttft_ms", "itl_ms", "success_ppm", "miss_ppm"}


def test_the_winner_is_told_that_it_won():
    state = make_market([make_offer(0)])
    found = why_not(state, address(0), decided(state, make_job()), 0.0)
    assert found is not None and found.outcome == "won" and found.gaps == {} and found.terms["price"] > 0


@pytest.mark.parametrize(
    ("changes", "job", "rule", "need", "has"),
    [
        ({"context_length": 1_000}, {}, "context", 1_500, 1_000),
        ({"jailed": True}, {}, "jailed", False, True),
        ({"features": frozenset()}, {"demand": Demand(MODEL, frozenset({"tools"}))}, "features", ["tools"], []),
        ({"region": "us"}, {"demand": Demand(MODEL, region="eu")}, "region", "eu", "us"),
        ({}, {"demand": Demand(MODEL, max_price_in_atto=7)}, "price", None, MICRO_ATTO),
        ({"stake_free_atto": 7}, {}, "stake_ceiling", 3_500 * MICRO_ATTO, 6),
        (DEAR, {"budget_atto": SECRET_ATTO}, "budget", None, 15 * 10**20),
    ],
)
def test_the_excluded_learns_the_rule_and_what_is_its_business(
    changes: dict[str, Any], job: dict[str, Any], rule: str, need: object, has: object
):
    found = told(make_offer(1, **changes), **job)
    assert (found.outcome, found.rule, found.need, found.has) == ("excluded", rule, need, has)
    assert found.terms == found.gaps == {}


def test_neither_rivals_nor_customers_can_be_read_from_the_answer():
    state = make_market([make_offer(0, price_in_atto=1, price_out_atto=1), make_offer(1), make_offer(2)])
    for job in (
        make_job(budget_atto=SECRET_ATTO, input_tokens=1_234, expected_output_tokens=173),
        make_job(demand=Demand(MODEL, max_price_in_atto=31_415), budget_atto=SECRET_ATTO),
    ):
        text = json.dumps(vars_of(why_not(state, address(1), decided(state, job), 0.0)))
        for secret in (address(0), address(2), str(SECRET_ATTO), "31415", "1234", "173", "customer"):
            assert secret not in text


def vars_of(found: WhyNot | None) -> dict[str, Any]:
    assert found is not None
    return {name: getattr(found, name) for name in found.__slots__}


def test_sizes_and_amounts_have_two_digits():
    assert [rough(value) for value in (0.0, -0.4, 7.0, 99.6, 123_456.0, -98_765.0)] == [0, 0, 7, 100, 120_000, -99_000]
    found = told(make_offer(1, context_length=100), input_tokens=1_234)
    assert found.need == 2_200


def test_who_was_not_drawn_is_told_of_how_many():
    state = make_market([make_offer(number) for number in range(200)])
    decision = decided(state, make_job())
    drawn = set(decision.order())
    other = next(address(number) for number in range(200) if address(number) not in drawn)
    found = why_not(state, other, logged(decision), 0.0)
    assert found is not None
    assert (found.outcome, found.need, found.has) == ("not_drawn", {"draws": 6}, {"offers": 200})


def test_a_refusal_is_explained_to_those_whom_it_barred():
    state = make_market([make_offer(0)])
    for number in range(3):
        state.release(state.reserve(decided(state, make_job(number)), 0.0), Outcome(Status.TIMEOUT), 0.0)
    found = why_not(state, address(0), logged(refused(state, make_job())), 0.0)
    assert found is not None
    assert (found.outcome, found.rule, found.need, found.has) == ("excluded", "breaker_open", None, None)


def test_filler_may_test_a_breaker_so_a_half_open_one_did_not_bar_it():
    state = make_market([make_offer(0, price_in_atto=1), make_offer(1)])
    job = make_job(service=BATCH)
    found = why_not(state, address(1), logged(decided(state, job)), 0.0)
    assert found is not None and found.outcome == "dearer"


def test_who_never_offered_the_model_is_not_in_the_market():
    state = make_market([make_offer(0)])
    assert why_not(state, address(5), decided(state, make_job()), 0.0) is None

"""Build offers, pools, jobs and markets for tests, benchmarks and simulations; everything is a keyword away."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from scheduler.classes import STANDARD
from scheduler.decide import decide
from scheduler.decision import Decision, Refusal
from scheduler.policy import Policy
from scheduler.state import MarketState
from scheduler.types import Demand, Job, Offer, Outcome, Reservation, Status

MODEL = "llama-3.1-8b@1"
MICRO_ATTO = 10**12
"""One millionth of a payment token: a price of one token unit per million tokens."""


def address(number: int) -> str:
    """Return the address of the n-th provider of a test."""
    return f"0x{number + 1:040x}"


def make_offer(number: int = 0, **changes: Any) -> Offer:
    """Return an ordinary A100 provider's offer, with changes."""
    offer = Offer(
        provider=address(number),
        model=MODEL,
        context_length=8_192,
        features=frozenset({"tools", "json_schema"}),
        region="eu",
        hardware_class="A100",
        units=1,
        price_in_atto=MICRO_ATTO,
        price_cached_atto=MICRO_ATTO // 4,
        price_out_atto=3 * MICRO_ATTO,
        slots=32,
        score_ppm=950_000,
        stake_free_atto=1_000 * 10**18,
        observations=1_000,
        active_params_m=8_000,
    )
    return replace(offer, **changes)


def make_pool(count: int, seed: int = 1, **changes: Any) -> list[Offer]:
    """Return a mixed pool: classes, units, prices, scores, slots and regions drawn from a seed."""
    rng = random.Random(seed)
    offers = []
    for number in range(count):
        price = round(MICRO_ATTO * rng.uniform(0.5, 2.0))
        drawn: dict[str, Any] = {
            "hardware_class": rng.choice(("T4", "A10", "4090", "A100", "H100")),
            "units": rng.choice((1, 1, 2, 4)),
            "price_in_atto": price,
            "price_cached_atto": price // 4,
            "price_out_atto": 3 * price,
            "score_ppm": rng.randrange(700_000, 1_000_001),
            "slots": rng.choice((8, 16, 32, 64)),
            "region": rng.choice(("eu", "us", "asia")),
            "observations": rng.choice((0, 500, 1_000, 5_000)),
        }
        offers.append(make_offer(number, **(drawn | changes)))
    return offers


def make_market(offers: list[Offer], policy: Policy | None = None, now_ms: float = 0.0) -> MarketState:
    """Return a market with these offers registered."""
    state = MarketState(policy)
    for offer in offers:
        state.put_offer(offer, now_ms)
    return state


def make_job(number: int = 0, demand: Demand | None = None, **changes: Any) -> Job:
    """Return a standard job of 500 tokens in and 200 expected out, with changes."""
    job = Job(
        id=f"job-{number}",
        demand=demand or Demand(MODEL),
        service=STANDARD,
        input_tokens=500,
        max_output_tokens=1_000,
        expected_output_tokens=200,
        budget_atto=10**18,
    )
    return replace(job, **changes)


def decided(state: MarketState, job: Job, seed: int = 1, now_ms: float = 0.0) -> Decision:
    """Decide a job that must not be refused."""
    decision = decide(state, job, random.Random(seed), now_ms)
    assert isinstance(decision, Decision), f"refused: {decision}"
    return decision


def refused(state: MarketState, job: Job, seed: int = 1, now_ms: float = 0.0) -> Refusal:
    """Decide a job that must be refused."""
    refusal = decide(state, job, random.Random(seed), now_ms)
    assert isinstance(refusal, Refusal), f"served by {refusal.provider}"
    return refusal


def serve(
    state: MarketState, reservation: Reservation, now_ms: float, ttft_ms: float = 300.0, itl_ms: float = 20.0
) -> None:
    """Play a served attempt: first byte, then release, both at `now_ms`."""
    state.started(reservation, ttft_ms, now_ms)
    tokens = reservation.expected_output_tokens
    state.release(reservation, Outcome(Status.SERVED, tokens, round(1_000 * itl_ms)), now_ms)

"""Tell a provider why it did not get a job, and no more of the job or of its rivals than that takes.

What is told:

    won          the job was sent to it first
    dearer       it was priced and another was cheaper: its own terms, and the gap to the cheapest in each term
    excluded     a rule kept it out: the rule, what it has, and what was needed where that is no business of the
                 customer's
    not_drawn    the pool is large and the draws fell on others: how many are drawn of how many offers

Amounts of one decision are rounded to two digits, because from exact ones the exact size of a stranger's request and
the load of a rival could be computed. Neither the customer nor the winner is named; budgets and price caps are never
told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scheduler.classes import CLASSES, STANDARD
from scheduler.cost import BARRED, LANE, Term, take_apart
from scheduler.decision import Decision, Refusal
from scheduler.explain import Reason, reason_of
from scheduler.gates import NAMES, TRIAL
from scheduler.lane import Lane
from scheduler.state import MarketState
from scheduler.types import Job

TERMS = ("price", "ttft", "pace", "miss", "failure", "curiosity", "total")
_FILLER = next(service for service in CLASSES.values() if service.filler)
_GATES = frozenset(NAMES.values())
"""Rules that name a state; the numbers behind them are of the moment."""
_PRIVATE = ("budget", "price")
"""Rules whose other side is what a customer would pay."""
_SIZED = ("context", "stake_ceiling")
"""Rules whose other side is the size of the request."""


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why a provider did not get a job.

    `need` and `has` are the two sides of `rule`, None where they are nobody's business or the rule is a state. `terms`
    are its own cost in atto, `gaps` by how much each is above the winner's; both are empty when it was not priced.
    `prediction` is what the gateway expected of it: ttft_ms, itl_ms, and the odds of success and of a missed objective
    in ppm.
    """

    job: str
    model: str
    outcome: str
    rule: str
    need: object = None
    has: object = None
    terms: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    prediction: dict[str, int] = field(default_factory=dict)


def why_not(state: MarketState, provider: str, outcome: Decision | Refusal, now_ms: float) -> WhyNot | None:
    """Return why a provider did not get a job, None if it never offered the job's model.

    Rules are read from the market as it is now; whatever was priced comes from the decision itself.
    """
    job = job_of(outcome)
    model = job.demand.model
    index = state.lane_index(provider, model)
    if index is None:
        return None
    lane = state.lanes[index]
    if isinstance(outcome, Decision):
        priced = _priced(lane, outcome)
        if priced is not None:
            return priced
    reason = reason_of(state, lane, job, outcome, now_ms)
    if reason.rule == "not_drawn":
        offers = len(state.eligible.pool(job.demand, job.input_tokens + job.max_output_tokens).lanes)
        return WhyNot(job.id, model, "not_drawn", "not_drawn", {"draws": state.policy.draws}, {"offers": offers})
    return WhyNot(job.id, model, "excluded", reason.rule, *_sides(reason))


def job_of(outcome: Decision | Refusal) -> Job:
    """Return the job behind an outcome, as far as rules look at it."""
    if isinstance(outcome, Refusal):
        sizes = (outcome.input_tokens, outcome.max_output_tokens, 0, outcome.budget_atto)
        return Job(outcome.job, outcome.demand, STANDARD, *sizes)
    tokens, expected, most, budget, _ = outcome.numbers
    service = STANDARD if outcome.mask & TRIAL else _FILLER
    return Job(outcome.job, outcome.demand, service, int(tokens), int(most), int(expected), int(budget))


def _priced(lane: Lane, decision: Decision) -> WhyNot | None:
    """Compare a lane that was priced and not barred with the winner; None for any other."""
    at = next((at for at, row in enumerate(decision.rows) if row[LANE] == lane.index), None)
    if at is None or decision.costs[at] >= BARRED:
        return None
    ours = take_apart(decision.rows[at], decision.numbers, decision.hits.get(lane.index, 0))
    prediction = {
        "ttft_ms": rough(ours.ttft_ms),
        "itl_ms": rough(ours.itl_ms),
        "success_ppm": round(1e6 * ours.rho),
        "miss_ppm": rough(1e6 * ours.miss),
    }
    terms = {name: rough(_of(ours, name)) for name in TERMS}
    if decision.row[LANE] == lane.index:
        return WhyNot(decision.job, decision.model, "won", "chosen", terms=terms, prediction=prediction)
    best = take_apart(decision.row, decision.numbers, decision.hits.get(decision.row[LANE], 0))
    gaps = {name: rough(_of(ours, name) - _of(best, name)) for name in TERMS}
    rule = "newcomers_turn" if decision.newcomer_turn and ours.total_atto < best.total_atto else "cost"
    return WhyNot(decision.job, decision.model, "dearer", rule, terms=terms, gaps=gaps, prediction=prediction)


def rough(value: float) -> int:
    """Round to two digits: 123456 becomes 120000, -0.4 becomes 0."""
    whole = round(value)
    digits = len(str(abs(whole)))
    return round(whole, 2 - digits) if digits > 2 else whole


def _of(term: Term, name: str) -> float:
    return float(getattr(term, f"{name}_atto"))


def _sides(reason: Reason) -> tuple[Any, Any]:
    """Return what was needed and what was there, as far as both are the provider's business."""
    need: Any = reason.need
    has: Any = reason.has
    if reason.rule in _GATES:
        return None, None
    if reason.rule in _PRIVATE:
        return None, rough(has) if reason.rule == "budget" else has
    return rough(need) if reason.rule in _SIZED else need, has

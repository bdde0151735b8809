"""Explain a decision afterwards: who was excluded by which rule and by how much, and why not a given provider.

Nothing here runs on the request path. Static rules and gates are read from the market as it is when asked; costs, rooms
and gates of the priced candidates come from the decision itself. `as_of_version` differs from the decision's version by
the number of changes in between.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.cost import GATE, LANE, ROOM, take_apart, worst_charge
from scheduler.decision import Decision, Refusal
from scheduler.eligibility import STATIC_RULES, disagreement
from scheduler.gates import BARRING, BUSY, FULL, HALF, NAMES, OPEN, QUARTER, REFUSED, SHARE, TRIAL
from scheduler.lane import Lane
from scheduler.state import MarketState
from scheduler.types import Job


@dataclass(frozen=True, slots=True)
class Reason:
    """One provider, the rule that keeps it out, and the two values that disagree: what is needed, what is there."""

    provider: str
    rule: str
    need: object
    has: object


@dataclass(frozen=True, slots=True)
class Explanation:
    """Reasons by rule; providers that were priced and dearer are under "cost", those never drawn under "not_drawn"."""

    job: str
    as_of_version: int
    reasons: dict[str, list[Reason]]

    def of(self, provider: str) -> Reason | None:
        """Return why this provider did not get the job, None if it did or is unknown."""
        return next(
            (reason for group in self.reasons.values() for reason in group if reason.provider == provider), None
        )


def explain(state: MarketState, job: Job, decision: Decision | Refusal, now_ms: float) -> Explanation:
    """Return the reason of every offer in the market that did not get the job."""
    reasons: dict[str, list[Reason]] = {}
    chosen = decision.provider if isinstance(decision, Decision) else ""
    for lane in state.lanes:
        offer = lane.offer
        if offer.provider == chosen and offer.model == job.demand.model:
            continue
        reason = reason_of(state, lane, job, decision, now_ms)
        reasons.setdefault(reason.rule, []).append(reason)
    return Explanation(job.id, state.version, reasons)


def reason_of(state: MarketState, lane: Lane, job: Job, decision: Decision | Refusal, now_ms: float) -> Reason:
    """Return why a lane did not get the job; ask for the chosen one of a decision only if you know that it is not."""
    return (
        _static(lane, job)
        or _priced(lane, decision)
        or _gated(state, lane, job, now_ms)
        or _unaffordable(state, lane, job)
        or Reason(lane.offer.provider, "not_drawn", 1.0, lane.sampling_weight())
    )


def _static(lane: Lane, job: Job) -> Reason | None:
    if lane.withdrawn:
        return Reason(lane.offer.provider, "withdrawn", False, True)
    for rule in STATIC_RULES:
        values = disagreement(rule, lane.offer, job.demand, job.input_tokens + job.max_output_tokens)
        if values is not None:
            return Reason(lane.offer.provider, rule, *values)
    return None


def _priced(lane: Lane, decision: Decision | Refusal) -> Reason | None:
    """Explain from the decision's own snapshot a lane that it priced."""
    if isinstance(decision, Refusal):
        return None
    row = next((row for row in decision.rows if row[LANE] == lane.index), None)
    if row is None:
        return None
    provider = lane.offer.provider
    barred = row[GATE] & decision.mask
    if barred:
        return Reason(provider, next(NAMES[bit] for bit in BARRING if barred & bit), 0, barred)
    worst_atto = worst_charge(row, decision.numbers)
    if worst_atto > decision.numbers[3]:
        return Reason(provider, "budget", int(decision.numbers[3]), int(worst_atto))
    if worst_atto > row[ROOM]:
        return Reason(provider, "stake_ceiling", int(worst_atto), int(row[ROOM]))
    ours = take_apart(row, decision.numbers, decision.hits.get(lane.index, 0)).total_atto
    best = decision.costs[decision.chosen]
    rule = "newcomers_turn" if decision.newcomer_turn and ours < best else "cost"
    return Reason(provider, rule, best, ours)


def _gated(state: MarketState, lane: Lane, job: Job, now_ms: float) -> Reason | None:
    gate = lane.compute_gate(now_ms, state.policy)
    provider, running = lane.offer.provider, lane.load()[0]
    if gate & FULL:
        return Reason(provider, NAMES[FULL], lane.limit.places - 1, running)
    if gate & BUSY:
        return Reason(provider, NAMES[BUSY], state.policy.backlog_most_ms, lane.queued_tokens * lane.latency.token_ms)
    if gate & OPEN or (gate & TRIAL and not job.service.filler):
        return Reason(provider, NAMES[gate & (OPEN | TRIAL)], now_ms, lane.breaker.wake_ms(now_ms))
    if gate & REFUSED:
        return Reason(provider, NAMES[REFUSED], now_ms, lane.refused_until_ms)
    if gate & SHARE:
        return Reason(provider, NAMES[SHARE], state.share_cap(lane), state.traffic.share(lane.index, lane.offer.model))
    if gate & (HALF | QUARTER):
        return Reason(provider, "probation", 1_000_000, lane.offer.weight_ppm)
    return None


def _unaffordable(state: MarketState, lane: Lane, job: Job) -> Reason | None:
    offer = lane.offer
    worst_atto = job.input_tokens * offer.price_in_atto + job.max_output_tokens * offer.price_out_atto
    room_atto = state.room_atto(offer.provider)
    if worst_atto > job.budget_atto:
        return Reason(offer.provider, "budget", job.budget_atto, worst_atto)
    if worst_atto > room_atto:
        return Reason(offer.provider, "stake_ceiling", worst_atto, room_atto)
    return None

"""Say why nobody may serve a job: which rule bars how many offers, and when asking again may help.

Counting is a handful of population counts, so that a flood of jobs nobody can take costs the gateway little. Each
offer is counted once, under the first rule that bars it: the static rules, then the gates, then budget and stake
ceiling.
"""

from __future__ import annotations

from math import inf

from scheduler.cost import PRICE_IN, PRICE_OUT, ROOM
from scheduler.decision import Refusal
from scheduler.eligibility import Pool, lanes_of
from scheduler.gates import BARRING, HARD, NAMES
from scheduler.state import MarketState
from scheduler.types import Job

LANES_ASKED = 64
LEAST_WAIT_MS = 50
BETTER_WAIT = "better_wait"
"""A lane without a place suits the job so much better that it waits for it."""
JOB_RULES = ("budget", "stake_ceiling")


def refuse(state: MarketState, job: Job, pool: Pool, now_ms: float) -> Refusal:
    """Build the refusal of a job that no lane of its pool may serve."""
    others = state.eligible.count_others(job.demand.model)
    static = {"model": others, **pool.excluded}
    counts = {rule: count for rule, count in static.items() if count}
    if not pool.lanes:
        return _refusal(job, _dominant_static(counts), counts, 0, False)
    remaining = pool.bits
    for bit in BARRING:
        if not bit & HARD:
            continue  # decide prices these in the end, so they alone never lead here
        barred = remaining & state.gate_bits[bit]
        if barred:
            counts[NAMES[bit]] = counts.get(NAMES[bit], 0) + barred.bit_count()
            remaining &= ~barred
    left = remaining.bit_count()
    beyond = pool.is_beyond(job)
    over_budget = left if beyond else 0
    for lane in () if beyond else lanes_of(remaining):
        row = state.hot[lane]
        worst_atto = job.input_tokens * row[PRICE_IN] + job.max_output_tokens * row[PRICE_OUT]
        over_budget += worst_atto > job.budget_atto and worst_atto <= row[ROOM]
    if over_budget:
        counts["budget"] = over_budget
    if left > over_budget:
        counts["stake_ceiling"] = left - over_budget
    changing = {rule: count for rule, count in counts.items() if rule not in static}
    rule = max(changing, key=changing.__getitem__)
    waits = [_free_in_ms(state, lane, now_ms) for lane in _first_lanes(pool.bits & ~remaining or pool.bits)]
    wait_ms = min(waits)
    if wait_ms == inf or set(changing) == {"budget"}:
        return _refusal(job, rule, counts, 0, False)
    return _refusal(job, rule, counts, max(LEAST_WAIT_MS, round(wait_ms)), True)


def _refusal(job: Job, rule: str, counts: dict[str, int], wait_ms: int, retryable: bool) -> Refusal:
    asked = (job.demand, job.input_tokens, job.max_output_tokens, job.budget_atto)
    return Refusal(job.id, rule, counts, wait_ms, retryable, *asked)


def wait_for(state: MarketState, job: Job, pool: Pool, lane: int, now_ms: float) -> Refusal:
    """Build the refusal of a job that had better wait for a full lane than be late at one with a place."""
    static = {"model": state.eligible.count_others(job.demand.model), **pool.excluded}
    counts = {rule: count for rule, count in static.items() if count} | {BETTER_WAIT: len(pool.lanes)}
    wait_ms = max(LEAST_WAIT_MS, round(_free_in_ms(state, lane, now_ms)))
    return Refusal(job.id, BETTER_WAIT, counts, wait_ms, True)


def _first_lanes(bits: int) -> list[int]:
    """Return the lowest lanes of a bitset, as many as are asked for their wait."""
    lanes: list[int] = []
    while bits and len(lanes) < LANES_ASKED:
        low = bits & -bits
        lanes.append(low.bit_length() - 1)
        bits ^= low
    return lanes


def _dominant_static(counts: dict[str, int]) -> str:
    """Return the rule that excludes most of those who serve the model at all; "model" if nobody does."""
    others = {rule: count for rule, count in counts.items() if rule != "model"}
    return max(others, key=others.__getitem__) if others else "model"


def _free_in_ms(state: MarketState, at: int, now_ms: float) -> float:
    """Estimate when a lane may take one more job: its next job's end, or the end of its bar, whichever is later.

    Infinity for an idle lane that no gate bars: it lacks bond or is too dear for the job, and no wait changes that.
    """
    lane = state.lanes[at]
    running = lane.load()[0]
    busy_ms = lane.job_ms / running if running else 0.0
    bar_ms = max(lane.breaker.wake_ms(now_ms) or now_ms, lane.refused_until_ms) - now_ms
    if lane.withdrawn or (not running and bar_ms <= 0.0):
        return inf
    return max(busy_ms, bar_ms)

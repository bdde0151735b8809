"""Decide who serves a job: eligible lanes → candidates → expected cost → the least of it.

Candidates are all lanes of a small pool. Of a large one: up to three that hold a prefix of the prompt, the one that
served the session before, six draws weighted by capacity times score squared, and once in a hundred one drawn evenly.
So a decision costs the same among a hundred lanes and among ten thousand. One decision in twenty is the newcomers'
turn: the cheapest newcomer wins it if its price is near the best one's, which gives newcomers at least that part of
traffic.

If every candidate is barred, the lanes of the pool that no gate bars are priced; then those that only the traffic cap,
probation or a half-open breaker keeps back, because an unwelcome provider is better than none. If nobody is left
the answer is a `Refusal`; so it is when the job had better wait for a full lane than be late at one with a place.

Randomness comes from `rng.random()` alone, and each number drawn is kept in the decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from scheduler.cost import BASE, EVERY_TERM, GATE, ITL, KV, LANE, NO_HITS, PACKED, TOKEN, Numbers, Row, price_rows
from scheduler.decision import Decision, Refusal, choose
from scheduler.eligibility import Pool, lanes_of
from scheduler.gates import BUSY, FULL, HALF, HARD, PROBATION, QUARTER, SOFT, TRIAL
from scheduler.refusal import refuse, wait_for
from scheduler.state import MarketState
from scheduler.types import PPM, Coefficients, Job

__all__ = ["Decision", "MarketState", "Refusal", "decide"]

STRICT = HARD | SOFT | TRIAL
PLACELESS = FULL | BUSY
WARM_SHARE = 0.3
ROW_SIZE = PACKED.size
_make_tuple = tuple.__new__
"""Makes a named tuple of its fields in order, in two thirds of the time that its own constructor takes."""
_unpack = cast(Callable[[bytearray, int], Row], PACKED.unpack_from)


class Rng(Protocol):
    """A source of uniform numbers, such as `random.Random`."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


def decide(state: MarketState, job: Job, rng: Rng, now_ms: float) -> Decision | Refusal:
    """Return the cheapest admissible candidate for a job, or why there is none. Reserve before sending anything."""
    if now_ms >= state.next_wake_ms:
        state.tick(now_ms)
    policy = state.policy
    service = job.service
    pool = state.eligible.pool(job.demand, job.input_tokens + job.max_output_tokens)
    lanes = pool.lanes
    if not lanes:
        return refuse(state, job, pool, now_ms)
    weights = policy.weights
    coefficients = service.coefficients if weights is EVERY_TERM else weights.apply(service.coefficients)
    if job.waited_ms:
        coefficients = _late(coefficients, job.waited_ms)
    numbers: Numbers = (
        float(job.input_tokens),
        float(job.expected_output_tokens),
        float(job.max_output_tokens),
        float(job.budget_atto),
        coefficients,
    )
    hits = _find_hits(state, job, pool, now_ms) if job.session or job.warm else NO_HITS
    mask = HARD | SOFT if service.filler else STRICT
    random = rng.random
    luck = random()
    spin = random()
    newcomer_turn = pool.newcomers != () and luck * PPM < policy.newcomer_floor_ppm
    draws: tuple[float, ...] = (luck, spin)
    table = pool.table
    if table is None:
        hot = state.hot
        # Starting anywhere lets equal costs fall to each lane in turn.
        start = int(spin * len(lanes))
        rows = [hot[lane] for lane in pool.twice[start : start + len(lanes)]]
        if hits:
            rows = _let_warm_pass(rows, hits, job)
        if state.gate_bits[QUARTER] or state.gate_bits[HALF]:
            thin = random()
            draws = (luck, spin, thin)
            mask |= (QUARTER if thin >= 0.25 else 0) | (HALF if thin >= 0.5 else 0)
    else:
        own, other, keep = table
        size = len(own)
        us = [random() for _ in range(policy.draws)]
        packed = state.packed
        rows = _let_warm_pass([state.hot[lane] for lane in hits], hits, job) if hits else []
        for u in us:
            x = u * size
            column = int(x)
            rows.append(_unpack(packed, (own[column] if x - column < keep[column] else other[column]) * ROW_SIZE))
        explore = not newcomer_turn and luck * PPM < policy.newcomer_floor_ppm + policy.explore_ppm
        if newcomer_turn:
            for _ in range(policy.newcomer_draws):
                us.append(random())
                rows.append(_unpack(packed, pool.newcomers[int(us[-1] * len(pool.newcomers))] * ROW_SIZE))
        elif explore:
            rows.append(_unpack(packed, lanes[int(spin * size)] * ROW_SIZE))
        draws = (luck, spin, *us)
    tuition = policy.tuition_ppm / PPM
    if newcomer_turn:
        chosen, costs = choose(rows, numbers, mask, hits, True, tuition)
    else:
        chosen, costs = price_rows(rows, numbers, mask, hits)
    if chosen < 0:
        if pool.is_beyond(job):
            return refuse(state, job, pool, now_ms)
        rows, mask = _widen(state, pool, numbers, mask, hits, spin)
        chosen, costs = price_rows(rows, numbers, mask, hits)
        newcomer_turn = False
        if chosen < 0:
            return refuse(state, job, pool, now_ms)
    elif policy.waits_for_better and (state.gate_bits[FULL] or state.gate_bits[BUSY]) and not newcomer_turn:
        better = _better_full(rows, numbers, mask, hits, chosen, costs)
        if better is not None:
            return wait_for(state, job, pool, better, now_ms)
    return _make_tuple(Decision, (
        job.id, job.session, job.demand.model, now_ms, state.version, numbers, mask, hits, rows, draws,
        newcomer_turn, tuition, chosen, costs, job.demand, state.names,
    ))  # fmt: skip


def _better_full(
    rows: Sequence[Row], numbers: Numbers, mask: int, hits: Mapping[int, int], chosen: int, costs: list[float]
) -> int | None:
    """Return the full lane for which the job had better wait, None if it had better go.

    It waits if whoever has a place is expected to miss its objective, and a lane without one, its queue included, costs
    less. A slow provider is often the only one with a place; taking it because it has one makes more jobs late.
    """
    for row in rows:
        if row[GATE] & PLACELESS:
            break
    else:
        return None
    row = rows[chosen]
    tokens, out, _, _, coefficients = numbers
    ttft_ms = row[BASE] + row[TOKEN] * (tokens - hits.get(row[LANE], 0))
    if ttft_ms <= coefficients[3] and row[ITL] + row[KV] * (tokens + 0.5 * out) <= coefficients[4]:
        return None
    best, all_costs = price_rows(rows, numbers, mask & ~PLACELESS, hits)
    return rows[best][LANE] if rows[best][GATE] & PLACELESS and all_costs[best] < costs[chosen] else None


def _late(coefficients: Coefficients, waited_ms: float) -> Coefficients:
    """Return what is left to win for a job that has waited: less time to its objective, or none."""
    price, ttft, pace, slo_ttft, slo_itl, miss, failure, curiosity = coefficients
    left_ms = slo_ttft - waited_ms
    if left_ms <= 0.0:
        return price, ttft, pace, slo_ttft, slo_itl, 0.0, failure, curiosity
    return price, ttft, pace, left_ms, slo_itl, miss, failure, curiosity


def _let_warm_pass(rows: list[Row], hits: Mapping[int, int], job: Job) -> list[Row]:
    """Return the rows without the bar of a backlog where a large part of the prompt is in the cache."""
    least = WARM_SHARE * job.input_tokens
    return [
        (row[LANE], row[GATE] & ~BUSY, *row[2:]) if row[GATE] & BUSY and hits.get(row[LANE], 0) >= least else row
        for row in rows
    ]


def _find_hits(state: MarketState, job: Job, pool: Pool, now_ms: float) -> Mapping[int, int]:
    """Return cached tokens by lane: of the prefix holders, and of the lane that served this session before.

    At least one token is always taken as uncached, because an engine computes the last position anew.
    """
    most = job.input_tokens - 1
    hits: dict[int, int] = {}
    for provider, tokens in job.warm[: state.policy.max_holders]:
        lane = state.lane_index(provider, job.demand.model)
        if lane is not None and lane in pool.members:
            hits[lane] = max(0, min(state.lanes[lane].believe(tokens, now_ms), most))
    pin = state.pins.get(job.session) if job.session else None
    if pin is not None and now_ms < pin[2] and pin[0] in pool.members:
        hits[pin[0]] = max(hits.get(pin[0], 0), min(pin[1], most))
    return hits


def _widen(
    state: MarketState, pool: Pool, numbers: Numbers, mask: int, hits: Mapping[int, int], spin: float
) -> tuple[list[Row], int]:
    """Return other rows to price, and the mask for them, when every candidate was barred.

    Bitsets find the lanes that no gate bars. Of these as many as a full pool holds are priced, from a random position
    on; when none of those has room for this job under its stake and budget, all are, which is the one scan of a pool.
    """
    limit = state.policy.price_all_up_to
    gate_bits = state.gate_bits
    without_probation = mask & ~PROBATION
    for wider in dict.fromkeys((without_probation, without_probation & ~SOFT, without_probation & ~SOFT & ~TRIAL)):
        barred = 0
        for bit, lanes in gate_bits.items():
            if bit & wider:
                barred |= lanes
        free = pool.bits & ~barred
        if not free:
            continue
        open_lanes = lanes_of(free)
        start = int(spin * len(open_lanes))
        turned = open_lanes[start:] + open_lanes[:start]
        for part in (turned[:limit], turned[limit:]):
            rows = [state.hot[lane] for lane in part]
            if price_rows(rows, numbers, wider, hits)[0] >= 0:
                return rows, wider
    return [], without_probation

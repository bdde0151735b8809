"""Price candidates: expected cost in money, and the least of it.

    J = price(uncached, cached, out) + v_t·TTFT + v_o·out·ITL + c_slo·P(miss) + (1 - rho)·c_fail - curiosity

    TTFT = base + token·uncached        base = rtt + o + Q/R + slotwait, token = 1/R
    ITL  = itl + kv·(in + out/2)        itl = a + b·(n + 1) + c·K, kv = c
    P(miss) = 1 - 1/((1 + e^x)(1 + e^y)),  x = s·(1 - SLO/TTFT),  y = s'·(1 - SLO'/ITL),  s = 1.702/sigma

sigma is the relative error of the lane's model, so x cannot exceed s and the exponential cannot overflow. All terms are
floats in atto units; 1.702 makes the logistic follow the normal distribution. Worked: 500 + 100 tokens at 1e12 and
2e12 atto, a TTFT of 300 ms at 4e11 atto/ms and an ITL of 20 ms at 1e11 cost 7e14 + 1.2e14 + 2e14 before risk.

Each lane is a `Row`: a tuple that its lane replaces whenever one of the numbers moves. A tuple is unpacked in one step,
and because it never changes, keeping the priced rows is keeping the snapshot a replay needs.

Weights of zero yield the rules of other routers:

    cheapest                 price alone
    shortest expected delay  ttft alone (add pace for the whole answer)
    least tokens             ttft alone on lanes with equal models: the order is that of tokens in flight
    most reliable            failure alone
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from struct import Struct
from typing import Final

from scheduler.types import Coefficients

Row = tuple[int, int, float, float, float, float, float, float, float, float, float, float, float, float]
"""(lane, gate bits, room atto, price in, price cached, price out, base ms, token ms, itl ms, kv ms, ttft steepness,
itl steepness, 1 - rho, curiosity ms); the three prices are atto per token."""

PACKED = Struct("=qq12d")
"""A row as bytes. Among thousands of lanes the draws are cold memory: two lines of it instead of a score of objects."""

Numbers = tuple[float, float, float, float, Coefficients]
"""(input tokens, expected output tokens, most output tokens, budget atto, coefficients) of a job."""

LANE: Final = 0
GATE: Final = 1
ROOM: Final = 2
PRICE_IN: Final = 3
PRICE_CACHED: Final = 4
PRICE_OUT: Final = 5
BASE: Final = 6
TOKEN: Final = 7
ITL: Final = 8
KV: Final = 9
TTFT_STEEP: Final = 10
ITL_STEEP: Final = 11
DOUBT: Final = 12
CURIOUS: Final = 13

BARRED = float("inf")
"""The cost of a candidate that may not be chosen."""

NO_HITS: Mapping[int, int] = {}


@dataclass(frozen=True, slots=True)
class TermWeights:
    """Switch terms on (1), off (0) or in between, for ablation and for rivals' rules."""

    price: float = 1.0
    ttft: float = 1.0
    pace: float = 1.0
    miss: float = 1.0
    failure: float = 1.0
    curiosity: float = 1.0

    def apply(self, coefficients: Coefficients) -> Coefficients:
        """Return the coefficients of a class of service with every term scaled."""
        price, ttft, pace, slo_ttft, slo_itl, miss, failure, curiosity = coefficients
        return (
            price * self.price,
            ttft * self.ttft,
            pace * self.pace,
            slo_ttft,
            slo_itl,
            miss * self.miss,
            failure * self.failure,
            curiosity * self.curiosity,
        )


EVERY_TERM = TermWeights()
CHEAPEST = TermWeights(ttft=0, pace=0, miss=0, failure=0, curiosity=0)
SHORTEST_DELAY = TermWeights(price=0, pace=0, miss=0, failure=0, curiosity=0)
MOST_RELIABLE = TermWeights(price=0, ttft=0, pace=0, miss=0, curiosity=0)


@dataclass(frozen=True, slots=True)
class Term:
    """The cost of one candidate taken apart; the parts (atto) sum to `total_atto` in the order written."""

    price_atto: float
    ttft_atto: float
    pace_atto: float
    miss_atto: float
    failure_atto: float
    curiosity_atto: float
    total_atto: float
    ttft_ms: float
    itl_ms: float
    miss: float
    rho: float


def price_rows(rows: Sequence[Row], numbers: Numbers, mask: int, hits: Mapping[int, int]) -> tuple[int, list[float]]:
    """Return the index of the cheapest row (-1 if all are barred) and the cost of each.

    A row is barred if one of its gate bits is in `mask`, or if the job's worst charge exceeds the row's room or the
    job's budget. Of equal costs the first wins. `hits` maps lanes to cached input tokens. This is the hot loop:
    `take_apart` says the same at leisure, and a test holds the two to the same bits.
    """
    tokens, out, most, budget, (w_price, v_ttft, v_itl, slo_ttft, slo_itl, c_miss, c_fail, w_curious) = numbers
    v_pace = v_itl * out
    context = tokens + 0.5 * out
    best = BARRED
    chosen = -1
    costs: list[float] = []
    add = costs.append
    for (
        lane, gate, room, p_in, p_cached, p_out, base, token, itl, kv, ttft_steep, itl_steep, doubt, curious,
    ) in rows:  # fmt: skip
        worst = tokens * p_in + most * p_out
        if gate & mask or worst > room or worst > budget:
            add(BARRED)
            continue
        ttft = base + token * tokens
        price = tokens * p_in + out * p_out
        if hits:
            hit = hits.get(lane, 0)
            if hit:
                ttft = base + token * (tokens - hit)
                price = (tokens - hit) * p_in + hit * p_cached + out * p_out
        itl += kv * context
        cost = w_price * price + v_ttft * ttft + v_pace * itl
        if c_miss:
            odds = (1.0 + exp(ttft_steep * (1.0 - slo_ttft / ttft))) * (1.0 + exp(itl_steep * (1.0 - slo_itl / itl)))
            cost += c_miss * (1.0 - 1.0 / odds)
        cost = cost + c_fail * doubt - w_curious * curious
        if cost < best:
            best = cost
            chosen = len(costs)
        add(cost)
    return chosen, costs


def take_apart(row: Row, numbers: Numbers, hit: int = 0) -> Term:
    """Return the terms of one row's cost, whether or not it is barred."""
    tokens, out, _, _, (w_price, v_ttft, v_itl, slo_ttft, slo_itl, c_miss, c_fail, w_curious) = numbers
    ttft = row[BASE] + row[TOKEN] * (tokens - hit)
    itl = row[ITL] + row[KV] * (tokens + 0.5 * out)
    price = (tokens - hit) * row[PRICE_IN] + hit * row[PRICE_CACHED] + out * row[PRICE_OUT]
    if not hit:
        price = tokens * row[PRICE_IN] + out * row[PRICE_OUT]
    odds = (1.0 + exp(row[TTFT_STEEP] * (1.0 - slo_ttft / ttft))) * (1.0 + exp(row[ITL_STEEP] * (1.0 - slo_itl / itl)))
    miss = 1.0 - 1.0 / odds
    price_atto = w_price * price
    ttft_atto = v_ttft * ttft
    pace_atto = v_itl * out * itl
    miss_atto = c_miss * miss
    failure_atto = c_fail * row[DOUBT]
    curiosity_atto = -(w_curious * row[CURIOUS])
    return Term(
        price_atto=price_atto,
        ttft_atto=ttft_atto,
        pace_atto=pace_atto,
        miss_atto=miss_atto,
        failure_atto=failure_atto,
        curiosity_atto=curiosity_atto,
        total_atto=price_atto + ttft_atto + pace_atto + miss_atto + failure_atto + curiosity_atto,
        ttft_ms=ttft,
        itl_ms=itl,
        miss=miss,
        rho=1.0 - row[DOUBT],
    )


def worst_charge(row: Row, numbers: Numbers) -> float:
    """Return the most the job can cost on this row, in atto."""
    return numbers[0] * row[PRICE_IN] + numbers[2] * row[PRICE_OUT]

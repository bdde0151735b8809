"""Make the pools that are compared: equal, mixed, churning, partly lying, partly slow, and all of it at once.

Every provider has an offer, which says what it claims, and a timing, which says what it is. Prices are drawn between
half and twice a tenth of a micro-unit a prompt token; an answer's token costs three times as much, a cached one a
quarter. A slow provider takes `SLOW_FACTOR` times as long and says nothing; a liar reports an idle engine whatever it
does; a churning one is gone for a while, again and again, and breaks what it was serving.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scheduler.errors import SchedulerError
from scheduler.simulate.coefficients import PUBLISHED, StepTiming
from scheduler.simulate.trace import Arrival
from scheduler.testing import MICRO_ATTO, make_offer
from scheduler.types import Offer

PROVIDERS = 20
SLOTS = {"H100": 64, "A100": 48, "L40S": 32}
MIX = ("H100",) * 5 + ("A100",) * 8 + ("L40S",) * 7
FACTORS = (1.0, 1.8)
"""How much slower than the published coefficients a provider may be."""
SLOW_FACTOR = 5.0
BAD_SHARE = 0.05
UP_MS, DOWN_MS = 600_000.0, 45_000.0
"""Mean time until a churning provider goes, and until it is back."""
HORIZON_MS = 3_600_000.0

POOLS = ("equal", "mixed", "churning", "lying", "slow", "everything")


class UnknownPool(SchedulerError):
    """There is no pool of this name; take one of `POOLS`."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of a simulation. `outages`: from when until when it is gone, in ms."""

    offer: Offer
    timing: StepTiming
    slots: int
    kv_tokens: int
    rtt_ms: float
    lies: bool = False
    outages: tuple[tuple[float, float], ...] = ()


def make_pool(name: str, rng: random.Random, count: int = PROVIDERS) -> list[Provider]:
    """Return a pool by its name; the same draws give the same pool. Raises `UnknownPool`."""
    if name not in POOLS:
        raise UnknownPool(f"there is no pool {name!r}; the pools are {', '.join(POOLS)}")
    pool = [_make(number, "A100" if name == "equal" else MIX[number % len(MIX)], rng, name) for number in range(count)]
    bad = max(1, round(BAD_SHARE * count))
    order = list(range(count))
    rng.shuffle(order)
    if name in ("lying", "everything"):
        for number in order[:bad]:
            pool[number] = replace(pool[number], lies=True)
    if name in ("slow", "everything"):
        for number in order[bad : 2 * bad]:
            pool[number] = replace(pool[number], timing=pool[number].timing.slowed(SLOW_FACTOR))
    if name in ("churning", "everything"):
        pool = [replace(one, outages=_outages(rng)) for one in pool]
    return pool


def _make(number: int, hardware_class: str, rng: random.Random, pool: str) -> Provider:
    timing, kv_tokens = PUBLISHED[hardware_class]
    factor = 1.0 if pool == "equal" else rng.uniform(*FACTORS)
    price_atto = round(MICRO_ATTO / 10 * (1.0 if pool == "equal" else 2.0 ** rng.uniform(-1.0, 1.0)))
    slots = SLOTS[hardware_class]
    offer = make_offer(
        number,
        hardware_class=hardware_class,
        slots=slots,
        context_length=131_072 + 8_192,
        price_in_atto=price_atto,
        price_cached_atto=price_atto // 4,
        price_out_atto=3 * price_atto,
    )
    return Provider(offer, timing.slowed(factor), slots, kv_tokens, rng.uniform(2.0, 10.0))


def _outages(rng: random.Random) -> tuple[tuple[float, float], ...]:
    """Draw when a provider is gone, both times exponential."""
    found = []
    at_ms = rng.expovariate(1.0 / UP_MS)
    while at_ms < HORIZON_MS:
        until_ms = at_ms + rng.expovariate(1.0 / DOWN_MS)
        found.append((at_ms, until_ms))
        at_ms = until_ms + rng.expovariate(1.0 / UP_MS)
    return tuple(found)


def capacity_per_s(pool: Sequence[Provider], arrivals: Sequence[Arrival]) -> float:
    """Return the requests of these sizes that a pool serves in a second, all slots taken, no prefix reused.

    Prompts are computed one after another, answers together; who churns is there for its part of the time.
    """
    count = len(arrivals)
    tokens = sum(one.input_tokens for one in arrivals) / count
    squares = sum(one.input_tokens**2 for one in arrivals) / count
    out = sum(one.output_tokens for one in arrivals) / count
    total = 0.0
    for one in pool:
        slots = max(1, min(one.slots, int(one.kv_tokens / (tokens + out))))
        step_ms = one.timing.decode_ms(slots, slots * (tokens + out / 2))
        job_ms = one.timing.p_ms * tokens + one.timing.q_ms * squares / 2 + out * step_ms / slots
        total += 1e3 / job_ms * (UP_MS / (UP_MS + DOWN_MS) if one.outages else 1.0)
    return total

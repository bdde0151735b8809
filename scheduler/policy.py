"""Gather the scheduler's settings: what is weighed, what is capped, how much is spent on learning about strangers."""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.cost import EVERY_TERM, TermWeights
from scheduler.types import PPM


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of one market; the defaults are the marketplace's.

    A provider's traffic share of a model may reach the larger of `share_cap_ppm` and `share_capacity_multiple` times
    its share of the model's capacity, once `share_min_jobs` (decayed) were placed. A newcomer (fewer observations than
    `newcomer_observations`) that is chosen for the floor may cost at most `tuition_ppm` of the price of the best.
    `queue_allowance` is how many jobs may at most wait at a provider beyond its slots (a lane's learned limit starts
    there), `backlog_most_ms` how long prompts that wait there may take to compute; the rest of the queue stays at the
    gateway. `waits_for_better`: a job waits for a full lane rather than be late at one with a place.
    """

    weights: TermWeights = EVERY_TERM
    kappa_ppm: int = PPM
    share_cap_ppm: int = 200_000
    share_capacity_multiple: float = 3.0
    share_half_life_ms: float = 600_000.0
    share_min_jobs: float = 100.0
    share_recheck_ms: float = 1_000.0
    explore_ppm: int = 10_000
    newcomer_floor_ppm: int = 50_000
    newcomer_observations: int = 200
    newcomer_draws: int = 3
    tuition_ppm: int = 1_500_000
    draws: int = 6
    price_all_up_to: int = 64
    max_holders: int = 3
    queue_allowance: int = 2
    backlog_most_ms: float = 250.0
    waits_for_better: bool = True
    report_ttl_ms: float = 5_000.0
    refusal_hold_ms: float = 1_000.0
    pin_ttl_ms: float = 300_000.0
    pins_limit: int = 100_000
    learn_gap_ms: float = 50.0
    home_region: str = ""
    rtt_home_ms: float = 5.0
    rtt_away_ms: float = 80.0
    forget_score_ppm: int = field(default=500_000)
    """Own success counts keep this part when a new on-chain score arrives, because the score already contains them."""

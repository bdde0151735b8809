"""Share out the incentive budget of an epoch: 40 % for being there, 60 % for work done.

The work part is at most 80 % of what the protocol took in the epoch, so whoever deals with himself to earn incentives
always loses: for each unit paid in fees he gets back less than the protocol keeps. What is not shared out stays in
the fund. Those who staked behind a provider share in its incentive in proportion, less its commission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rewards.measurement import PPM

AVAILABILITY_PERCENT = 40
WORK_OF_TAKE_PERCENT = 80
STAKE_DIVISOR = 10
DELEGATION_TIMES = 16


@dataclass(frozen=True, slots=True)
class Incentives:
    """What each provider gets for availability and for work, in payment units, and the budget it came from."""

    availability: dict[str, int]
    work: dict[str, int]
    budget: int

    def total(self) -> int:
        """Return all that is given out."""
        return sum(self.availability.values()) + sum(self.work.values())


def weight(capacity: int, quality_ppm: int, scarcity_ppm: int, tenure_ppm: int) -> int:
    """Return a provider's weight in the split for availability: capacity times three multipliers, rounded down twice.

    An A100 (capacity 6) at 98.75 % uptime, in a class at 1.25, after 45 clean epochs:

    >>> weight(6, 1_050_000, 1_250_000, 1_050_000)
    8268750
    """
    return capacity * quality_ppm * scarcity_ppm // PPM * tenure_ppm // PPM


def incentives(
    budget: int, weights: Mapping[str, int], gross: Mapping[str, int], caps: Mapping[str, int], take: int
) -> Incentives:
    """Split the budget; `weights`: those of who qualifies (`weight`), `caps`: what stake allows each.

    Budget 1,000, weights 2 and 1, gross 900 and 100, caps far above, take 60: availability 400·2 // 3 = 266 and 133,
    the work part is min(600, 80 % of 60) = 48, shared 43 and 4.
    """
    for_availability = budget * AVAILABILITY_PERCENT // 100
    for_work = min(budget - for_availability, take * WORK_OF_TAKE_PERCENT // 100)
    all_weights, all_gross = sum(weights.values()), sum(gross.values())
    availability = {
        name: for_availability * weight // all_weights for name, weight in weights.items() if weight and all_weights
    }
    work = {name: min(for_work * amount // all_gross, caps.get(name, 0)) for name, amount in gross.items() if amount}
    result = Incentives(availability, work, budget)
    assert result.total() <= budget
    return result


def backing(stake: int, delegated: int) -> int:
    """Return how much of what is delegated counts behind a stake: at most sixteen times the stake.

    A slash may leave more than that behind a provider: stake 100, delegated 2,000 → 1,600 count.
    """
    return min(delegated, DELEGATION_TIMES * stake)


def stake_cap(stake: int, stake_rate: int, stake_decimals: int) -> int:
    """Return the most a stake may earn for work in one epoch: a tenth of its worth in payment units.

    `stake`: own and what counts of the delegated. 200 + 600 tokens of 18 decimals at 1,000,000 units each → 80,000,000.
    """
    return int(stake * stake_rate // (STAKE_DIVISOR * 10**stake_decimals))


def delegators_part(incentive: int, stake: int, delegated: int, commission_ppm: int) -> int:
    """Return what a provider's delegators get of its incentive, rounded down; the provider keeps the rest.

    Incentive 1,000, stake 200, delegated 600, commission 10 %: 1000·600·900000 // (800·10^6) = 675, the provider keeps
    325. Nothing where nothing counts.
    """
    counted = backing(stake, delegated)
    if not counted:
        return 0
    return incentive * counted * (PPM - commission_ppm) // ((stake + counted) * PPM)

"""Share out the incentive budget of an epoch: 40 % for being there, 60 % for work done.

The work part is at most 80 % of what the protocol took in the epoch, so whoever deals with himself to earn incentives
always loses: for each unit paid in fees he gets back less than the protocol keeps. What is not shared out stays in
the fund.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AVAILABILITY_PERCENT = 40
WORK_OF_TAKE_PERCENT = 80
STAKE_DIVISOR = 10


@dataclass(frozen=True, slots=True)
class Incentives:
    """What each provider gets for availability and for work, in payment units, and the budget it came from."""

    availability: dict[str, int]
    work: dict[str, int]
    budget: int

    def total(self) -> int:
        """Return all that is given out."""
        return sum(self.availability.values()) + sum(self.work.values())


def incentives(
    budget: int, weights: Mapping[str, int], gross: Mapping[str, int], caps: Mapping[str, int], take: int
) -> Incentives:
    """Split the budget; `weights`: capacity weight × multiplier of those that qualify, `caps`: what stake allows each.

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


def stake_cap(stake: int, stake_rate: int, stake_decimals: int) -> int:
    """Return the most a stake may earn for work in one epoch: a tenth of its worth in payment units."""
    return int(stake * stake_rate // (STAKE_DIVISOR * 10**stake_decimals))

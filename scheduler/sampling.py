"""Draw lanes by weight in constant time (Walker's alias table, built by Vose's method).

Weights are capacity times score squared. Drawing uniformly and taking the shorter of two queues is stable only up to
67 % of capacity when half of a pool is five times slower than the rest; drawing by capacity is stable up to all of it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple


class AliasTable(NamedTuple):
    """Column `i` holds `own[i]` up to height `keep[i]`, `other[i]` above; arrays, because draws miss the cache."""

    own: array[int]
    other: array[int]
    keep: array[float]

    def pick(self, u: float) -> int:
        """Return the item for one uniform number: its whole part picks the column, its rest the side."""
        x = u * len(self.own)
        column = int(x)
        return self.own[column] if x - column < self.keep[column] else self.other[column]

    def probability(self, item: int) -> float:
        """Return the chance that `pick` returns the item."""
        total = 0.0
        for own, other, keep in zip(self.own, self.other, self.keep, strict=True):
            total += (keep if own == item else 0.0) + (1.0 - keep if other == item else 0.0)
        return total / len(self.own)


def build_alias_table(items: Sequence[int], weights: Sequence[float]) -> AliasTable:
    """Build the table for at least one item; if no weight is positive all items weigh the same.

    Columns below the mean are filled up by items above it. Each step closes one column, so the work is linear.
    """
    size = len(items)
    total = sum(weights)
    if total <= 0:
        weights, total = [1.0] * size, float(size)
    height = [weight * size / total for weight in weights]
    own = list(items)
    other = list(items)
    keep = [1.0] * size
    small = [at for at in range(size) if height[at] < 1.0]
    large = [at for at in range(size) if height[at] >= 1.0]
    while small and large:
        low = small.pop()
        high = large[-1]
        keep[low] = height[low]
        other[low] = own[high]
        height[high] -= 1.0 - height[low]
        if height[high] < 1.0:
            small.append(large.pop())
    # What is left over differs from a full column by rounding only; `keep` of 1 closes it.
    return AliasTable(array("i", own), array("i", other), array("d", keep))

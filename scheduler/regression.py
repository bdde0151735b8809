"""Fit a line through a stream: recursive least squares with forgetting, a prior in samples, and floors.

    minimise  sum_i lambda^(n-i) · (y_i - theta·x_i)²  +  (lambda^n + 1/100) · prior,     theta >= floor

kept as the sums A = sum x xT and r = sum x·(y - floor·x), which for two or three coefficients is cheaper to keep and
to solve than a covariance and cannot drift from rounding. The prior enters as samples of the typical inputs, answered
as the prior would answer. A hundredth of it never fades, so that inputs that never vary do not make A singular.
A coefficient that would fall below its floor is set to it and the others are solved again.
"""

from __future__ import annotations

from collections.abc import Sequence

LASTING = 0.01
RIDGE = 1e-6


class Regression:
    """A fit of `theta`, one coefficient for each of at most three inputs."""

    __slots__ = ("_cells", "_floor", "_lasting", "_moments", "_pull", "_sums", "theta")

    def __init__(
        self,
        prior: Sequence[float],
        floor: Sequence[float],
        typical: Sequence[Sequence[float]],
        worth: float,
    ) -> None:
        """Start from `prior`, held as strongly as `worth` samples spread over the `typical` inputs."""
        size = len(prior)
        self._floor = tuple(floor)
        surplus = [max(0.0, p - f) for p, f in zip(prior, floor, strict=True)]
        weight = worth / len(typical)
        full = [[weight * sum(x[i] * x[j] for x in typical) for j in range(size)] for i in range(size)]
        for i in range(size):
            # However alike the typical inputs are, every coefficient is held a little by itself.
            full[i][i] *= 1.0 + RIDGE
        # A is symmetric: only the cells (i, j) with i <= j are kept, row by row.
        self._cells = [(i, j) for i in range(size) for j in range(i, size)]
        self._moments = [full[i][j] for i, j in self._cells]
        self._sums = [sum(m * s for m, s in zip(row, surplus, strict=True)) for row in full]
        self._lasting = [LASTING * moment for moment in self._moments]
        self._pull = [LASTING * value for value in self._sums]
        self.theta = tuple(f + s for f, s in zip(self._floor, surplus, strict=True))

    def observe(self, x: Sequence[float], y: float, remember: float) -> None:
        """Add one sample after fading the past by `remember` (lambda), and solve again."""
        floor = self._floor
        above = y
        for f, xi in zip(floor, x, strict=True):
            above -= f * xi
        self._moments = [remember * m + x[i] * x[j] for m, (i, j) in zip(self._moments, self._cells, strict=True)]
        self._sums = [remember * s + xi * above for s, xi in zip(self._sums, x, strict=True)]
        moments = [m + held for m, held in zip(self._moments, self._lasting, strict=True)]
        sums = [s + held for s, held in zip(self._sums, self._pull, strict=True)]
        surplus = solve(moments, sums)
        if min(surplus) < 0.0:
            surplus = self._solve_above_floor(moments, sums)
        self.theta = tuple(f + s for f, s in zip(floor, surplus, strict=True))

    def _solve_above_floor(self, moments: list[float], sums: list[float]) -> list[float]:
        """Set the lowest coefficient to its floor and solve for the others, until none is below."""
        at = dict(zip(self._cells, moments, strict=True))
        free = list(range(len(sums)))
        solution = [0.0] * len(free)
        while free:
            part = solve([at[i, j] for k, i in enumerate(free) for j in free[k:]], [sums[i] for i in free])
            lowest = min(range(len(free)), key=part.__getitem__)
            if part[lowest] >= 0.0:
                for i, value in zip(free, part, strict=True):
                    solution[i] = value
                break
            del free[lowest]
        return solution


def solve(cells: Sequence[float], right: Sequence[float]) -> list[float]:
    """Solve a positive definite system of one, two or three unknowns, given its upper cells row by row."""
    if len(right) == 1:
        return [right[0] / cells[0]]
    if len(right) == 2:
        a, b, d = cells
        p, q = right
        ratio = b / a
        y = (q - ratio * p) / (d - ratio * b)
        return [(p - b * y) / a, y]
    a, b, c, d, e, f = cells
    p, q, r = right
    second, third = b / a, c / a
    d -= second * b
    e -= second * c
    q -= second * p
    last = e / d
    z = (r - third * p - last * q) / (f - third * c - last * e)
    y = (q - e * z) / d
    return [(p - b * y - c * z) / a, y, z]

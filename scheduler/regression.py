"""Fit a line through a stream: recursive least squares with forgetting, a prior in samples, and floors.

    minimise  sum_i lambda^(n-i) · (y_i - theta·x_i)²  +  lambda^n · prior,     theta >= floor

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
    """A fit of `theta`, one coefficient for each input."""

    __slots__ = ("_floor", "_moments", "_prior", "_sums", "_surplus", "theta")

    def __init__(
        self,
        prior: Sequence[float],
        floor: Sequence[float],
        typical: Sequence[Sequence[float]],
        worth: float,
    ) -> None:
        """Start from `prior`, held as strongly as `worth` samples spread over the `typical` inputs."""
        size = len(prior)
        self._floor = list(floor)
        self._surplus = [max(0.0, p - f) for p, f in zip(prior, floor, strict=True)]
        weight = worth / len(typical)
        self._prior = [[weight * sum(x[i] * x[j] for x in typical) for j in range(size)] for i in range(size)]
        for i in range(size):
            # However alike the typical inputs are, every coefficient is held a little by itself.
            self._prior[i][i] *= 1.0 + RIDGE
        self._moments = [row[:] for row in self._prior]
        self._sums = [sum(m * s for m, s in zip(row, self._surplus, strict=True)) for row in self._prior]
        self.theta = [f + s for f, s in zip(self._floor, self._surplus, strict=True)]

    def observe(self, x: Sequence[float], y: float, remember: float) -> None:
        """Add one sample after fading the past by `remember` (lambda), and solve again."""
        lasting = LASTING * (1.0 - remember)
        above = y - sum(f * xi for f, xi in zip(self._floor, x, strict=True))
        size = len(x)
        for i in range(size):
            moments, prior, xi = self._moments[i], self._prior[i], x[i]
            pull = 0.0
            for j in range(size):
                moments[j] = remember * moments[j] + lasting * prior[j] + xi * x[j]
                pull += prior[j] * self._surplus[j]
            self._sums[i] = remember * self._sums[i] + lasting * pull + xi * above
        self.theta = [f + s for f, s in zip(self._floor, self._solve_nonnegative(), strict=True)]

    def _solve_nonnegative(self) -> list[float]:
        free = list(range(len(self._sums)))
        solution = [0.0] * len(free)
        while free:
            part = solve([[self._moments[i][j] for j in free] for i in free], [self._sums[i] for i in free])
            lowest = min(range(len(free)), key=part.__getitem__)
            if part[lowest] >= 0.0:
                for at, value in zip(free, part, strict=True):
                    solution[at] = value
                break
            del free[lowest]
        return solution


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve a small positive definite system by elimination; the arguments are used up."""
    size = len(right)
    for at in range(size):
        pivot = matrix[at]
        for below in range(at + 1, size):
            row = matrix[below]
            factor = row[at] / pivot[at]
            for j in range(at, size):
                row[j] -= factor * pivot[j]
            right[below] -= factor * right[at]
    answer = [0.0] * size
    for at in range(size - 1, -1, -1):
        rest = sum(matrix[at][j] * answer[j] for j in range(at + 1, size))
        answer[at] = (right[at] - rest) / matrix[at][at]
    return answer

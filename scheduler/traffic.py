"""Count who gets how much of a model's traffic, with a half-life.

Instead of fading every count, each new job weighs more: two raised to the half-lives since a common start. Shares are
ratios, so the common factor cancels; it is divided out before it grows too large for floats.
"""

from __future__ import annotations

LARGEST = 2.0**40


class Traffic:
    """Decayed counts of jobs by lane and by model."""

    __slots__ = ("_half_life_ms", "_lanes", "_models", "_start_ms")

    def __init__(self, half_life_ms: float) -> None:
        self._half_life_ms = half_life_ms
        self._start_ms = 0.0
        self._lanes: dict[int, float] = {}
        self._models: dict[str, float] = {}

    def _weight(self, now_ms: float) -> float:
        return float(2.0 ** min((now_ms - self._start_ms) / self._half_life_ms, 1000.0))

    def add(self, lane: int, model: str, now_ms: float) -> None:
        """Count one job placed on a lane."""
        weight = self._weight(now_ms)
        if weight > LARGEST:
            self._lanes = {key: count / weight for key, count in self._lanes.items()}
            self._models = {key: count / weight for key, count in self._models.items()}
            self._start_ms = now_ms
            weight = 1.0
        self._lanes[lane] = self._lanes.get(lane, 0.0) + weight
        self._models[model] = self._models.get(model, 0.0) + weight

    def share(self, lane: int, model: str) -> float:
        """Return the lane's part of the model's jobs, 0 before the first."""
        total = self._models.get(model, 0.0)
        return self._lanes.get(lane, 0.0) / total if total else 0.0

    def jobs(self, model: str, now_ms: float) -> float:
        """Return the model's jobs as of this moment, faded."""
        return self._models.get(model, 0.0) / self._weight(now_ms)

    def drop(self, lane: int, model: str) -> None:
        """Forget a lane whose offer went away."""
        count = self._lanes.pop(lane, 0.0)
        if model in self._models:
            self._models[model] = max(0.0, self._models[model] - count)

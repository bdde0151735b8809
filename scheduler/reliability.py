"""Estimate rho, the chance that a provider serves an attempt, from own counts with the on-chain score as prior.

    rho = (S + w·score) / (S + F + w),   w = 20 observations

A success forgets a fiftieth of the past and counts one: S ← d·S + 1, F ← d·F. A failure forgets nothing: F ← F + 1. So
a failure always lowers rho, whatever came before, and between failures only successes raise it. Worked: score 0.95
and nothing seen give 0.950; after one failure 19/21 = 0.905, after one success instead 20/21 = 0.952.
"""

from __future__ import annotations

from scheduler.types import PPM

PRIOR_OBSERVATIONS = 20.0
REMEMBER = 0.98


class Reliability:
    """The counts of one lane."""

    __slots__ = ("failures", "prior", "successes")

    def __init__(self, score_ppm: int) -> None:
        self.prior = score_ppm / PPM
        self.successes = 0.0
        self.failures = 0.0

    @property
    def rho(self) -> float:
        """The estimate, between 0 and 1."""
        return (self.successes + PRIOR_OBSERVATIONS * self.prior) / (
            self.successes + self.failures + PRIOR_OBSERVATIONS
        )

    def success(self) -> None:
        """Count a served attempt."""
        self.successes = REMEMBER * self.successes + 1.0
        self.failures *= REMEMBER

    def failure(self) -> None:
        """Count a failure that is the provider's."""
        self.failures += 1.0

    def rescore(self, score_ppm: int, keep_ppm: int) -> None:
        """Take a new on-chain score as prior and keep only a part of the counts that it already contains."""
        self.prior = score_ppm / PPM
        self.successes *= keep_ppm / PPM
        self.failures *= keep_ppm / PPM

"""rho starts at the on-chain score, and a failure always lowers it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.reliability import Reliability


@given(
    score_ppm=st.integers(1, 1_000_000),
    history=st.lists(st.sampled_from(("success", "failure", "rescore")), max_size=400),
)
def test_a_failure_always_lowers_rho(score_ppm: int, history: list[str]) -> None:
    reliability = Reliability(score_ppm)
    for step in history:
        if step == "rescore":
            reliability.rescore(score_ppm, 500_000)
        else:
            getattr(reliability, step)()
    before = reliability.rho
    reliability.failure()
    assert 0 < reliability.rho < before <= 1


def test_nothing_seen_is_the_score_itself() -> None:
    assert Reliability(950_000).rho == pytest.approx(0.95)


def test_the_worked_example_holds() -> None:
    failed, served = Reliability(950_000), Reliability(950_000)
    failed.failure()
    served.success()
    assert failed.rho == pytest.approx(19 / 21)
    assert served.rho == pytest.approx(20 / 21)


def test_successes_after_failures_forget_them() -> None:
    reliability = Reliability(950_000)
    for _ in range(10):
        reliability.failure()
    for _ in range(300):
        reliability.success()
    assert reliability.rho > 0.97


def test_a_long_run_of_failures_leaves_little_of_a_good_score() -> None:
    reliability = Reliability(1_000_000)
    for _ in range(100):
        reliability.failure()
    assert reliability.rho < 0.2


def test_a_new_score_replaces_the_prior_and_halves_own_counts() -> None:
    reliability = Reliability(950_000)
    for _ in range(4):
        reliability.failure()
    reliability.rescore(800_000, 500_000)
    assert reliability.rho == pytest.approx((20 * 0.8) / (2 + 20))

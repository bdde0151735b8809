"""Latency models: right before any data, converge on the truth, follow a change, and cannot be fooled below physics."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.errors import UnknownHardware
from scheduler.hardware import HARDWARE, latency_prior
from scheduler.latency import SIGMA_LEAST, SIGMA_MOST, LatencyModel
from scheduler.regression import Regression, solve

TRUTH = (40.0, 0.15, 20.0, 0.5, 2e-4)


def feed(
    model: LatencyModel, rng: random.Random, count: int, truth: tuple[float, ...] = TRUTH, noise: float = 0.1
) -> None:
    """Show the model `count` answers of a machine with these coefficients."""
    o, token, a, b, c = truth
    for _ in range(count):
        tokens = rng.lognormvariate(6, 1)
        model.learn_ttft(tokens, (model.rtt_ms + o + token * tokens) * rng.lognormvariate(0, noise))
        running = rng.randint(1, 16)
        kv_tokens = running * rng.uniform(300, 2_000)
        model.learn_itl(running, kv_tokens, (a + b * running + c * kv_tokens) * rng.lognormvariate(0, noise))


def fresh(hardware_class: str = "H100") -> LatencyModel:
    return LatencyModel(latency_prior(hardware_class, 1, 8_000), slots=16, rtt_ms=5.0)


def errors(model: LatencyModel, truth: tuple[float, ...] = TRUTH) -> list[float]:
    """Return relative errors at typical places."""
    o, token, a, b, c = truth
    ttft = [model.ttft_ms(x) / (5.0 + o + token * x) - 1 for x in (100, 400, 2_000)]
    itl = [model.itl_ms(n, k) / (a + b * n + c * k) - 1 for n, k in ((1, 1_000), (8, 8_000), (16, 16_000))]
    return [abs(error) for error in ttft + itl]


def test_an_unknown_hardware_class_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownHardware, match="A100"):
        latency_prior("abacus", 1, 100)


def test_without_data_the_model_is_its_prior() -> None:
    prior, model = latency_prior("A100", 1, 8_000), fresh("A100")
    assert model.ttft_ms(1_000) == pytest.approx(5.0 + prior.o_ms + 1_000 * prior.token_ms)
    assert model.itl_ms(4, 4_000) == pytest.approx(prior.a_ms + 4 * prior.b_ms + 4_000 * prior.c_ms)


def test_priors_order_the_hardware_classes_and_meet_the_published_figures() -> None:
    steps = [latency_prior(name, 1, 8_000).a_ms for name in ("CPU", "T4", "A10", "4090", "A100", "H100")]
    assert steps == sorted(steps, reverse=True)
    h100 = latency_prior("H100", 1, 7_000)
    # Published for an 8B model (7.0 G parameters outside embeddings): 6.83 ms a step, 81 µs a sequence at 1k tokens,
    # 31 µs a prompt token.
    assert h100.a_ms == pytest.approx(6.83, rel=0.05)
    assert h100.b_ms + 1_000 * h100.c_ms == pytest.approx(0.081, rel=0.1)
    assert h100.token_ms == pytest.approx(0.031, rel=0.05)
    assert all(
        latency_prior(name, 1, 8_000).token_ms > latency_prior(name, 1, 8_000).token_floor_ms for name in HARDWARE
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hardware_class", ["T4", "A100", "H100"])
def test_converges_on_a_synthetic_truth_from_any_prior(hardware_class: str, seed: int) -> None:
    model, rng = fresh(hardware_class), random.Random(seed)
    feed(model, rng, 600)
    assert max(errors(model)) < 0.12
    assert 0.05 < model.ttft.sigma < 0.25


def test_the_prior_weighs_like_twenty_samples() -> None:
    prior = Regression((10.0,), (0.0,), [(1.0,)], 20.0)
    for _ in range(20):
        prior.observe((1.0,), 20.0, 1.0)
    assert prior.theta[0] == pytest.approx(15.0, abs=0.05)


def test_follows_a_machine_that_became_five_times_slower() -> None:
    model, rng = fresh(), random.Random(1)
    feed(model, rng, 300)
    slow = tuple(5 * value for value in TRUTH)
    feed(model, rng, 60, slow)
    assert max(errors(model, slow)) < 0.35
    feed(model, rng, 300, slow)
    assert max(errors(model, slow)) < 0.15


def test_forgets_and_follows_back() -> None:
    model, rng = fresh(), random.Random(2)
    feed(model, rng, 300, tuple(5 * value for value in TRUTH))
    feed(model, rng, 500)
    assert max(errors(model)) < 0.15


def test_one_stall_hardly_moves_the_model() -> None:
    model, rng = fresh(), random.Random(3)
    feed(model, rng, 300)
    before = model.ttft_ms(500)
    model.learn_ttft(500, 60_000.0)
    assert model.ttft_ms(500) < 1.05 * before


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1e5), st.floats(0, 1e6), st.integers(0, 300), st.floats(0, 1e6), st.floats(0, 1e5)),
        max_size=60,
    )
)
def test_nothing_a_provider_does_pushes_the_model_below_physics(
    samples: list[tuple[float, float, int, float, float]],
) -> None:
    prior, model = latency_prior("H100", 1, 8_000), fresh()
    for tokens, ttft_ms, running, kv_tokens, itl_ms in samples:
        model.learn_ttft(tokens, ttft_ms)
        model.learn_itl(running, kv_tokens, itl_ms)
        a, b, c = model.itl_parts()
        assert model.overhead_ms >= 0 and model.token_ms >= prior.token_floor_ms
        assert a >= prior.a_floor_ms and b >= 0 and c >= 0
        assert SIGMA_LEAST <= model.ttft.sigma <= SIGMA_MOST
        assert model.ttft_q95_ms(100) >= model.ttft_ms(100) > 0


def test_the_upper_estimate_covers_nineteen_of_twenty_even_with_a_heavy_tail() -> None:
    model, rng = fresh(), random.Random(4)
    feed(model, rng, 500, noise=0.15)
    calibration = model.ttft.calibration
    calibration.count = calibration.covered = 0
    for _ in range(4_000):
        tokens = rng.lognormvariate(6, 1)
        stall = 3.0 if rng.random() < 0.03 else 1.0
        model.learn_ttft(tokens, stall * (45 + 0.1 * tokens) * rng.lognormvariate(0, 0.2))
    assert 0.93 < calibration.coverage < 0.97


def test_calibration_compares_predictions_made_beforehand() -> None:
    model = fresh()
    predicted = model.ttft_ms(300)
    model.learn_ttft(300, 500.0)
    assert model.ttft.calibration.predicted_ms == pytest.approx(predicted)
    assert model.ttft.calibration.observed_ms == 500.0
    assert (model.ttft.calibration.count, model.ttft.calibration.covered) == (1, 0)


def test_inputs_that_never_vary_leave_the_model_finite() -> None:
    model = fresh()
    for _ in range(5_000):
        model.learn_ttft(500, 120.0)
        model.learn_itl(1, 600, 12.0)
    assert model.ttft_ms(500) == pytest.approx(120.0, rel=0.02)
    assert model.itl_ms(1, 600) == pytest.approx(12.0, rel=0.02)


@pytest.mark.parametrize("slots", [1, 2, 64])
def test_a_lane_of_any_number_of_slots_learns_its_pace(slots: int) -> None:
    model = LatencyModel(latency_prior("CPU", 1, 135), slots, 1.0)
    for _ in range(300):
        model.learn_itl(1, 600, 12.0)
    assert model.itl_ms(1, 600) == pytest.approx(12.0, rel=0.02)


def test_typical_inputs_that_are_all_alike_do_not_break_a_fit() -> None:
    fit = Regression((1.0, 1.0), (0.0, 0.0), [(1.0, 1.0)], 20.0)
    for _ in range(200):
        fit.observe((1.0, 1.0), 10.0, 0.9)
    assert sum(fit.theta) == pytest.approx(10.0, rel=0.03)


def test_round_trips_are_learned_apart_from_the_machine() -> None:
    model = fresh()
    before = model.overhead_ms
    for _ in range(100):
        model.learn_rtt(55.0)
    assert model.rtt_ms == pytest.approx(55.0, abs=0.1)
    assert model.overhead_ms == before


@given(
    st.integers(1, 3).flatmap(
        lambda size: st.tuples(
            st.lists(st.lists(st.floats(-9, 9), min_size=size, max_size=size), min_size=size, max_size=size),
            st.lists(st.floats(-9, 9), min_size=size, max_size=size),
        )
    )
)
def test_elimination_solves_what_it_is_given(system: tuple[list[list[float]], list[float]]) -> None:
    root, answer = system
    size = len(answer)
    # RᵀR + 1 is positive definite.
    matrix = [[sum(root[k][i] * root[k][j] for k in range(size)) + (i == j) for j in range(size)] for i in range(size)]
    right = [sum(matrix[i][j] * answer[j] for j in range(size)) for i in range(size)]
    cells = [matrix[i][j] for i in range(size) for j in range(i, size)]
    assert solve(cells, right) == pytest.approx(answer, abs=1e-6)

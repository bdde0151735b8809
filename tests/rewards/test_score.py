"""The score's arithmetic: worked numbers, bounds, and that a failure never pays."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rewards.score import (
    DECAY_PPM,
    NOTHING,
    UNSEEN,
    Memory,
    Observed,
    blend,
    latency_ppm,
    lower_median,
    medians,
    remember,
    step,
)

ppm = st.integers(0, 1_000_000)
fives = st.tuples(ppm, ppm, ppm, ppm, ppm)
count = st.integers(0, 5_000)
counts = st.tuples(count, count, count, count, count)
weights = st.tuples(*[st.integers(0, 20_000_000)] * 5)
memories = st.builds(Memory, fives, weights, ppm)


def test_half_of_a_weight_is_gone_after_seven_epochs() -> None:
    weight = 10**12
    for _ in range(7):
        weight = weight * DECAY_PPM // 10**6
    assert abs(weight - 10**12 // 2) < 10**12 // 10**5


def test_the_worked_example_of_the_page_holds() -> None:
    means, held = remember(
        (10**6,) * 5, (1_440_000, 0, 0, 0, 0), Observed((500_000, 0, 0, 0, 0), (1440, 0, 0, 0, 0), True)
    )
    assert (means[0], held[0]) == (737_632, 2_744_242)
    components, score = blend(means, held, UNSEEN)
    assert components == (739_530, 10**6, 10**6, 10**6, 10**6)
    assert score == (35 * 739_530 + 65 * 10**6) // 100


@pytest.mark.parametrize(
    ("bucket", "grade"), [(0, 10**6), (8, 10**6), (9, 875_333), (10, 600_333), (12, 0), (15, 0), (255, 0)]
)
def test_latency_falls_linearly_from_the_target_to_four_times_the_target(bucket: int, grade: int) -> None:
    assert latency_ppm(bucket, 1_000) == grade


def test_a_bound_equal_to_the_target_is_full_marks() -> None:
    assert latency_ppm(0, 20) == 10**6
    assert latency_ppm(3, 20) == 0  # 82 ms is beyond four times 20 ms
    assert latency_ppm(2, 20) == 29 * 10**6 // 60


def test_the_median_of_an_even_number_is_the_lower_of_the_two() -> None:
    assert lower_median([4, 1, 3, 2], 9) == 2
    assert lower_median([], 9) == 9


def test_only_those_with_observations_make_the_median() -> None:
    seen = Observed((600_000, 1, 1, 1, 1), (5, 0, 0, 0, 0), True)
    unseen = Observed((0, 0, 0, 0, 0), NOTHING, False)
    assert medians([seen, unseen]) == (600_000, 10**6, 10**6, 10**6, 10**6)


def test_a_newcomer_stands_at_the_network_median_and_not_above_after_a_failure() -> None:
    median = (900_000, 800_000, 700_000, 10**6, 10**6)
    idle, _ = step(None, Observed(UNSEEN, NOTHING, False), median)
    assert idle.score_ppm == (35 * 900_000 + 30 * 800_000 + 20 * 700_000 + 15 * 10**6) // 100
    failed, _ = step(None, Observed((999_999, *UNSEEN[1:]), (1440, 0, 0, 0, 0), True), median)
    assert failed.score_ppm == idle.score_ppm - 1


@given(memories, fives, counts, fives)
def test_an_epoch_with_a_failure_always_lowers_the_score(
    before: Memory, values: tuple[int, ...], seen: tuple[int, ...], median: tuple[int, ...]
) -> None:
    after, _ = step(before, Observed(values, seen, True), median)  # type: ignore[arg-type]
    assert after.score_ppm < before.score_ppm or before.score_ppm == after.score_ppm == 0


@given(memories, fives, counts, fives, st.booleans())
def test_a_score_is_a_share(before: Memory, values, seen, median, failed) -> None:  # type: ignore[no-untyped-def]
    after, components = step(before, Observed(values, seen, failed), median)
    assert 0 <= after.score_ppm <= 10**6
    assert all(0 <= one <= 10**6 for one in components)


@given(memories, fives, counts, fives, st.integers(0, 4))
def test_a_better_epoch_never_scores_lower(before: Memory, values, seen, median, index: int) -> None:  # type: ignore[no-untyped-def]
    assume(values[index] < 10**6)
    better = (*values[:index], 10**6, *values[index + 1 :])
    lower, _ = step(before, Observed(values, seen, False), median)
    higher, _ = step(before, Observed(better, seen, False), median)
    assert higher.score_ppm >= lower.score_ppm


def test_a_perfect_provider_stays_perfect_for_ever() -> None:
    memory = Memory(UNSEEN, NOTHING, 10**6)
    for _ in range(50):
        memory, _ = step(memory, Observed(UNSEEN, (1440, 300, 40, 10, 0), False), UNSEEN)
    assert memory.score_ppm == 10**6


def test_a_dead_provider_has_lost_almost_all_of_its_uptime_after_thirty_epochs() -> None:
    memory = Memory(UNSEEN, (15_000_000, 0, 0, 0, 0), 10**6)
    for _ in range(30):
        memory, components = step(memory, Observed((0, *UNSEEN[1:]), (1440, 0, 0, 0, 0), True), UNSEEN)
    assert components[0] < 60_000

"""Multiplier, credits, levels, outages and strikes at the edges of their steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.penalty import multiplier_ppm, outage, standing_after, strikes_after, uptime_level

HOUR = 3600


@pytest.mark.parametrize(
    ("uptime", "multiplier"),
    [
        (0, 0), (299_999, 0), (300_000, 0), (575_000, 250_000), (850_000, 500_000), (900_000, 650_000),
        (950_000, 800_000), (980_000, 1_000_000), (987_500, 1_050_000), (995_000, 1_100_000), (1_000_000, 1_100_000),
    ],
)  # fmt: skip
def test_the_multiplier_goes_through_the_published_points(uptime: int, multiplier: int) -> None:
    assert multiplier_ppm(uptime) == multiplier


@given(st.integers(0, 999_999))
def test_more_uptime_never_earns_a_smaller_multiplier(uptime: int) -> None:
    assert multiplier_ppm(uptime) <= multiplier_ppm(uptime + 1)


@pytest.mark.parametrize(
    ("uptime", "level"),
    [(1_000_000, 0), (980_000, 0), (979_999, 1), (950_000, 1), (949_999, 2), (900_000, 2), (899_999, 3), (500_000, 3),
     (499_999, 4), (0, 4)],
)  # fmt: skip
def test_the_levels_stand_where_the_page_says_beside_a_perfect_network(uptime: int, level: int) -> None:
    guarded = uptime >= 970_000
    assert uptime_level(uptime, 1_000_000) == (0 if guarded else level)


def test_no_level_within_three_points_of_the_median() -> None:
    assert uptime_level(940_000, 970_000) == 0
    assert uptime_level(939_999, 970_000) == 2
    assert uptime_level(0, 30_000) == 0


def _run(bits: str, opening: int = 0, kept: str | None = None, slot_s: int = HOUR) -> tuple[int, int, int]:
    down = int(bits[::-1], 2)
    counted = (1 << len(bits)) - 1 if kept is None else int(kept[::-1], 2)
    found = outage(down & counted, counted, len(bits), slot_s, opening)
    return found.longest_slots, found.standing_slots, found.level


def test_runs_are_followed_across_the_edge_of_an_epoch() -> None:
    assert _run("1100111") == (3, 3, 0)
    assert _run("1100111", opening=10) == (12, 3, 0)
    assert _run("1111", opening=10) == (14, 14, 0)
    assert _run("0000", opening=10) == (10, 0, 0)
    assert _run("0000") == (0, 0, 0)


def test_slots_that_do_not_count_neither_end_nor_lengthen_an_outage() -> None:
    assert _run("1101100", kept="1111111") == (2, 0, 0)
    assert _run("1101100", kept="1101111") == (4, 0, 0)
    assert _run("0000000", kept="0000000", opening=9) == (0, 0, 0)


def test_an_outage_above_48_hours_is_level_five_once_and_above_120_hours_level_six_once() -> None:
    day = "1" * 24
    assert _run(day, opening=24)[2] == 0  # exactly 48 h is not above
    assert _run(day, opening=25)[2] == 5
    assert _run(day, opening=49)[2] == 0
    assert _run(day, opening=96)[2] == 0
    assert _run(day, opening=97)[2] == 6
    assert _run(day, opening=121)[2] == 0


def test_a_second_outage_in_the_same_epoch_counts_by_itself() -> None:
    assert _run("1" + "0" + "1" * 49, opening=60)[2] == 5
    assert _run("1" * 121)[2] == 6


@given(st.text(alphabet="01", min_size=1, max_size=60), st.integers(0, 100))
def test_runs_agree_with_a_loop(bits: str, opening: int) -> None:
    longest, run = (opening, opening)
    for bit in bits:
        run = run + 1 if bit == "1" else 0
        longest = max(longest, run)
    assert _run(bits, opening)[:2] == (longest, run)


def test_strikes_of_the_last_six_epochs_count() -> None:
    assert strikes_after((3, 8), 9, 2) == (8, 9)
    assert strikes_after((4, 8), 9, 0) == (4, 8)
    assert strikes_after((), 0, 1) == (0,)


@pytest.mark.parametrize(
    ("before", "strikes", "level", "measured", "after"),
    [
        (0, 1, 1, True, 0), (0, 2, 4, True, 0), (0, 3, 1, True, 2), (0, 4, 2, True, 2),
        (1, 1, 1, True, 2), (2, 2, 1, True, 2), (0, 1, 5, True, 2), (0, 1, 6, True, 2),
        (2, 3, 0, True, 1), (1, 3, 0, True, 0), (0, 3, 0, True, 0), (2, 0, 0, False, 2), (1, 0, 0, False, 1),
    ],
)  # fmt: skip
def test_standing_falls_with_strikes_and_rises_a_step_at_a_time(
    before: int, strikes: int, level: int, measured: bool, after: int
) -> None:
    assert standing_after(before, strikes, level, measured) == after

"""Receipts that a report did not know: how few of them undo a slash, and never one that settlement would call for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.types import MeasuredDay, MeasuredLeaf, Timing
from rewards.measurement import NO_COUNTS, combine, split_words
from rewards.penalty import outage, uptime_level
from rewards.served import down_slots, level_stands, slots_needed, uptime_ppm

HOUR = 3600
SLOTS = 60
FULL = (1 << SLOTS) - 1
TIMING = Timing(0, 1, SLOTS)


def _leaf(
    down: int, days: int = 2, served: int = 0, duty: int = FULL, void: int = 0, slots: int = SLOTS
) -> MeasuredLeaf:
    up = split_words(((1 << slots) - 1) & ~down)
    seen = tuple(MeasuredDay(f"0x{number:040x}", up, 0, b"") for number in range(days))
    return MeasuredLeaf("0x" + "77" * 20, split_words(duty), split_words(served), split_words(void), seen)


def test_ten_receipts_undo_a_level_four_of_forty_slots_and_nine_do_not() -> None:
    leaf = _leaf((1 << 40) - 1)
    assert slots_needed(4, leaf, range(10), 2, TIMING, 0) == tuple(range(10))
    assert slots_needed(4, leaf, range(9), 2, TIMING, 0) is None
    assert slots_needed(4, leaf, range(30), 2, TIMING, 0) == tuple(range(20, 30)), "the fewest, the last of them"


@pytest.mark.parametrize(("level", "down"), [(2, 4), (3, 7), (4, 31)])
def test_a_level_falls_at_the_uptime_from_which_on_another_follows(level: int, down: int) -> None:
    assert slots_needed(level, _leaf((1 << down) - 1), [0], 2, TIMING, 0) == (0,)
    assert slots_needed(level, _leaf((1 << down + 1) - 1), [0], 2, TIMING, 0) is None


def test_what_does_not_count_as_down_is_passed_over() -> None:
    down = (1 << 31) - 1
    assert slots_needed(4, _leaf(down), [40, 59, -1, 1_000], 2, TIMING, 0) is None
    assert slots_needed(4, _leaf(down | 1 << 50, served=1 << 50), [50], 2, TIMING, 0) is None
    assert slots_needed(4, _leaf(down | 1 << 50, void=1 << 50), [50], 2, TIMING, 0) is None
    assert slots_needed(4, _leaf(down, duty=FULL & ~1), [0, 1], 2, TIMING, 0) == (1,)


def test_without_a_quorum_nothing_is_down_and_nothing_needs_to_be_shown() -> None:
    assert slots_needed(4, _leaf(FULL, days=1), range(SLOTS), 2, TIMING, 0) == ()


@pytest.mark.parametrize("level", [7, 8])
def test_a_wrong_result_or_wrong_hardware_rests_on_no_slot(level: int) -> None:
    assert slots_needed(level, _leaf(FULL), range(SLOTS), 2, TIMING, 0) is None


def test_an_outage_that_came_from_the_epoch_before_ends_with_the_first_slot_that_counts() -> None:
    leaf = _leaf(FULL, duty=FULL & ~0b11)
    assert slots_needed(5, leaf, range(3, SLOTS), 2, TIMING, 1) is None
    assert slots_needed(5, leaf, range(SLOTS), 2, TIMING, 1) == (2,)
    assert slots_needed(5, leaf, [59], 2, TIMING, 0) == (), "sixty seconds are no outage of two days"


def test_an_outage_inside_one_epoch_ends_where_it_becomes_too_short() -> None:
    timing = Timing(0, HOUR, 100)
    leaf = _leaf(((1 << 50) - 1) << 1, duty=(1 << 100) - 1, slots=100)
    assert slots_needed(5, leaf, [1], 2, timing, 3) is None, "49 hours are left"
    assert slots_needed(5, leaf, [1, 2], 2, timing, 3) == (2,)
    assert slots_needed(5, leaf, [25], 2, timing, 3) == (25,)


@given(st.integers(0, FULL), st.integers(0, FULL), st.integers(0, FULL), st.integers(1, 4))
def test_slots_and_uptime_are_those_of_the_settlement(down: int, served: int, void: int, days: int) -> None:
    counted, left = down_slots(_leaf(down, days, served, void=void), 2, SLOTS)
    enough = days >= 2
    found = combine(FULL, down if enough else 0, void, served, NO_COUNTS, enough=enough)
    assert (counted, left, uptime_ppm(counted, left)) == (found.counted, found.down, found.uptime_ppm)


@given(st.integers(0, FULL), st.integers(1, FULL), st.integers(2, 4))
def test_an_uptime_level_stands_exactly_where_the_settlement_calls_for_it_or_a_harsher_one(
    down: int, counted: int, level: int
) -> None:
    down &= counted
    called_for = uptime_level(uptime_ppm(counted, down), 10**6)
    assert level_stands(level, counted, down, TIMING, 1) == (called_for >= level)


@given(st.integers(0, FULL), st.integers(1, FULL), st.sampled_from([(5, 48), (6, 120)]), st.integers(0, 1))
def test_an_outage_stands_exactly_where_some_run_from_before_would_make_the_settlement_call_for_it(
    down: int, counted: int, level: tuple[int, int], epoch: int
) -> None:
    code, hours = level
    down &= counted
    openings = range(hours + 1) if epoch else [0]
    possible = any(outage(down, counted, SLOTS, HOUR, opening).level >= code for opening in openings)
    assert level_stands(code, counted, down, Timing(0, HOUR, SLOTS), epoch) == possible


def test_none_of_the_slots_found_can_be_left_out() -> None:
    rng = random.Random(7)
    for _ in range(300):
        leaf = _leaf(
            rng.getrandbits(SLOTS) | rng.getrandbits(SLOTS), served=rng.getrandbits(SLOTS) & rng.getrandbits(SLOTS)
        )
        level, epoch = rng.choice([2, 3, 4, 5]), rng.randrange(2)
        kept = [slot for slot in range(SLOTS) if rng.random() < 0.6]
        needed = slots_needed(level, leaf, kept, 2, TIMING, epoch)
        if needed is None:
            continue
        counted, down = down_slots(leaf, 2, SLOTS)
        without = down & ~sum(1 << slot for slot in needed)
        assert set(needed) <= set(kept) and not level_stands(level, counted, without, TIMING, epoch)
        for slot in needed:
            assert level_stands(level, counted, without | 1 << slot, TIMING, epoch)

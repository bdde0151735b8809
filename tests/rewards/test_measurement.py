"""Bitmaps, histograms, majorities and void slots, each against a loop that does the same slowly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.types import ProviderStatus, Timing, Window
from rewards.errors import BadProbe
from rewards.measurement import (
    BUCKET_UPPER_MS,
    NO_COUNTS,
    Probe,
    SlotCounter,
    bucket_of,
    combine,
    join_words,
    maintenance_mask,
    majority_down,
    on_duty,
    p95_bucket,
    pack_histogram,
    probe_day,
    registered_mask,
    split_words,
    unpack_histogram,
    void_slots,
)
from rewards.testing import Network

PROVIDER = "0x" + "11" * 20
masks = st.integers(0, (1 << 1536) - 1)


def _bits(mask: int, slots: int) -> list[int]:
    return [mask >> slot & 1 for slot in range(slots)]


def _down(*slots: int) -> int:
    return sum(1 << slot for slot in slots)


@given(masks)
def test_words_join_to_the_mask_they_were_split_from(mask: int) -> None:
    words = split_words(mask)
    assert len(words) == 6 and all(0 <= word < 1 << 256 for word in words)
    assert join_words(words) == mask


def test_slot_s_is_bit_s_mod_256_of_word_s_div_256() -> None:
    words = split_words(1 << 700)
    assert words[2] == 1 << (700 - 512) and sum(words) == words[2]


@given(st.lists(st.integers(0, 100_000), min_size=16, max_size=16))
def test_histogram_counters_come_back_cut_at_sixteen_bits(counts: list[int]) -> None:
    assert unpack_histogram(pack_histogram(counts)) == tuple(min(count, 65_535) for count in counts)


def test_a_time_equal_to_a_bound_falls_below_it() -> None:
    for index, bound in enumerate(BUCKET_UPPER_MS):
        assert (bucket_of(bound), bucket_of(bound + 1)) == (index, index + 1)
    assert bucket_of(0) == 0


@given(st.lists(st.integers(0, 50), min_size=16, max_size=16))
def test_p95_is_the_bucket_of_the_value_at_that_rank(counts: list[int]) -> None:
    values = [bucket for bucket, count in enumerate(counts) for _ in range(count)]
    if not values:
        assert p95_bucket(counts) == 255
    else:
        rank = -(-95 * len(values) // 100)
        assert p95_bucket(counts) == values[rank - 1]


def test_p95_of_twenty_probes_leaves_one_out() -> None:
    counts = [0] * 16
    counts[2], counts[9] = 19, 1
    assert p95_bucket(counts) == 2
    counts[2], counts[9] = 18, 2
    assert p95_bucket(counts) == 9


@given(st.lists(st.integers(0, (1 << 40) - 1), min_size=1, max_size=9))
def test_a_slot_is_down_when_more_than_half_say_so(ups: list[int]) -> None:
    down = majority_down(ups, 40)
    for slot in range(40):
        zeros = sum(1 - (up >> slot & 1) for up in ups)
        assert down >> slot & 1 == (2 * zeros > len(ups))


def test_up_wins_a_tie() -> None:
    assert majority_down([0, 0b11], 2) == 0
    assert majority_down([0, 0, 0b11, 0b11], 2) == 0
    assert majority_down([0, 0b01, 0b01], 2) == 0b10


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 20)), max_size=12), st.integers(0, 200))
def test_bit_planes_count_and_compare_like_a_loop(added: list[tuple[int, int]], threshold: int) -> None:
    counter = SlotCounter(8)
    for mask, times in added:
        counter.add(mask, times)
    above = counter.above(threshold)
    for slot in range(8):
        count = sum(times for mask, times in added if mask >> slot & 1)
        assert counter.at(slot) == count
        assert above >> slot & 1 == (count > threshold)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=15))
def test_a_slot_is_void_when_more_than_three_in_ten_are_down(pairs: list[tuple[int, int]]) -> None:
    counting = {str(index): duty for index, (duty, _) in enumerate(pairs)}
    down = {str(index): duty & gone for index, (duty, gone) in enumerate(pairs)}
    void = void_slots(counting, down, 8)
    for slot in range(8):
        there = sum(duty >> slot & 1 for duty in counting.values())
        gone = sum(mask >> slot & 1 for mask in down.values())
        assert void >> slot & 1 == (10 * gone > 3 * there)


def test_three_of_ten_down_is_no_void_slot_but_four_of_ten_is() -> None:
    counting = {str(index): 0b11 for index in range(10)}
    down = {str(index): (0b11 if index < 3 else 0b10 if index == 3 else 0) for index in range(10)}
    assert void_slots(counting, down, 2) == 0b10


def test_uptime_is_up_slots_over_counted_slots() -> None:
    full = (1 << 1440) - 1
    measured = combine(full, _down(*range(10)), 0, 0, NO_COUNTS, True)
    assert measured.uptime_ppm == 993_055
    assert (measured.counted.bit_count(), measured.down.bit_count()) == (1440, 10)


def test_a_slot_that_served_a_customer_is_up_and_a_void_slot_does_not_count() -> None:
    measured = combine(0b1111, 0b1111, 0b0001, 0b0010, NO_COUNTS, True)
    assert measured.down == 0b1100 and measured.counted == 0b1110 and measured.void == 0b0001
    assert measured.uptime_ppm == 333_333


def test_nothing_counted_is_full_uptime_and_no_measurement() -> None:
    measured = combine(0, 0, 0, 0, NO_COUNTS, True)
    assert measured.uptime_ppm == 1_000_000 and not measured.measured and measured.ttft_p95_bucket == 255


def test_only_slots_that_begin_at_or_after_the_registration_count() -> None:
    timing = Timing(genesis=1_000, slot_s=60, slots_per_epoch=10)
    assert registered_mask(timing, 0, 500) == 0b1111111111
    assert registered_mask(timing, 0, 1_000) == 0b1111111111
    assert registered_mask(timing, 0, 1_001) == 0b1111111110
    assert registered_mask(timing, 0, 1_060) == 0b1111111110
    assert registered_mask(timing, 1, 1_601) == 0b1111111110
    assert registered_mask(timing, 0, 1_541) == 0
    assert registered_mask(timing, 1, 1_541) == 0b1111111111


def test_slots_that_begin_inside_a_declared_window_do_not_count() -> None:
    timing = Timing(genesis=1_000, slot_s=60, slots_per_epoch=10)

    def masked(*windows: tuple[int, int], epoch: int = 0) -> int:
        return maintenance_mask(timing, epoch, [Window(start, end) for start, end in windows])

    assert masked() == 0
    assert masked((1_060, 1_180)) == 0b110
    assert masked((1_059, 1_181)) == 0b1110
    assert masked((1_061, 1_120)) == 0  # no slot begins in it
    assert masked((0, 999)) == 0 == masked((1_600, 9_999)) == masked((1_600, 1_660))
    assert masked((1_600, 1_660), epoch=1) == 0b1
    assert masked((0, 9_999)) == 0b1111111111
    assert masked((1_060, 1_120), (1_120, 1_180), (1_540, 9_999)) == 0b1000000110


@given(st.integers(0, 2_400), st.integers(0, 2_400), st.integers(0, 2))
def test_a_window_masks_what_a_loop_over_slots_would(start: int, length: int, epoch: int) -> None:
    timing = Timing(genesis=1_000, slot_s=60, slots_per_epoch=10)
    begins = [timing.epoch_start(epoch) + slot * 60 for slot in range(10)]
    looped = sum(1 << slot for slot, begin in enumerate(begins) if start <= begin < start + length)
    assert maintenance_mask(timing, epoch, [Window(start, start + length)]) == looped


def test_whoever_leaves_stays_accountable_to_the_end_of_that_epoch() -> None:
    net = Network()
    name = net.provider_names[0]
    assert on_duty(net.records[name], False)
    net.change(name, stake=0)
    assert on_duty(net.records[name], True) and not on_duty(net.records[name], False)
    net.change(name, stake=10**30, status=ProviderStatus.JAILED)
    assert not on_duty(net.records[name], False)


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(BadProbe, match="not negative"):
        probe_day(PROVIDER, 0, 60, [Probe(3, True, -1)])


def test_without_evidence_every_slot_is_up() -> None:
    day = probe_day(PROVIDER, 0, 60, [])
    assert join_words(day.up) == (1 << 60) - 1 and day.histogram == 0


def test_slots_between_two_consecutive_failures_are_down() -> None:
    day = probe_day(PROVIDER, 0, 10, [Probe(3, False), Probe(6, False), Probe(8, True, 25), Probe(9, False)])
    assert join_words(day.up) == 0b1111111111 & ~_down(3, 4, 5, 6, 9)
    assert unpack_histogram(day.histogram)[1] == 1 and sum(unpack_histogram(day.histogram)) == 1


def test_an_answer_between_two_failures_breaks_the_gap_whatever_the_order_of_the_list() -> None:
    probes = [Probe(6, False), Probe(4, True, 30), Probe(2, False)]
    assert join_words(probe_day(PROVIDER, 0, 10, probes).up) == 0b1111111111 & ~_down(2, 6)


def test_a_retry_in_the_same_slot_saves_the_slot() -> None:
    day = probe_day(PROVIDER, 0, 10, [Probe(4, False), Probe(4, True, 900)])
    assert join_words(day.up) == 0b1111111111 and unpack_histogram(day.histogram)[9] == 1


def test_failures_before_and_after_the_epoch_close_the_gaps_at_its_edges_only() -> None:
    day = probe_day(PROVIDER, 1, 10, [Probe(7, False), Probe(12, False), Probe(18, False), Probe(25, False)])
    assert join_words(day.up) == 0
    day = probe_day(PROVIDER, 1, 10, [Probe(7, True, 10), Probe(12, False), Probe(25, True, 10)])
    assert join_words(day.up) == 0b1111111111 & ~_down(2) and day.histogram == 0


@given(st.lists(st.tuples(st.integers(0, 29), st.booleans(), st.integers(0, 20_000)), max_size=30))
def test_a_probe_day_says_zero_only_at_or_between_failures(raw: list[tuple[int, bool, int]]) -> None:
    day = probe_day(PROVIDER, 0, 30, [Probe(slot, ok, ms if ok else None) for slot, ok, ms in raw])
    answered = {}
    for slot, ok, _ in raw:
        answered[slot] = answered.get(slot, False) or ok
    known = sorted(answered)
    for slot, bit in enumerate(_bits(join_words(day.up), 30)):
        before = [one for one in known if one <= slot]
        after = [one for one in known if one >= slot]
        down = bool(before and after) and not answered[before[-1]] and not answered[after[0]]
        assert bit == (not down)
    assert sum(unpack_histogram(day.histogram)) == sum(ok for _, ok, _ in raw)

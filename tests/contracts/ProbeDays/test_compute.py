"""compute, slot by slot: each rule by itself, against the plainest way of saying it."""

import random

import pytest
from brownie import accounts

from tests.contracts.support.refusals import refused

NOBODY = "0x" + 40 * "0"
FULL = (1 << 1536) - 1
SLOTS, QUORUM = 1440, 2


@pytest.fixture(scope="module")
def harness(built):
    return built.ProbeDaysHarness.deploy({"from": accounts[0]})


def words(mask):
    return [(mask >> (256 * i)) & (2**256 - 1) for i in range(6)]


def case(ups, duty=FULL, served=0, void=0, histograms=None):
    histograms = histograms or [0] * len(ups)
    days = [(NOBODY, words(up), histogram, b"") for up, histogram in zip(ups, histograms, strict=True)]
    return (NOBODY, words(duty), words(served), words(void), days)


def compute(harness, *arguments, slots=SLOTS, quorum=QUORUM, **fields):
    uptimes, buckets, measured = harness.computeMany([case(*arguments, **fields)], [slots], [quorum])
    return uptimes[0], buckets[0], measured[0]


def histogram(**counts):
    return sum(count << (16 * int(bucket[1:])) for bucket, count in counts.items())


def test_refuses_more_than_64_days(harness):
    found = refused(harness.computeMany, [case([FULL] * 65)], [SLOTS], [QUORUM], sender=accounts[0])
    assert found == ("TooManyDays", 65, 64)


def test_takes_64_days(harness):
    assert compute(harness, [FULL] * 32 + [0] * 32) == (1_000_000, 255, True)
    assert compute(harness, [FULL] * 31 + [0] * 33) == (0, 255, True)


def test_says_nothing_against_a_provider_without_a_quorum(harness):
    assert compute(harness, [0], histograms=[histogram(b3=5)]) == (1_000_000, 255, False)


@pytest.mark.parametrize("days", range(1, 65))
def test_a_slot_is_down_only_when_more_than_half_say_so(harness, days):
    """For every number of days and every number of zeros among them: slot z gets zeros from the first z days."""
    ups = [FULL & ~(((1 << (days + 1)) - 1) & ~((1 << (number + 1)) - 1)) for number in range(days)]
    expected = sum(1 << zeros for zeros in range(days + 1) if 2 * zeros > days)
    assert list(harness.downMany([case(ups)])[0]) == words(expected)
    for zeros in {0, days // 2, days // 2 + 1, days}:
        assert harness.isDown(case(ups), zeros) == (2 * zeros > days)


def test_up_wins_a_tie(harness):
    assert compute(harness, [FULL, 0]) == (1_000_000, 255, True)


def test_a_minority_cannot_move_a_slot(harness):
    rng = random.Random(5)
    for _ in range(20):
        honest = rng.getrandbits(1536)
        lies = [rng.getrandbits(1536) for _ in range(2)]
        for ups in ([honest] * 3 + lies, lies + [honest] * 3, [lies[0], *[honest] * 3, lies[1]]):
            assert list(harness.downMany([case(ups)])[0]) == words(FULL & ~honest)


def test_served_slots_are_up_and_void_ones_do_not_count(harness):
    down = 0b1111
    assert compute(harness, [FULL & ~down] * 3, slots=10) == (600_000, 255, True)
    assert compute(harness, [FULL & ~down] * 3, served=0b0001, slots=10) == (700_000, 255, True)
    assert compute(harness, [FULL & ~down] * 3, void=0b0011, slots=10) == (750_000, 255, True)
    assert compute(harness, [FULL & ~down] * 3, duty=FULL & ~0b0111, slots=10) == (857_142, 255, True)


def test_nothing_counts_nothing_is_measured_though_times_were(harness):
    found = compute(harness, [0, 0], duty=0, histograms=[histogram(b4=1)] * 2)
    assert found == (1_000_000, 4, False)
    assert compute(harness, [0, 0], void=FULL) == (1_000_000, 255, False)


@pytest.mark.parametrize("slots", [1, 10, 255, 256, 257, 1440, 1535, 1536])
def test_bits_beyond_the_epoch_count_for_nothing(harness, slots):
    beyond = FULL & ~((1 << slots) - 1)
    assert list(harness.inEpoch(slots)) == words((1 << slots) - 1)
    assert compute(harness, [FULL & ~beyond] * 3, slots=slots) == (1_000_000, 255, True)
    assert compute(harness, [beyond] * 3, slots=slots) == (0, 255, True)


def test_uptime_is_rounded_down(harness):
    assert compute(harness, [FULL & ~0x3FF] * 3)[0] == 993_055
    assert compute(harness, [FULL & ~1] * 3, slots=1536)[0] == 999_348


@pytest.mark.parametrize(
    ("histograms", "bucket"),
    [
        ([histogram(b2=19, b9=1), 0], 2),
        ([histogram(b2=18, b9=2), 0], 9),
        ([histogram(b2=19), histogram(b9=1)], 2),
        ([0, 0], 255),
        ([histogram(b0=1), 0], 0),
        ([histogram(b15=1), 0], 15),
        ([histogram(b1=95, b2=5), 0], 1),
        ([histogram(b1=94, b2=6), 0], 2),
        ([2**256 - 1] * 2, 15),
    ],
)
def test_p95_is_the_first_bucket_that_reaches_95_percent(harness, histograms, bucket):
    assert compute(harness, [FULL, FULL], histograms=histograms)[1] == bucket


def test_counters_of_64_days_do_not_run_into_one_another(harness):
    full = [histogram(b0=0xFFFF, b15=0xFFFF)] * 60 + [histogram(b0=0xFFFF)] * 4
    assert compute(harness, [FULL] * 64, histograms=full)[1] == 15
    most = [histogram(b6=0xFFFF)] * 61 + [histogram(b7=0xFFFF)] * 3
    assert compute(harness, [FULL] * 64, histograms=most)[1] == 6


def test_counts_bits(harness):
    rng = random.Random(1)
    some = [0, 1, 2**255, 2**256 - 1, 2**256 - 2, 2**128 - 1, int("01" * 128, 2)]
    some += [rng.getrandbits(256) & rng.getrandbits(256) for _ in range(100)]
    some += [rng.getrandbits(256) for _ in range(100)] + [1 << i for i in range(256)]
    assert list(harness.popcounts(some)) == [word.bit_count() for word in some]

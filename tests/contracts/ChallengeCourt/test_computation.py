"""challengeComputation, ground 2, and compute: what follows from what verifiers signed is computed again on chain."""

from dataclasses import replace

import pytest

from tests.contracts.ChallengeCourt.attested import SLOTS, computed, slashed, waiting
from tests.contracts.ChallengeCourt.challenge_acts import DOWN, LEVEL, bad_day, refusal, sustain
from tests.contracts.support.market import STAKE
from tests.contracts.support.reports import plain

GROUND, FUNCTION = 2, "challengeComputation"
TIMES = {0: 19 << 32, 1: 1 << 144}
"""Nineteen counts in bucket 2 by one verifier, one in bucket 9 by the other: the p95 is in bucket 2."""


@pytest.mark.parametrize("state", [waiting, slashed])
@pytest.mark.parametrize("uptime", [0, 333_332, 333_334, 1_000_000])
def test_an_uptime_one_ppm_off_is_wrong(market, state, uptime):
    case = state(market, bad_day(market), {"uptime_ppm": uptime} | LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


@pytest.mark.parametrize("bucket", [1, 3, 9, 255])
def test_another_p95_bucket_is_wrong(market, bucket):
    case = waiting(market, bad_day(market, histograms=TIMES), {"ttft_p95_bucket": bucket} | LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


def test_measured_though_nothing_counts_is_wrong(market):
    case = waiting(market, bad_day(market, duty=0), {"measured": True} | LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


def test_not_measured_though_it_was_is_wrong(market):
    case = waiting(market, bad_day(market), {"measured": False})
    sustain(case, GROUND, FUNCTION, *case.arguments(), lost=0)


def test_without_a_quorum_a_bad_uptime_is_wrong(market):
    one = bad_day(market, downs={0: DOWN})
    case = waiting(market, one, {"uptime_ppm": 333_333} | LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments())


def test_a_good_leaf_that_lies_costs_its_signers_as_much_and_the_provider_gets_nothing(market):
    """Favours are faults: nobody lost anything, so the bonds go to the challenger, the fire and the fund."""
    case = waiting(market, bad_day(market), {"uptime_ppm": 1_000_000})
    sustain(case, GROUND, FUNCTION, *case.arguments(), lost=0)


@pytest.mark.parametrize("state", [waiting, slashed])
@pytest.mark.parametrize("level", [5, 6])
def test_an_outage_of_which_the_words_hold_nothing_is_wrong(market, state, level):
    """Before the first epoch there was nobody to be down, and its sixty seconds are no two days."""
    case = state(market, bad_day(market), {"slash_level": level})
    sustain(case, GROUND, FUNCTION, *case.arguments(), lost={5: 20, 6: 40}[level] * STAKE)


def test_an_outage_that_may_have_come_from_the_epoch_before_is_no_fault(market):
    market.settle([])
    case = slashed(market, bad_day(market, epoch=1), {"slash_level": 5})
    assert refusal(case, FUNCTION, *case.arguments()) == ("NoFault", GROUND)


def test_an_outage_ended_where_the_epoch_began_with_a_slot_that_was_up(market):
    market.settle([])
    late = DOWN & ~1
    case = waiting(market, bad_day(market, epoch=1, downs={0: late, 1: late}), {"slash_level": 5})
    sustain(case, GROUND, FUNCTION, *case.arguments(), lost=20 * STAKE)


def test_what_is_right_to_the_ppm_is_no_fault(market):
    one = bad_day(market, histograms=TIMES, served=0b111, void=0b111000, duty=DOWN | 7 << 50)
    case = waiting(market, one, LEVEL)
    assert refusal(case, FUNCTION, *case.arguments()) == ("NoFault", GROUND)
    assert computed(one)["uptime_ppm"] == 6 * 1_000_000 // 40


def test_a_vindicated_provider_gets_no_more_than_its_window_would_have_let_a_slash_take(market):
    """Ten per cent in thirty days: of the third slash only half could have been opened, and only that is replaced."""
    ids = []
    for epoch in (0, 1):
        case = slashed(market, bad_day(market, epoch=epoch), LEVEL)
        ids.append(market.execute(case.slash_id).return_value)
    case = waiting(market, bad_day(market, epoch=2), {"uptime_ppm": 5} | LEVEL)
    sustain(case, GROUND, FUNCTION, *case.arguments(), lost=ids[0] // 2)


def test_compute_tells_uptime_bucket_and_whether_anything_was_measured(market):
    for one in (
        bad_day(market, histograms=TIMES),
        bad_day(market, downs={0: DOWN}),
        bad_day(market, duty=0),
        bad_day(market, served=0b1011, void=0b110000),
        bad_day(market, downs={0: DOWN, 1: 0}),
        bad_day(market, downs={0: DOWN, 1: 0, 2: 1}),
    ):
        assert market.challenges.compute(plain(one)) == tuple(computed(one).values())


def test_compute_ignores_slots_beyond_the_epoch(market):
    """The epoch has sixty slots: nobody makes a provider look better, or worse, by slots that do not exist."""
    beyond = ((1 << 1536) - 1) >> SLOTS << SLOTS
    one = bad_day(market, duty=(1 << 1536) - 1, downs={0: DOWN, 1: DOWN})
    assert market.challenges.compute(plain(one))[0] == 333_333
    assert market.challenges.compute(plain(bad_day(market, duty=beyond))) == (1_000_000, 255, False)


def test_sixty_four_days_are_computed_in_a_part_of_a_block(market):
    """A gas bomb at its largest: what is challenged stays challengeable."""
    one = bad_day(market)
    most = replace(one, days=one.days * 32)
    case = waiting(market, most, {"uptime_ppm": 5} | LEVEL)
    tx = sustain(case, GROUND, FUNCTION, *case.arguments())
    assert tx.gas_used < 3_000_000

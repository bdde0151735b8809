"""challengeLeaf, ground 6: a leaf that contradicts itself."""

import pytest

from tests.contracts.ChallengeCourt.attested import Case
from tests.contracts.ChallengeCourt.challenge_acts import refusal, sustain
from tests.contracts.support.market import STAKE
from tests.contracts.support.reports import make_leaf

GROUND, FUNCTION = 6, "challengeLeaf"
BELOW = {1: 980_000, 2: 950_000, 3: 900_000, 4: 500_000}
SIZE = {0: 0, 1: 0, 2: 2, 3: 4, 4: 8, 5: 20, 6: 40, 7: 20, 8: 20}


def said(market, in_force=False, level=0, **fields):
    """Return a report that says something of the small provider."""
    leaf = make_leaf(market.small, level=level, **fields)
    if not in_force:
        return Case(market, market.submitted([leaf]), [], market.small)
    report = market.settle([leaf])
    return Case(market, report, [], market.small, market.propose(report, market.small, proposer=market.fresh))


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_a_level_follows_from_an_uptime_below_its_bound_and_not_at_it(market, level):
    case = said(market, level=level, uptime_ppm=BELOW[level] - 1)
    assert refusal(case, FUNCTION, case.target()) == ("NoFault", GROUND)
    market.rewind()
    market.open_clock()
    case = said(market, level=level, uptime_ppm=BELOW[level])
    sustain(case, GROUND, FUNCTION, case.target(), lost=SIZE[level] * STAKE)


@pytest.mark.parametrize("level", [2, 3, 4])
def test_a_slash_that_the_uptime_does_not_call_for_is_cancelled(market, level):
    """A provider that was up in all slots is never slashed."""
    case = said(market, True, level, uptime_ppm=1_000_000)
    sustain(case, GROUND, FUNCTION, case.target(), lost=SIZE[level] * STAKE)


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5, 6])
def test_a_level_needs_a_measurement(market, level):
    case = said(market, level=level, uptime_ppm=0, measured=False)
    sustain(case, GROUND, FUNCTION, case.target(), lost=SIZE[level] * STAKE)


@pytest.mark.parametrize("level", [7, 8])
def test_wrong_results_and_hardware_are_no_matter_of_uptime(market, level):
    case = said(market, level=level, measured=False)
    assert refusal(case, FUNCTION, case.target()) == ("NoFault", GROUND)


@pytest.mark.parametrize("level", [5, 6])
def test_outages_may_go_with_any_uptime_of_a_day(market, level):
    """The run may have begun days ago and ended in the first slot of this one."""
    case = said(market, level=level, uptime_ppm=999_000)
    assert refusal(case, FUNCTION, case.target()) == ("NoFault", GROUND)


@pytest.mark.parametrize("level", [9, 255])
def test_levels_above_eight_do_not_exist(market, level):
    case = said(market, level=level)
    sustain(case, GROUND, FUNCTION, case.target(), lost=0)


@pytest.mark.parametrize("field", ["uptime_ppm", "success_ppm", "verification_ppm", "score_ppm"])
def test_a_share_above_the_whole_does_not_exist(market, field):
    """Such a report can never be complete; whoever signed it pays nevertheless, and need not be waited for."""
    case = signed_only(market, **{field: 1_000_001})
    sustain(case, GROUND, FUNCTION, case.target(), lost=0)


def test_a_standing_above_two_does_not_exist(market):
    case = signed_only(market, standing=3)
    sustain(case, GROUND, FUNCTION, case.target(), lost=0)


def signed_only(market, **fields):
    """Return a report whose leaves the ledger would refuse, submitted and not complete."""
    report = market.next_report([make_leaf(market.small, **fields)])
    market.submit(report)
    return Case(market, report, [], market.small)


def test_a_flawless_leaf_is_no_fault(market):
    case = said(market, standing=2, strikes=3)
    assert refusal(case, FUNCTION, case.target()) == ("NoFault", GROUND)

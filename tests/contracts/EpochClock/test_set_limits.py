"""setLimits: the sanity limits of reports move inside their bounds, at once."""

import pytest

from tests.contracts.EpochClock.values import LIMITS, changed
from tests.contracts.support.refusals import refused

MOST = 2**96 - 1


def test_refuses_everybody_but_whoever_sets_parameters(market):
    market.separate_roles()
    for person in (market.stranger, market.admin, market.pauser, market.arbitrator):
        found = refused(market.clock.setLimits, LIMITS, sender=person)
        assert found == ("AccessManagedUnauthorized", person.address.lower())


@pytest.mark.parametrize(
    ("index", "name", "least", "most"),
    [
        (0, "mostCharged", 1, MOST),
        (1, "growthFloor", 1, MOST),
        (2, "mostPerProvider", 1, MOST),
        (3, "mostGrowthPpm", 1_000_000, 100_000_000),
        (4, "mostSlashedPpm", 1_000, 1_000_000),
    ],
)
def test_refuses_what_lies_outside_its_bounds_and_takes_what_lies_on_them(market, index, name, least, most):
    for value in (least - 1, most + 1):
        found = refused(market.clock.setLimits, changed(LIMITS, index, value), sender=market.admin)
        assert found == ("OutOfBounds", name, value, least, most)
    for value in (least, most):
        market.clock.setLimits(changed(LIMITS, index, value), {"from": market.admin})
        assert market.clock.limits() == changed(LIMITS, index, value)


def test_limits_hold_at_once(market):
    new = (7, 6, 5, 2_000_000, 10_000)
    tx = market.clock.setLimits(new, {"from": market.admin})
    assert tuple(tx.events["LimitsSet"]["limits"]) == new == market.clock.limits()
    assert (market.clock.mostPerProvider(), market.clock.mostPerProviderBits()) == (5, 2)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 8, 2**95 - 1, 2**95, MOST])
def test_the_bits_of_the_limit_per_provider_are_never_above_it_and_above_half_of_it(market, limit):
    market.clock.setLimits(changed(LIMITS, 2, limit), {"from": market.admin})
    power = 2 ** market.clock.mostPerProviderBits()
    assert power <= market.clock.mostPerProvider() == limit < 2 * power


@pytest.mark.parametrize(
    ("count", "ppm", "most"), [(1, 1_000, 1), (3, 500_000, 2), (512, 10_000, 6), (10, 1_000_000, 10)]
)
def test_the_share_of_slashed_leaves_is_rounded_up(market, count, ppm, most):
    market.clock.setLimits(changed(LIMITS, 4, ppm), {"from": market.admin})
    market.clock.checkSlashed(most, count)
    found = refused(market.clock.checkSlashed, most + 1, count, sender=market.stranger)
    assert found == ("TotalAboveLimit", "slashed", most + 1, most)

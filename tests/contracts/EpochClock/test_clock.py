"""What time it is, and with which constants the clock can be deployed."""

import pytest

from tests.contracts.EpochClock.values import LIMITS, RULES
from tests.contracts.support.refusals import deployment_refused, refused

CONFIG = (1, 60, 4, 0)


def test_times_are_unknown_before_opening(unopened):
    assert refused(unopened.clock.epochStart, 0, sender=unopened.stranger) == ("NotOpen",)
    assert refused(unopened.clock.epochEnd, 0, sender=unopened.stranger) == ("NotOpen",)
    assert unopened.clock.currentEpoch() == 0 and unopened.clock.genesis() == 0


def test_epochs_follow_each_other_without_a_gap(unopened):
    clock, genesis = unopened.clock, unopened.now() + 50
    clock.open(genesis, {"from": unopened.admin})
    assert clock.currentEpoch() == 0, "before genesis too"
    for epoch in range(3):
        start = clock.epochStart(epoch)
        assert start == genesis + 60 * epoch and clock.epochEnd(epoch) == start + 60
        unopened.wait_until(start)
        assert clock.currentEpoch() == epoch
        unopened.wait_until(start + 59)
        assert clock.currentEpoch() == epoch
    assert (clock.slotSeconds(), clock.slotsPerEpoch(), clock.activationDelay(), clock.reportDelay()) == CONFIG
    assert (clock.epochSeconds(), clock.settlementSeconds()) == (60, 64)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ((0, 60, 4, 0), ("OutOfBounds", "slotSeconds", 0, 1, 300)),
        ((301, 60, 4, 0), ("OutOfBounds", "slotSeconds", 301, 1, 300)),
        ((1, 9, 4, 0), ("OutOfBounds", "slotsPerEpoch", 9, 10, 1_536)),
        ((1, 1_537, 4, 0), ("OutOfBounds", "slotsPerEpoch", 1_537, 10, 1_536)),
        ((1, 60, 0, 0), ("OutOfBounds", "activationDelay", 0, 1, 7 * 86_400)),
        ((1, 60, 7 * 86_400 + 1, 0), ("OutOfBounds", "activationDelay", 7 * 86_400 + 1, 1, 7 * 86_400)),
        ((1, 60, 4, 86_401), ("OutOfBounds", "reportDelay", 86_401, 0, 86_400)),
    ],
)
def test_refuses_to_be_deployed_outside_its_bounds(unopened, built, config, expected):
    arguments = (unopened.authority, config, RULES, LIMITS)
    assert deployment_refused(built.EpochClock, *arguments, sender=unopened.admin) == expected


def test_refuses_to_be_deployed_without_an_authority_or_with_wrong_rules_or_limits(unopened, built):
    nobody = "0x" + "00" * 20
    found = deployment_refused(built.EpochClock, nobody, CONFIG, RULES, LIMITS, sender=unopened.admin)
    assert found == ("ZeroAddress", "authority")
    rules, limits = (940_001, *RULES[1:]), (0, *LIMITS[1:])
    found = deployment_refused(built.EpochClock, unopened.authority, CONFIG, rules, LIMITS, sender=unopened.admin)
    assert found == ("WrongShares", 1_000_001, 1_000_000)
    found = deployment_refused(built.EpochClock, unopened.authority, CONFIG, RULES, limits, sender=unopened.admin)
    assert found == ("OutOfBounds", "mostCharged", 0, 1, 2**96 - 1)


def test_takes_the_widest_and_the_narrowest_constants(unopened, built):
    for config in ((300, 1_536, 7 * 86_400, 86_400), (1, 10, 1, 0)):
        clock = built.EpochClock.deploy(unopened.authority, config, RULES, LIMITS, {"from": unopened.stranger})
        assert clock.epochSeconds() == config[0] * config[1]
        assert clock.settlementSeconds() == config[0] * config[1] + config[2] + config[3]
        assert clock.rules() == RULES and clock.limits() == LIMITS and clock.authority() == unopened.authority

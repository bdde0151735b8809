"""setRules: settlement parameters move inside their bounds, from the next epoch on."""

import pytest

from tests.contracts.EpochClock.values import RULES, changed
from tests.contracts.support.refusals import refused

MOST_AMOUNT = 2**96 - 1


def test_refuses_everybody_but_whoever_sets_parameters(market):
    market.separate_roles()
    for person in (market.stranger, market.admin, market.pauser, market.arbitrator):
        found = refused(market.clock.setRules, RULES, sender=person)
        assert found == ("AccessManagedUnauthorized", person.address.lower())


@pytest.mark.parametrize(
    ("index", "value", "expected"),
    [
        (0, 799_999, ("OutOfBounds", "providerPpm", 799_999, 800_000, 1_000_000)),
        (0, 1_000_001, ("OutOfBounds", "providerPpm", 1_000_001, 800_000, 1_000_000)),
        (1, 100_001, ("OutOfBounds", "verifierPpm", 100_001, 0, 100_000)),
        (2, 100_001, ("OutOfBounds", "slaFundPpm", 100_001, 0, 100_000)),
        (3, 100_001, ("OutOfBounds", "treasuryPpm", 100_001, 0, 100_000)),
        (3, 20_001, ("WrongShares", 1_000_001, 1_000_000)),
        (3, 19_999, ("WrongShares", 999_999, 1_000_000)),
        (4, MOST_AMOUNT + 1, ("OutOfBounds", "incentivePerEpoch", MOST_AMOUNT + 1, 0, MOST_AMOUNT)),
        (5, 10**27 + 1, ("OutOfBounds", "stakeRate", 10**27 + 1, 0, 10**27)),
        (6, 49, ("OutOfBounds", "ttftTargetMs", 49, 50, 60_000)),
        (6, 60_001, ("OutOfBounds", "ttftTargetMs", 60_001, 50, 60_000)),
        (7, 0, ("OutOfBounds", "probeGapSlots", 0, 1, 60)),
        (7, 61, ("OutOfBounds", "probeGapSlots", 61, 1, 60)),
    ],
)
def test_refuses_what_lies_outside_its_bounds(market, index, value, expected):
    assert refused(market.clock.setRules, changed(RULES, index, value), sender=market.admin) == expected


@pytest.mark.parametrize(
    "rules",
    [
        (1_000_000, 0, 0, 0, MOST_AMOUNT, 10**27, 60_000, 60),
        (800_000, 100_000, 100_000, 0, 0, 0, 50, 1),
        (800_000, 0, 100_000, 100_000, 0, 0, 50, 1),
    ],
)
def test_takes_rules_at_their_bounds_and_gives_every_field_back(market, rules):
    market.clock.setRules(rules, {"from": market.admin})
    assert market.clock.rulesFor(1) == rules and market.clock.rulesFor(0) == RULES


def test_rules_change_from_the_next_epoch_and_never_for_a_running_one(market):
    clock, new, newer = market.clock, changed(RULES, 6, 1_000), changed(RULES, 6, 1_500)
    tx = clock.setRules(new, {"from": market.admin})
    assert tx.events["RulesSet"]["fromEpoch"] == 1 and tuple(tx.events["RulesSet"]["rules"]) == new
    assert clock.rules() == RULES == clock.rulesFor(0)
    clock.setRules(newer, {"from": market.admin})
    assert clock.rulesFor(1) == newer == clock.rulesFor(99), "the later wish for one epoch wins"
    market.end_of(2)
    clock.setRules(new, {"from": market.admin})
    assert [clock.rulesFor(e)[6] for e in range(6)] == [2_000, 1_500, 1_500, 1_500, 1_000, 1_000]
    assert clock.rules() == newer


def test_rules_set_before_genesis_hold_from_epoch_zero(unopened):
    tx = unopened.clock.setRules(changed(RULES, 6, 1_000), {"from": unopened.admin})
    assert tx.events["RulesSet"]["fromEpoch"] == 0 and unopened.clock.rulesFor(0)[6] == 1_000
    unopened.clock.open(unopened.now() + 1_000, {"from": unopened.admin})
    unopened.clock.setRules(changed(RULES, 6, 1_200), {"from": unopened.admin})
    assert unopened.clock.rulesFor(0)[6] == 1_200, "opened, not begun"

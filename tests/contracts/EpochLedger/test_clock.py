"""open, the clock and the rules."""

import pytest

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import deployment_refused, refused

RULES = (940_000, 20_000, 20_000, 20_000, 5 * PAY, 10**6, 2_000, 4)


def with_rule(index, value):
    return (*RULES[:index], value, *RULES[index + 1 :])


def test_open_refuses_everybody_but_the_administrator(unopened):
    found = refused(unopened.ledger.open, unopened.now() + 9, sender=unopened.stranger)
    assert found == ("AccessManagedUnauthorized", unopened.stranger.address.lower())


def test_open_refuses_the_past_and_the_far_future(unopened):
    now = unopened.now()
    found = refused(unopened.ledger.open, now - 1, sender=unopened.admin)
    assert found[:3] == ("OutOfBounds", "genesis", now - 1)
    assert refused(unopened.ledger.open, now + 31 * 86_400, sender=unopened.admin)[:2] == ("OutOfBounds", "genesis")


def test_open_refuses_a_second_time(market):
    found = refused(market.ledger.open, market.now() + 9, sender=market.admin)
    assert found == ("AlreadyOpen", market.ledger.genesis())


def test_times_are_unknown_before_opening(unopened):
    assert refused(unopened.ledger.epochStart, 0, sender=unopened.stranger) == ("NotOpen",)
    assert refused(unopened.ledger.epochEnd, 0, sender=unopened.stranger) == ("NotOpen",)
    assert unopened.ledger.currentEpoch() == 0 and unopened.ledger.genesis() == 0


def test_epochs_follow_each_other_without_a_gap(unopened):
    genesis = unopened.now() + 50
    tx = unopened.ledger.open(genesis, {"from": unopened.admin})
    assert tx.events["Opened"]["genesis"] == genesis == unopened.ledger.genesis()
    assert unopened.ledger.currentEpoch() == 0, "before genesis too"
    for epoch in range(3):
        start = unopened.ledger.epochStart(epoch)
        assert start == genesis + 60 * epoch and unopened.ledger.epochEnd(epoch) == start + 60
        unopened.wait_until(start)
        assert unopened.ledger.currentEpoch() == epoch
        unopened.wait_until(start + 59)
        assert unopened.ledger.currentEpoch() == epoch
    assert (unopened.ledger.epochSeconds(), unopened.ledger.settlementSeconds()) == (60, 64)


def test_set_rules_refuses_everybody_but_the_administrator(market):
    found = refused(market.ledger.setRules, RULES, sender=market.stranger)
    assert found == ("AccessManagedUnauthorized", market.stranger.address.lower())


@pytest.mark.parametrize(
    ("index", "value", "expected"),
    [
        (0, 799_999, ("OutOfBounds", "providerPpm", 799_999, 800_000, 1_000_000)),
        (1, 100_001, ("OutOfBounds", "verifierPpm", 100_001, 0, 100_000)),
        (2, 100_001, ("OutOfBounds", "slaFundPpm", 100_001, 0, 100_000)),
        (3, 100_001, ("OutOfBounds", "treasuryPpm", 100_001, 0, 100_000)),
        (3, 20_001, ("WrongShares", 1_000_001, 1_000_000)),
        (5, 10**27 + 1, ("OutOfBounds", "stakeRate", 10**27 + 1, 0, 10**27)),
        (6, 49, ("OutOfBounds", "ttftTargetMs", 49, 50, 60_000)),
        (7, 0, ("OutOfBounds", "probeGapSlots", 0, 1, 60)),
        (7, 61, ("OutOfBounds", "probeGapSlots", 61, 1, 60)),
    ],
)
def test_set_rules_refuses_what_lies_outside_its_bounds(market, index, value, expected):
    assert refused(market.ledger.setRules, with_rule(index, value), sender=market.admin) == expected


def test_rules_change_from_the_next_epoch_and_never_for_a_running_one(market):
    new, newer = with_rule(6, 1_000), with_rule(6, 1_500)
    tx = market.ledger.setRules(new, {"from": market.admin})
    assert tx.events["RulesSet"]["fromEpoch"] == 1 and tuple(tx.events["RulesSet"]["rules"]) == new
    assert market.ledger.rules() == RULES == market.ledger.rulesFor(0)
    market.ledger.setRules(newer, {"from": market.admin})
    assert market.ledger.rulesFor(1) == newer == market.ledger.rulesFor(99), "the later wish for one epoch wins"
    market.end_of(2)
    market.ledger.setRules(new, {"from": market.admin})
    assert [market.ledger.rulesFor(e)[6] for e in range(6)] == [2_000, 1_500, 1_500, 1_500, 1_000, 1_000]
    assert market.ledger.rules() == newer


def test_rules_set_before_genesis_hold_from_epoch_zero(unopened):
    unopened.ledger.setRules(with_rule(6, 1_000), {"from": unopened.admin})
    assert unopened.ledger.rulesFor(0)[6] == 1_000


def test_refuses_to_be_deployed_outside_its_bounds(market, built):
    others = (market.payment_token, market.escrow, market.verifiers, market.admin, market.authority)

    def refusal(slot=1, slots=60, activation=4, report=0):
        return deployment_refused(
            built.EpochLedger, *others, (slot, slots, activation, report), RULES, sender=market.admin
        )

    assert refusal(slot=0) == ("OutOfBounds", "slotSeconds", 0, 1, 300)
    assert refusal(slot=301) == ("OutOfBounds", "slotSeconds", 301, 1, 300)
    assert refusal(slots=9) == ("OutOfBounds", "slotsPerEpoch", 9, 10, 1_536)
    assert refusal(slots=1_537) == ("OutOfBounds", "slotsPerEpoch", 1_537, 10, 1_536)
    assert refusal(activation=0) == ("OutOfBounds", "activationDelay", 0, 1, 7 * 86_400)
    assert refusal(report=86_401) == ("OutOfBounds", "reportDelay", 86_401, 0, 86_400)


@pytest.mark.parametrize("name", ["paymentToken", "escrow", "verifiers", "treasury", "authority"])
def test_refuses_to_be_deployed_without_a_link(market, built, name):
    links = {
        "paymentToken": market.payment_token,
        "escrow": market.escrow,
        "verifiers": market.verifiers,
        "treasury": market.admin,
        "authority": market.authority,
    } | {name: "0x" + "00" * 20}
    found = deployment_refused(built.EpochLedger, *links.values(), (1, 60, 4, 0), RULES, sender=market.admin)
    assert found == ("ZeroAddress", name)


def test_fund_incentives_refuses_nothing_and_takes_gifts(market):
    assert refused(market.ledger.fundIncentives, 0, sender=market.fresh) == ("ZeroAmount",)
    held = market.payment_token.balanceOf(market.ledger)
    tx = market.ledger.fundIncentives(3 * PAY, {"from": market.fresh})
    assert tx.events["IncentivesFunded"] == {"from": market.fresh, "amount": 3 * PAY, "fundAfter": 53 * PAY}
    assert market.ledger.incentiveFund() == 53 * PAY
    assert market.payment_token.balanceOf(market.ledger) == held + 3 * PAY

"""Whoever begins to leave with its deed is within reach when it is judged, though everybody takes all time there is."""

import pytest

from tests.contracts.ProviderStaking.test_measure_hardware import A100, measure
from tests.contracts.SlashingCourt.acts import VERIFIER_BOND, contest
from tests.contracts.support.market import STAKE
from tests.contracts.support.reports import make_leaf

CALLED_FOR = 2_040 * STAKE
"""A fifth of what ten A100 require: more than the provider and its delegator have together."""


def at_once(market):
    """Let the next block come a second after the last one, however slow this machine is."""
    market.next_block_at(market.now() + 1)


def pause_out(market):
    """Pause for as long as may be, and wait until it is over."""
    at_once(market)
    market.pause()
    market.wait_until(market.guardian.pausedUntil())


def complete_at_once(market, report):
    """Bring a report in as soon as the epoch is over."""
    market.end_of(report.epoch)
    at_once(market)
    market.submit(report)
    at_once(market)
    market.complete(report)


def activate_at_once(market, report):
    """Bring a report into force as soon as it may be."""
    market.wait_until(market.ledger.record(report.epoch)["activatesAt"])
    at_once(market)
    market.activate(report)


def contested_at_the_last_moment(market, report):
    """Propose a slash of the small provider, contest it in the last second, and wait for the last one of a ruling."""
    at_once(market)
    slash_id = market.propose(report, market.small, proposer=market.fresh)
    market.next_block_at(market.court.slash(slash_id)["executableAt"] - 1)
    contest(market, slash_id, market.small)
    market.next_block_at(market.court.slash(slash_id)["ruleBy"] - 1)
    return slash_id


@pytest.mark.parametrize("paused_before", ["activation", "proposal", "execution"])
def test_contest_at_the_last_moment_plus_the_longest_pause_still_reaches_the_stake(market, paused_before):
    market.staking.stake(50_000 * STAKE, {"from": market.large})
    measure(market, market.small, 0, A100, 10)
    shares = market.delegation.delegate(market.small, 60 * STAKE, {"from": market.dora}).return_value
    at_once(market)
    left = market.staking.unbond(300 * STAKE, market.risk(market.small), {"from": market.small})
    at_once(market)
    market.delegation.undelegate(market.small, shares, {"from": market.dora})
    report = market.next_report([make_leaf(market.small, level=6), make_leaf(market.large)])
    complete_at_once(market, report)
    if paused_before == "activation":
        pause_out(market)
    activate_at_once(market, report)
    if paused_before == "proposal":
        pause_out(market)
    slash_id = contested_at_the_last_moment(market, report)
    market.court.rule(slash_id, True, [], {"from": market.admin})
    if paused_before == "execution":
        pause_out(market)
    assert market.court.slash(slash_id)["amount"] == CALLED_FOR
    at_once(market)
    assert market.execute(slash_id).return_value == 360 * STAKE, "all of it, and all of the delegator's"
    assert market.now() < left.timestamp + market.staking.unbondingSeconds()


def test_a_verifier_that_leaves_with_its_signature_is_blamed_after_the_longest_pause(market):
    report = market.next_report([make_leaf(market.small, level=4), make_leaf(market.large)])
    complete_at_once(market, report)
    verifier = market.verifier_accounts[0]
    at_once(market)
    market.verifiers.leave({"from": verifier})
    pause_out(market)
    activate_at_once(market, report)
    slash_id = contested_at_the_last_moment(market, report)
    market.court.rule(slash_id, False, market.signers(), {"from": market.admin})
    assert market.verifiers.member(verifier)["bond"] == VERIFIER_BOND * 9 // 10

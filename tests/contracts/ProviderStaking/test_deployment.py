"""The constructor: what a deployment is refused for, and which tokens it can hold."""

import pytest

from tests.contracts.support.market import CPU
from tests.contracts.support.refusals import deployment_refused, refused

DAY = 24 * 3600
ZERO = "0x" + "00" * 20
CONFIG = (120, 1, 10, 600)
LINKS = ("stakeToken", "clock", "epochLedger", "court", "delegation", "verifiers", "guardian")


def arguments(market, config=CONFIG, **changes):
    values = dict(
        stakeToken=market.stake_token,
        clock=market.clock,
        epochLedger=market.ledger,
        court=market.court,
        delegation=market.delegation,
        verifiers=market.verifiers,
        guardian=market.guardian,
    )
    return *(values | changes).values(), config


def refusal(market, built, *changed, **changes):
    return deployment_refused(built.ProviderStaking, *arguments(market, *changed, **changes), sender=market.admin)


@pytest.mark.parametrize("name", LINKS[1:])
def test_refuses_a_link_to_nobody(market, built, name):
    assert refusal(market, built, **{name: ZERO}) == ("ZeroAddress", name)


def test_refuses_a_token_without_code(market, built):
    assert refusal(market, built, stakeToken=market.bob) == ("NoToken", "stakeToken", market.bob.address.lower())


@pytest.mark.parametrize("name", ["clock", "verifiers", "guardian", "delegation"])
def test_refuses_what_the_ledger_does_not_know(market, built, name):
    found = refusal(market, built, **{name: market.court})
    assert found[:2] == ("WrongLink", name) and market.court.address.lower() in found


def test_refuses_to_be_deployed_so_that_a_provider_could_leave_before_its_slash(market, built):
    settled = market.clock.settlementSeconds()
    found = refusal(market, built, (settled - 1, *CONFIG[1:]))
    assert found == ("OutOfBounds", "unbondingSeconds", settled - 1, settled, 90 * DAY)
    found = refusal(market, built, (90 * DAY + 1, *CONFIG[1:]))
    assert found == ("OutOfBounds", "unbondingSeconds", 90 * DAY + 1, settled, 90 * DAY)


def test_refuses_parameters_beyond_their_bounds(market, built):
    assert refusal(market, built, (120, 0, 10, 600)) == ("OutOfBounds", "baseStake", 0, 1, 10**27)
    assert refusal(market, built, (120, 10**27 + 1, 10, 600)) == ("OutOfBounds", "baseStake", 10**27 + 1, 1, 10**27)
    found = refusal(market, built, (120, 1, 7 * DAY + 1, 600))
    assert found == ("OutOfBounds", "noticeSeconds", 7 * DAY + 1, 0, 7 * DAY)
    found = refusal(market, built, (120, 1, 10, 3 * DAY + 1))
    assert found == ("OutOfBounds", "maintenanceSeconds", 3 * DAY + 1, 0, 3 * DAY)


def test_refuses_a_token_of_more_decimals_than_the_lock_can_be_counted_in(market, built):
    token = built.DevToken.deploy("Fine", "FINE", 37, {"from": market.admin})
    assert refusal(market, built, stakeToken=token) == ("OutOfBounds", "decimals", 37, 0, 36)


def test_refuses_the_deposit_of_a_token_that_keeps_a_fee(market, built):
    token = built.FeeToken.deploy({"from": market.admin})
    staking = built.ProviderStaking.deploy(*arguments(market, stakeToken=token), {"from": market.admin})
    staking.register(market.fresh, CPU, 1, b"\x01" * 32, "local", "http://x", {"from": market.fresh})
    token.mint(market.fresh, 1000, {"from": market.fresh})
    token.approve(staking, 1000, {"from": market.fresh})
    found = refused(staking.stake, 1000, sender=market.fresh)
    assert found == ("InexactTransfer", token.address.lower(), 1000, 990)

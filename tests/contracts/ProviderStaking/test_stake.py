"""stake and stakeFor: bonding."""

import pytest
from brownie.test import given, strategy
from hypothesis import HealthCheck, settings

from tests.contracts.support.market import REMOVAL, STAKE, T4
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import unbond


def test_refuses_nothing(market):
    assert refused(market.staking.stake, 0, sender=market.small) == ("ZeroAmount",)


def test_refuses_who_is_no_provider(market):
    assert refused(market.staking.stake, 1, sender=market.fresh) == ("NotRegistered", market.fresh.address.lower())
    found = refused(market.staking.stakeFor, market.fresh, 1, sender=market.small)
    assert found == ("NotRegistered", market.fresh.address.lower())


def test_refuses_a_removed_provider(market, as_court):
    market.staking.slash(market.small, 0, REMOVAL, {"from": as_court})
    found = refused(market.staking.stakeFor, market.small, 1, sender=market.stranger)
    assert found == ("ProviderRemoved", market.small.address.lower())


def test_refuses_more_than_was_approved(market):
    market.stake_token.approve(market.staking, 5, {"from": market.small})
    name, spender, allowance, needed = refused(market.staking.stake, 6, sender=market.small)
    assert (name, spender, allowance, needed) == (
        "ERC20InsufficientAllowance",
        market.staking.address.lower(),
        5,
        6,
    )


def test_refuses_while_paused(market):
    market.pause()
    until = market.guardian.pausedUntil()
    assert refused(market.staking.stake, 1, sender=market.small) == ("StillPaused", until)
    assert refused(market.staking.stakeFor, market.small, 1, sender=market.stranger) == ("StillPaused", until)


@pytest.mark.parametrize("by_another", [False, True])
def test_moves_the_tokens_and_books_them_to_the_provider(market, by_another):
    payer = market.stranger if by_another else market.small
    balance, held = market.stake_token.balanceOf(payer), market.stake_token.balanceOf(market.staking)
    stake, total = market.staking.provider(market.small)["stake"], market.staking.totalStake()
    if by_another:
        tx = market.staking.stakeFor(market.small, 7 * STAKE, {"from": payer})
    else:
        tx = market.staking.stake(7 * STAKE, {"from": payer})
    event = tx.events["Staked"]
    assert (event["provider"], event["from"]) == (market.small, payer)
    assert (event["amount"], event["stakeAfter"]) == (7 * STAKE, stake + 7 * STAKE)
    assert market.staking.provider(market.small)["stake"] == stake + 7 * STAKE
    assert market.staking.totalStake() == total + 7 * STAKE
    assert market.stake_token.balanceOf(payer) == balance - 7 * STAKE
    assert market.stake_token.balanceOf(market.staking) == held + 7 * STAKE
    assert "ProviderListed" not in tx.events


def test_lists_and_activates_a_provider_exactly_when_its_requirement_is_reached(market):
    market.register(market.fresh, T4, 1)
    required = market.staking.requiredStake(T4, 1)
    assert required == 400 * STAKE
    count = market.staking.providerCount()
    market.staking.stake(required - 1, {"from": market.fresh})
    assert market.staking.providerCount() == count and not market.staking.isActive(market.fresh)
    tx = market.staking.stake(1, {"from": market.fresh})
    assert tx.events["ProviderListed"] == {"provider": market.fresh, "index": count}
    assert market.staking.providerAt(count) == market.fresh and market.staking.isActive(market.fresh)
    again = market.staking.stake(1, {"from": market.fresh})
    assert "ProviderListed" not in again.events and market.staking.providerCount() == count + 1


@given(amount=strategy("uint256", min_value=1, max_value=2**128))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_takes_stakes_up_to_two_to_the_128_in_and_out_again(market, amount):
    market.stake_token.mint(market.small, amount, {"from": market.small})
    market.stake_token.approve(market.staking, amount, {"from": market.small})
    before = market.staking.provider(market.small)["stake"]
    market.staking.stake(amount, {"from": market.small})
    assert market.staking.provider(market.small)["stake"] == before + amount
    unbond(market, amount)
    market.wait(121)
    assert market.staking.withdrawable(market.small) == amount
    market.staking.withdraw({"from": market.small})
    assert market.staking.provider(market.small)["stake"] == before

"""stake and stakeFor: bonding."""

import pytest

from tests.contracts.support.market import CPU, PLENTY, STAKE, T4
from tests.contracts.support.refusals import deployment_refused, refused


def test_refuses_nothing(market):
    assert refused(market.staking.stake, 0, sender=market.small) == ("ZeroAmount",)


def test_refuses_who_is_no_provider(market):
    assert refused(market.staking.stake, 1, sender=market.fresh) == ("NotRegistered", market.fresh.address.lower())
    found = refused(market.staking.stakeFor, market.fresh, 1, sender=market.small)
    assert found == ("NotRegistered", market.fresh.address.lower())


def test_refuses_a_removed_provider(market, as_court):
    market.staking.slash(market.small, 0, False, True, {"from": as_court})
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


def test_refuses_a_token_that_keeps_a_fee(market, built):
    token = built.FeeToken.deploy({"from": market.admin})
    staking = built.ProviderStaking.deploy(token, market.ledger, market.court, (120, 1), {"from": market.admin})
    staking.register(market.fresh, CPU, 1, b"\x01" * 32, "local", "http://x", {"from": market.fresh})
    token.mint(market.fresh, 1000, {"from": market.fresh})
    token.approve(staking, 1000, {"from": market.fresh})
    found = refused(staking.stake, 1000, sender=market.fresh)
    assert found == ("InexactTransfer", token.address.lower(), 1000, 990)


def test_refuses_to_be_deployed_so_that_a_provider_could_leave_before_its_slash(market, built):
    settled = market.ledger.settlementSeconds()
    found = deployment_refused(
        built.ProviderStaking, market.stake_token, market.ledger, market.court, (settled - 1, 1), sender=market.admin
    )
    assert found == ("OutOfBounds", "unbondingSeconds", settled - 1, settled, 90 * 24 * 3600)


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


def test_takes_stakes_beyond_sixty_four_bits_without_overflow(market):
    market.stake_token.mint(market.small, 2**127, {"from": market.small})
    market.stake_token.approve(market.staking, 2**128, {"from": market.small})
    before = market.staking.provider(market.small)["stake"]
    market.staking.stake(2**127, {"from": market.small})
    assert market.staking.provider(market.small)["stake"] == before + 2**127
    assert PLENTY < 2**127
    market.staking.unbond(2**127, {"from": market.small})
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 2**127
    market.staking.withdraw({"from": market.small})
    assert market.staking.provider(market.small)["stake"] == before

"""withdraw: what has matured is paid."""

import pytest

from tests.contracts.support.market import JAIL, JAIL_UNTIL_MEASURED, NOTHING, REMOVAL, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import slash, take_back, unbond


def test_refuses_when_nothing_ever_left(market):
    assert refused(market.staking.withdraw, sender=market.small) == ("NothingToWithdraw", 0)
    assert refused(market.staking.withdraw, sender=market.fresh) == ("NotRegistered", market.fresh.address.lower())


def test_refuses_a_second_before_maturity_and_pays_at_it(market):
    tx = unbond(market, 50 * STAKE)
    release = tx.timestamp + market.staking.unbondingSeconds()
    market.wait_until(release - 1)
    assert refused(market.staking.withdraw, sender=market.small) == ("NothingToWithdraw", release)
    market.wait_until(release)
    assert market.staking.withdraw.call({"from": market.small}) == 50 * STAKE


def test_pays_exactly_what_matured_and_leaves_the_rest(market):
    first = unbond(market, 50 * STAKE)
    market.wait(60)
    unbond(market, 20 * STAKE)
    market.wait_until(first.timestamp + 120)
    balance, held = market.stake_token.balanceOf(market.small), market.stake_token.balanceOf(market.staking)
    assert market.staking.withdrawable(market.small) == 50 * STAKE
    assert market.staking.provider(market.small)["unbonding"] == 20 * STAKE
    tx = market.staking.withdraw({"from": market.small})
    assert tx.return_value == 50 * STAKE
    assert tx.events["UnbondMatured"] == {"provider": market.small, "id": 0, "amount": 50 * STAKE}
    assert tx.events["Withdrawn"] == {"provider": market.small, "amount": 50 * STAKE}
    assert market.stake_token.balanceOf(market.small) == balance + 50 * STAKE
    assert market.stake_token.balanceOf(market.staking) == held - 50 * STAKE
    assert market.staking.totalMatured() == 0 and market.staking.totalUnbonding() == 20 * STAKE
    assert [row[0] for row in market.staking.unbonds(market.small)] == [1]


def test_pays_once(market):
    unbond(market, 50 * STAKE)
    market.wait(121)
    market.staking.withdraw({"from": market.small})
    assert refused(market.staking.withdraw, sender=market.small) == ("NothingToWithdraw", 0)


def test_leaves_no_dust_behind_when_a_slashed_pool_empties(market, as_court):
    for _ in range(3):
        unbond(market, 100 * STAKE)
    slash(market, as_court, 7)
    market.wait(121)
    market.staking.withdraw({"from": market.small})
    assert market.staking.totalUnbonding() == 0
    assert market.staking.provider(market.small)["unbonding"] == 0
    assert market.staking.provider(market.small)["slashedTotal"] == 7


@pytest.mark.parametrize("consequence", [NOTHING, JAIL, JAIL_UNTIL_MEASURED, REMOVAL])
def test_pays_in_every_status_and_while_paused(market, as_court, consequence):
    slash(market, as_court, 0, consequence=consequence)
    unbond(market, 10 * STAKE)
    market.wait(121)
    balance = market.stake_token.balanceOf(market.small)
    market.pause()
    assert market.staking.withdraw({"from": market.small}).return_value == 10 * STAKE
    assert market.stake_token.balanceOf(market.small) == balance + 10 * STAKE


def test_is_not_held_up_by_a_pool_that_a_slash_emptied(market, as_court):
    unbond(market, 100 * STAKE)
    market.wait(121)
    unbond(market, 100 * STAKE)
    slash(market, as_court, 10**40)
    assert market.staking.withdraw({"from": market.small}).return_value == 100 * STAKE


def test_tokens_that_were_sent_unasked_move_no_price_and_are_nobodys(market):
    market.stake_token.transfer(market.staking, 10**24, {"from": market.stranger})
    tx = unbond(market, 1)
    assert tx.events["Unbonded"]["shares"] == 1
    market.wait(121)
    assert market.staking.withdraw({"from": market.small}).return_value == 1
    books = market.staking.totalStake() + market.staking.totalUnbonding() + market.staking.totalMatured()
    assert market.stake_token.balanceOf(market.staking) == books + 10**24
    take_back(market, market.staking, 10**24)

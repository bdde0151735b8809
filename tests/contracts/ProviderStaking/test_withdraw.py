"""withdraw: what has matured is paid."""

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused


def test_refuses_when_nothing_ever_left(market):
    assert refused(market.staking.withdraw, sender=market.small) == ("NothingToWithdraw", 0)
    assert refused(market.staking.withdraw, sender=market.fresh) == ("NotRegistered", market.fresh.address.lower())


def test_refuses_a_second_before_maturity_and_pays_at_it(market):
    tx = market.staking.unbond(50 * STAKE, {"from": market.small})
    release = tx.timestamp + market.staking.unbondingSeconds()
    market.wait_until(release - 1)
    assert refused(market.staking.withdraw, sender=market.small) == ("NothingToWithdraw", release)
    market.wait_until(release)
    assert market.staking.withdraw.call({"from": market.small}) == 50 * STAKE


def test_pays_exactly_what_matured_and_leaves_the_rest(market):
    first = market.staking.unbond(50 * STAKE, {"from": market.small})
    market.wait(60)
    market.staking.unbond(20 * STAKE, {"from": market.small})
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
    market.staking.unbond(50 * STAKE, {"from": market.small})
    market.wait(121)
    market.staking.withdraw({"from": market.small})
    assert refused(market.staking.withdraw, sender=market.small) == ("NothingToWithdraw", 0)


def test_leaves_no_dust_behind_when_a_slashed_pool_empties(market, as_court):
    for _ in range(3):
        market.staking.unbond(100 * STAKE, {"from": market.small})
    market.staking.slash(market.small, 7, False, False, {"from": as_court})
    market.wait(121)
    market.staking.withdraw({"from": market.small})
    assert market.staking.totalUnbonding() == 0
    assert market.staking.provider(market.small)["unbonding"] == 0
    assert market.staking.provider(market.small)["slashedTotal"] == 7

"""unbond: stake begins to leave."""

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused


def test_refuses_nothing_and_strangers(market):
    assert refused(market.staking.unbond, 0, sender=market.small) == ("ZeroAmount",)
    assert refused(market.staking.unbond, 1, sender=market.fresh) == ("NotRegistered", market.fresh.address.lower())


def test_refuses_more_than_the_stake(market):
    found = refused(market.staking.unbond, 300 * STAKE + 1, sender=market.small)
    assert found == ("InsufficientStake", 300 * STAKE, 300 * STAKE + 1)


def test_refuses_an_eleventh_while_ten_wait(market):
    for _ in range(10):
        market.staking.unbond(STAKE, {"from": market.small})
    assert refused(market.staking.unbond, STAKE, sender=market.small) == ("TooManyUnbonds", 10, 10)
    market.wait(121)
    market.staking.unbond(STAKE, {"from": market.small})
    assert len(market.staking.unbonds(market.small)) == 1, "those that matured have left"
    assert market.staking.withdrawable(market.small) == 10 * STAKE


def test_moves_stake_into_the_pool_and_no_token_anywhere(market):
    held, total = market.stake_token.balanceOf(market.staking), market.staking.totalStake()
    tx = market.staking.unbond(50 * STAKE, {"from": market.small})
    event, release = tx.events["Unbonded"], tx.timestamp + market.staking.unbondingSeconds()
    assert tx.return_value == 0 and (event["provider"], event["id"]) == (market.small, 0)
    assert (event["amount"], event["shares"]) == (50 * STAKE, 50 * STAKE)
    assert (event["releaseAt"], event["stakeAfter"]) == (release, 250 * STAKE)
    view = market.staking.provider(market.small).dict()
    assert (view["stake"], view["unbonding"]) == (250 * STAKE, 50 * STAKE)
    assert market.staking.unbonds(market.small) == [(0, 50 * STAKE, release, False)]
    assert (market.staking.totalStake(), market.staking.totalUnbonding()) == (total - 50 * STAKE, 50 * STAKE)
    assert market.stake_token.balanceOf(market.staking) == held
    assert market.staking.withdrawable(market.small) == 0


def test_ends_activity_below_the_requirement_but_not_at_it(market):
    market.staking.unbond(100 * STAKE, {"from": market.small})
    assert market.staking.isActive(market.small)
    market.staking.unbond(1, {"from": market.small})
    assert not market.staking.isActive(market.small)
    assert market.staking.provider(market.small)["status"] == 1


def test_works_for_the_jailed_and_the_removed(market, as_court):
    market.staking.slash(market.small, 0, True, False, {"from": as_court})
    market.staking.unbond(STAKE, {"from": market.small})
    market.staking.slash(market.small, 0, False, True, {"from": as_court})
    market.staking.unbond(299 * STAKE, {"from": market.small})
    market.wait(121)
    assert market.staking.withdraw.call({"from": market.small}) == 300 * STAKE


def test_gives_a_later_exit_its_full_worth_after_a_slash_of_the_pool(market, as_court):
    market.staking.unbond(300 * STAKE, {"from": market.small})
    market.staking.slash(market.small, 100 * STAKE, False, False, {"from": as_court})
    market.staking.stake(30 * STAKE, {"from": market.small})
    tx = market.staking.unbond(30 * STAKE, {"from": market.small})
    assert tx.events["Unbonded"]["shares"] == 45 * STAKE, "a share is worth two thirds of a token"
    assert [row[1] for row in market.staking.unbonds(market.small)] == [200 * STAKE, 30 * STAKE]

"""unbond: stake begins to leave."""

from tests.contracts.support.market import JAIL, REMOVAL, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import slash, unbond


def test_refuses_nothing_and_strangers(market):
    empty = market.risk(market.small)
    assert refused(market.staking.unbond, 0, empty, sender=market.small) == ("ZeroAmount",)
    found = refused(market.staking.unbond, 1, empty, sender=market.fresh)
    assert found == ("NotRegistered", market.fresh.address.lower())


def test_refuses_more_than_the_stake(market):
    found = refused(market.staking.unbond, 300 * STAKE + 1, market.risk(market.small), sender=market.small)
    assert found == ("InsufficientStake", 300 * STAKE, 300 * STAKE + 1)


def test_refuses_an_eleventh_while_ten_wait(market):
    for number in range(10):
        assert unbond(market, STAKE).return_value == number
    found = refused(market.staking.unbond, STAKE, market.risk(market.small), sender=market.small)
    assert found == ("TooManyUnbonds", 10, 10)
    market.wait(121)
    assert unbond(market, STAKE).return_value == 10
    assert len(market.staking.unbonds(market.small)) == 1, "those that matured have left"
    assert market.staking.withdrawable(market.small) == 10 * STAKE


def test_moves_stake_into_the_pool_and_no_token_anywhere(market):
    tx = unbond(market, 50 * STAKE)
    event, release = tx.events["Unbonded"], tx.timestamp + market.staking.unbondingSeconds()
    assert tx.return_value == 0 and (event["provider"], event["id"]) == (market.small, 0)
    assert (event["amount"], event["shares"]) == (50 * STAKE, 50 * STAKE)
    assert (event["releaseAt"], event["stakeAfter"]) == (release, 250 * STAKE)
    view = market.staking.provider(market.small).dict()
    assert (view["stake"], view["unbonding"]) == (250 * STAKE, 50 * STAKE)
    assert market.staking.unbonds(market.small) == [(0, 50 * STAKE, release, False)]
    assert market.staking.withdrawable(market.small) == 0


def test_ends_activity_below_the_requirement_but_not_at_it(market):
    unbond(market, 100 * STAKE)
    assert market.staking.isActive(market.small)
    unbond(market, 1)
    assert not market.staking.isActive(market.small)
    assert market.staking.provider(market.small)["status"] == 1


def test_works_for_the_jailed_and_the_removed(market, as_court):
    slash(market, as_court, 0, consequence=JAIL)
    unbond(market, STAKE)
    slash(market, as_court, 0, consequence=REMOVAL)
    unbond(market, 299 * STAKE)
    market.wait(121)
    assert market.staking.withdraw.call({"from": market.small}) == 300 * STAKE


def test_works_while_paused(market):
    market.pause()
    unbond(market, 300 * STAKE)


def test_gives_a_later_exit_its_full_worth_after_a_slash_of_the_pool(market, as_court):
    unbond(market, 300 * STAKE)
    slash(market, as_court, 100 * STAKE)
    market.staking.stake(30 * STAKE, {"from": market.small})
    tx = unbond(market, 30 * STAKE)
    assert tx.events["Unbonded"]["shares"] == 45 * STAKE, "a share is worth two thirds of a token"
    assert [row[1] for row in market.staking.unbonds(market.small)] == [200 * STAKE, 30 * STAKE]


def test_stake_that_begins_to_leave_before_a_slash_does_not_escape_it(market, as_court):
    unbond(market, 300 * STAKE)
    tx = slash(market, as_court, 75 * STAKE)
    assert tx.return_value == 75 * STAKE, "as much as if it had stayed"
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 225 * STAKE


def test_an_exit_of_one_unit_never_gets_no_shares_and_can_always_be_paid(market, as_court):
    unbond(market, 300 * STAKE - 3)
    slash(market, as_court, 299 * STAKE)
    assert market.staking.provider(market.small)["stake"] == 0
    market.staking.stake(5, {"from": market.small})
    for _ in range(5):
        assert unbond(market, 1).events["Unbonded"]["shares"] > 1
    market.wait(121)
    due = market.staking.withdrawable(market.small)
    assert due == STAKE + 5, "roundings move units between exits and lose none"
    balance = market.stake_token.balanceOf(market.small)
    market.staking.withdraw({"from": market.small})
    assert market.stake_token.balanceOf(market.small) == balance + due

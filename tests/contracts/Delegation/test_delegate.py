"""delegate: staking behind a provider."""

from brownie.test import given, strategy
from hypothesis import HealthCheck, settings

from tests.contracts.support.market import CPU, JAIL, REMOVAL, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import delegate, slash, take_back, undelegate


def test_refuses_nothing(market):
    assert refused(market.delegation.delegate, market.small, 0, sender=market.dora) == ("ZeroAmount",)


def test_refuses_to_stand_behind_nobody_and_behind_who_may_not_work(market, as_court):
    found = refused(market.delegation.delegate, market.fresh, 1, sender=market.dora)
    assert found == ("NotActive", market.fresh.address.lower())
    slash(market, as_court, 0, consequence=JAIL)
    found = refused(market.delegation.delegate, market.small, 1, sender=market.dora)
    assert found == ("NotActive", market.small.address.lower())
    slash(market, as_court, 0, consequence=REMOVAL)
    assert refused(market.delegation.delegate, market.small, 1, sender=market.dora)[0] == "NotActive"


def test_refuses_more_than_sixteen_times_the_own_stake_over_all_delegators(market):
    most = 16 * 300 * STAKE
    delegate(market, most - STAKE)
    found = refused(market.delegation.delegate, market.small, STAKE + 1, sender=market.egon)
    assert found == ("DelegationAboveLimit", most + 1, most)
    delegate(market, STAKE, market.egon)
    undelegate(market, STAKE)
    delegate(market, STAKE, market.egon)


def test_counts_the_own_stake_that_is_bonded_alone(market, as_court):
    market.register(market.fresh, CPU, 1)
    assert refused(market.delegation.delegate, market.fresh, 1, sender=market.dora) == ("DelegationAboveLimit", 1, 0)
    market.staking.unbond(200 * STAKE, market.risk(market.small), {"from": market.small})
    most = 16 * 100 * STAKE
    found = refused(market.delegation.delegate, market.small, most + 1, sender=market.dora)
    assert found == ("DelegationAboveLimit", most + 1, most)
    delegate(market, most)
    slash(market, as_court, 50 * STAKE)
    assert market.delegation.delegatedTo(market.small) == most, "what is there may stay"
    assert refused(market.delegation.delegate, market.small, 1, sender=market.dora)[0] == "DelegationAboveLimit"


def test_refuses_while_paused(market):
    market.pause()
    found = refused(market.delegation.delegate, market.small, 1, sender=market.dora)
    assert found == ("StillPaused", market.guardian.pausedUntil())


def test_refuses_more_than_was_approved(market):
    market.stake_token.approve(market.delegation, 5, {"from": market.dora})
    found = refused(market.delegation.delegate, market.small, 6, sender=market.dora)
    assert found == ("ERC20InsufficientAllowance", market.delegation.address.lower(), 5, 6)


def test_gives_a_share_for_every_unit_and_books_them_to_the_delegator(market):
    tx = delegate(market, 100 * STAKE)
    assert tx.return_value == 100 * STAKE
    delegate(market, 50 * STAKE, market.egon)
    delegate(market, 5 * STAKE)
    assert market.delegation.position(market.small, market.dora) == (105 * STAKE, 105 * STAKE, 0, 0, 0, 0)
    assert market.delegation.position(market.small, market.egon) == (50 * STAKE, 50 * STAKE, 0, 0, 0, 0)
    assert market.delegation.position(market.large, market.dora) == (0,) * 6
    assert market.delegation.pool(market.small)[:3] == (155 * STAKE, 155 * STAKE, 0)
    assert market.staking.provider(market.small)["stake"] == 300 * STAKE, "it is not the provider's"


def test_a_later_delegator_does_not_pay_for_an_earlier_slash(market, as_court):
    delegate(market, 300 * STAKE)
    slash(market, as_court, 400 * STAKE)
    market.staking.stake(300 * STAKE, {"from": market.small})
    tx = delegate(market, 100 * STAKE, market.egon)
    assert tx.return_value == 150 * STAKE, "a share is worth two thirds"
    assert market.delegation.position(market.small, market.dora)["amount"] == 200 * STAKE
    assert market.delegation.position(market.small, market.egon)["amount"] == 100 * STAKE


def test_the_first_delegator_cannot_rob_the_second_by_sending_tokens(market):
    delegate(market, 1)
    market.stake_token.transfer(market.delegation, 10**6 * STAKE, {"from": market.dora})
    tx = delegate(market, STAKE, market.egon)
    assert tx.return_value == STAKE
    assert market.delegation.position(market.small, market.dora)["amount"] == 1
    assert market.delegation.position(market.small, market.egon)["amount"] == STAKE
    take_back(market, market.delegation, 10**6 * STAKE)


@given(amounts=strategy("uint256[4]", min_value=1, max_value=2**128))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_delegations_up_to_two_to_the_128_go_in_and_out_again(market, amounts):
    market.stake_token.mint(market.small, 2**126, {"from": market.small})
    market.stake_token.approve(market.staking, 2**126, {"from": market.small})
    market.staking.stake(2**126, {"from": market.small})
    market.stake_token.mint(market.dora, 2**130, {"from": market.dora})
    market.stake_token.approve(market.delegation, 2**130, {"from": market.dora})
    for amount in amounts:
        delegate(market, amount)
    shares = market.delegation.position(market.small, market.dora)["shares"]
    assert shares == sum(amounts)
    undelegate(market, shares)
    market.wait(140)
    assert market.delegation.withdraw(market.small, {"from": market.dora}).return_value == sum(amounts)

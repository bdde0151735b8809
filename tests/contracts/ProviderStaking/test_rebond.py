"""rebond: stake that was leaving comes back."""

from brownie.test import given, strategy
from hypothesis import HealthCheck, settings

from tests.contracts.support.market import REMOVAL, STAKE, T4
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import rebond, slash, unbond


def test_refuses_nothing_strangers_and_the_removed(market, as_court):
    assert refused(market.staking.rebond, 0, sender=market.small) == ("ZeroAmount",)
    assert refused(market.staking.rebond, 1, sender=market.fresh) == ("NotRegistered", market.fresh.address.lower())
    unbond(market, STAKE)
    slash(market, as_court, 0, consequence=REMOVAL)
    assert refused(market.staking.rebond, 1, sender=market.small) == ("ProviderRemoved", market.small.address.lower())


def test_refuses_more_than_is_unbonding_and_what_has_matured(market):
    assert refused(market.staking.rebond, 1, sender=market.small) == ("InsufficientUnbonding", 0, 1)
    unbond(market, 50 * STAKE)
    market.wait(60)
    unbond(market, 20 * STAKE)
    found = refused(market.staking.rebond, 70 * STAKE + 1, sender=market.small)
    assert found == ("InsufficientUnbonding", 70 * STAKE, 70 * STAKE + 1)
    market.wait(61)
    found = refused(market.staking.rebond, 20 * STAKE + 1, sender=market.small)
    assert found == ("InsufficientUnbonding", 20 * STAKE, 20 * STAKE + 1)


def test_refuses_while_paused(market):
    unbond(market, STAKE)
    market.pause()
    assert refused(market.staking.rebond, 1, sender=market.small) == ("StillPaused", market.guardian.pausedUntil())


def test_takes_the_newest_first_and_leaves_a_part(market):
    for amount in (10, 20, 30):
        unbond(market, amount * STAKE)
    tx = rebond(market, 40 * STAKE)
    parts = [(event["id"], event["amount"], event["shares"]) for event in tx.events["Rebonded"]]
    assert parts == [(2, 30 * STAKE, 30 * STAKE), (1, 10 * STAKE, 10 * STAKE)]
    assert [(row[0], row[1]) for row in market.staking.unbonds(market.small)] == [(0, 10 * STAKE), (1, 10 * STAKE)]
    assert market.staking.provider(market.small)["stake"] == 280 * STAKE


def test_makes_room_for_another_unbond_and_uses_no_id_twice(market):
    for _ in range(10):
        unbond(market, STAKE)
    rebond(market, STAKE)
    assert unbond(market, STAKE).return_value == 10
    rebond(market, 10 * STAKE)
    assert market.staking.unbonds(market.small) == [] and market.staking.totalUnbonding() == 0
    assert unbond(market, STAKE).return_value == 11


def test_rounds_the_shares_up_so_that_no_share_is_worth_more_than_a_unit(market, as_court):
    unbond(market, 300 * STAKE)
    slash(market, as_court, 100 * STAKE)
    tx = rebond(market, 1)
    assert tx.events["Rebonded"]["shares"] == 2, "one and a half, rounded up"
    assert market.staking.provider(market.small)["unbonding"] == 200 * STAKE - 1


def test_empties_the_pool_whatever_slashes_left_of_it(market, as_court):
    for amount in (100, 7, 13):
        unbond(market, amount * STAKE)
    unbond(market, 180 * STAKE)
    slash(market, as_court, 300 * STAKE - 2)
    assert market.staking.provider(market.small)["unbonding"] == 2
    rebond(market, 2)
    assert market.staking.unbonds(market.small) == [] and market.staking.totalUnbonding() == 0
    market.staking.stake(STAKE, {"from": market.small})
    assert unbond(market, STAKE).events["Unbonded"]["shares"] == STAKE, "a share is worth a unit again"


def test_what_comes_back_is_slashable_first_and_counts_for_the_requirement(market, as_court):
    unbond(market, 150 * STAKE)
    assert not market.staking.isActive(market.small)
    rebond(market, 50 * STAKE)
    assert market.staking.isActive(market.small)
    tx = slash(market, as_court, 200 * STAKE)
    assert tx.events["Slashed"]["fromUnbonding"] == 0


def test_lists_a_provider_that_reaches_its_requirement_by_it(market):
    market.register(market.fresh, T4, 1)
    market.staking.stake(399 * STAKE, {"from": market.fresh})
    unbond(market, STAKE, market.fresh)
    market.staking.stake(STAKE, {"from": market.fresh})
    assert market.staking.providerCount() == 2
    unbond(market, STAKE, market.fresh)
    market.staking.stake(STAKE, {"from": market.fresh})
    tx = rebond(market, 2 * STAKE, market.fresh)
    assert tx.events["ProviderListed"] == {"provider": market.fresh, "index": 2}


@given(
    amounts=strategy("uint128[5]", min_value=1, max_value=10**20),
    taken=strategy("uint256", max_value=5 * 10**20),
    back=strategy("uint256", min_value=1, max_value=10**20),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_amount_comes_back_exactly_after_any_slash(market, as_court, amounts, taken, back):
    stake = market.staking.provider(market.small)["stake"]
    needed = sum(amounts)
    if stake < needed:
        market.staking.stake(needed - stake, {"from": market.small})
        stake = needed
    for amount in amounts:
        unbond(market, amount)
    slash(market, as_court, stake - needed + min(taken, needed - 1))
    rebond(market, min(back, market.staking.provider(market.small)["unbonding"]))
    rows = market.staking.unbonds(market.small)
    assert sum(row["amount"] for row in rows) <= market.staking.provider(market.small)["unbonding"]

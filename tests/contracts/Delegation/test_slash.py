"""slash: what delegators lose, in which order, and what is out of reach."""

from brownie.test import given, strategy
from hypothesis import HealthCheck, settings

from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import delegate, slash, undelegate

OWN = 300 * STAKE


def test_refuses_everybody_but_the_staking_contract(market, as_court):
    for caller in (market.admin, market.small, market.dora, as_court):
        found = refused(market.delegation.slash, market.small, 1, caller, sender=caller)
        assert found == ("NotStaking", str(caller.address).lower())


def test_takes_nothing_where_nothing_is(market, as_staking):
    tx = market.delegation.slash(market.small, 1, market.bob, {"from": as_staking})
    assert tx.return_value == 0 and len(tx.events) == 0


def test_sends_what_it_takes_where_it_is_told(market, as_staking):
    delegate(market, 10 * STAKE)
    before = market.stake_token.balanceOf(market.bob)
    tx = market.delegation.slash(market.small, 4 * STAKE, market.bob, {"from": as_staking})
    assert tx.return_value == 4 * STAKE and market.stake_token.balanceOf(market.bob) == before + 4 * STAKE
    event = tx.events["Slashed"]
    assert (event["provider"], event["requested"]) == (market.small, 4 * STAKE)
    assert (event["fromDelegated"], event["fromUnbonding"]) == (4 * STAKE, 0)


def test_lowers_every_position_in_proportion(market, as_court):
    delegate(market, 100 * STAKE)
    delegate(market, 300 * STAKE, market.egon)
    slash(market, as_court, OWN + 40 * STAKE)
    amounts = [market.delegation.position(market.small, who)["amount"] for who in (market.dora, market.egon)]
    assert amounts == [90 * STAKE, 270 * STAKE]


def test_takes_what_is_bonded_before_what_is_leaving_and_lowers_batches_in_proportion(market, as_court):
    delegate(market, 100 * STAKE)
    undelegate(market, 20 * STAKE)
    market.wait(30)
    undelegate(market, 40 * STAKE)
    slash(market, as_court, OWN + 40 * STAKE)
    assert market.delegation.pool(market.small)["unbonding"] == 60 * STAKE
    tx = slash(market, as_court, 15 * STAKE)
    event = next(event for event in tx.events["Slashed"] if "fromDelegated" in event)
    assert (event["fromDelegated"], event["fromUnbonding"]) == (0, 15 * STAKE)
    market.wait(120)
    assert market.delegation.position(market.small, market.dora)["withdrawable"] == 15 * STAKE
    market.wait(40)
    assert market.delegation.position(market.small, market.dora)["withdrawable"] == 45 * STAKE


def test_never_touches_what_has_matured_claimed_or_not(market, as_court):
    delegate(market, 100 * STAKE)
    release = undelegate(market, 60 * STAKE).events["Undelegated"]["releaseAt"]
    market.wait_until(release)
    tx = slash(market, as_court, 10**40)
    assert tx.return_value == OWN + 40 * STAKE
    assert market.delegation.position(market.small, market.dora)["withdrawable"] == 60 * STAKE
    assert slash(market, as_court, 10**40).return_value == 0
    assert market.delegation.withdraw(market.small, {"from": market.dora}).return_value == 60 * STAKE


def test_touches_nobody_behind_another_provider(market, as_court):
    delegate(market, 10 * STAKE)
    delegate(market, 10 * STAKE, provider=market.large)
    undelegate(market, 5 * STAKE, provider=market.large)
    before = market.delegation.position(market.large, market.dora)
    slash(market, as_court, 10**40)
    assert market.delegation.position(market.large, market.dora) == before


def test_voids_the_shares_of_an_emptied_pool_and_the_next_begin_anew(market, as_court, as_ledger):
    delegate(market, 10 * STAKE)
    reward(market, as_ledger, 7 * PAY)
    tx = slash(market, as_court, 10**40)
    assert tx.events["PoolVoided"] == {"provider": market.small, "unbonding": False}
    assert market.delegation.pool(market.small)[:3] == (0, 0, 0)
    assert market.delegation.position(market.small, market.dora) == (0, 0, 0, 0, 0, 7 * PAY)
    assert refused(market.delegation.undelegate, market.small, 1, sender=market.dora) == ("InsufficientShares", 0, 1)

    market.staking.stake(OWN, {"from": market.small})
    assert delegate(market, 4 * STAKE, market.egon).return_value == 4 * STAKE
    reward(market, as_ledger, 3 * PAY)
    assert market.delegation.position(market.small, market.dora) == (0, 0, 0, 0, 0, 7 * PAY), "void shares earn nothing"
    assert market.delegation.position(market.small, market.egon)["rewards"] == 3 * PAY
    delegate(market, 4 * STAKE)
    assert market.delegation.position(market.small, market.dora)["shares"] == 4 * STAKE
    assert market.delegation.claimRewards(market.small, {"from": market.dora}).return_value == 7 * PAY


def test_a_position_that_slept_through_two_emptied_pools_wakes_up_empty_with_its_rewards(market, as_court, as_ledger):
    delegate(market, STAKE)
    reward(market, as_ledger, PAY)
    for _ in range(2):
        slash(market, as_court, 10**40)
        market.staking.stake(OWN, {"from": market.small})
        delegate(market, STAKE, market.egon)
        reward(market, as_ledger, 5 * PAY)
    assert market.delegation.position(market.small, market.dora) == (0, 0, 0, 0, 0, PAY)
    assert market.delegation.position(market.small, market.egon)[:2] == (STAKE, STAKE)
    assert market.delegation.position(market.small, market.egon)["rewards"] == 10 * PAY
    undelegate(market, STAKE, market.egon)


def test_exits_after_an_emptied_batch_begin_anew_within_the_same_step(market, as_court):
    delegate(market, 10 * STAKE)
    market.wait_until((market.now() // 15 + 1) * 15 + 1)
    first = undelegate(market, 10 * STAKE)
    tx = slash(market, as_court, 10**40)
    assert tx.events["PoolVoided"] == {"provider": market.small, "unbonding": True}
    assert tx.events["BatchMatured"] == {"provider": market.small, "batch": 0, "amount": 0}
    market.staking.stake(OWN, {"from": market.small})
    delegate(market, 6 * STAKE, market.egon)
    second = undelegate(market, 6 * STAKE, market.egon)
    assert first.events["Undelegated"]["releaseAt"] == second.events["Undelegated"]["releaseAt"]
    assert (first.return_value, second.return_value) == (0, 1)
    market.wait(140)
    assert market.delegation.position(market.small, market.dora)["withdrawable"] == 0
    assert market.delegation.position(market.small, market.egon)["withdrawable"] == 6 * STAKE


def test_a_batch_of_one_unit_that_rounding_empties_takes_nobody_else_with_it(market, as_court):
    delegate(market, 2)
    undelegate(market, 1)
    market.wait(30)
    undelegate(market, 1)
    tx = slash(market, as_court, OWN + 1)
    assert tx.return_value == OWN + 1
    assert market.delegation.pool(market.small)["unbonding"] == 1
    assert "PoolVoided" not in tx.events
    market.wait(160)
    assert market.delegation.withdraw(market.small, {"from": market.dora}).return_value == 1


def test_works_while_paused(market, as_court):
    delegate(market, 10 * STAKE)
    market.pause()
    assert slash(market, as_court, OWN + STAKE).return_value == OWN + STAKE


@given(
    parts=strategy("uint256[6]", min_value=1, max_value=10**20),
    taken=strategy("uint256", min_value=1, max_value=10**21),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_taken_the_rest_can_be_withdrawn_to_the_last_unit(market, as_court, parts, taken):
    for number, part in enumerate(parts):
        who = (market.dora, market.egon)[number % 2]
        delegate(market, 2 * part, who)
        undelegate(market, part, who)
        market.wait(25)
    pool = market.delegation.pool(market.small)
    there = pool["delegated"] + pool["unbonding"]
    matured = market.delegation.totalUnbonding() + market.delegation.totalMatured() - pool["unbonding"]
    own = market.staking.provider(market.small)["stake"]
    slash(market, as_court, own + min(taken, there - 1))
    for who in (market.dora, market.egon):
        shares = market.delegation.position(market.small, who)["shares"]
        if shares and market.delegation.position(market.small, who)["amount"]:
            undelegate(market, shares, who)
    market.wait(300)
    paid = sum(
        market.delegation.withdraw(market.small, {"from": who}).return_value for who in (market.dora, market.egon)
    )
    assert paid + market.delegation.delegatedTo(market.small) == there + matured - min(taken, there - 1)
    assert market.delegation.totalUnbonding() == market.delegation.totalMatured() == 0
    assert market.delegation.delegatedTo(market.small) <= 2


def reward(market, ledger, amount):
    """Bring a reward for the small provider's delegators, as the ledger does."""
    market.payment_token.approve(market.delegation, amount, {"from": ledger})
    market.delegation.reward([(market.small, amount)], {"from": ledger})

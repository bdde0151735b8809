"""slash: what the court can take, from what, and what it cannot."""

from tests.contracts.support.market import JAIL, JAIL_UNTIL_MEASURED, NOTHING, REMOVAL, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import delegate, slash, unbond, undelegate


def test_refuses_everybody_but_the_court(market):
    for caller in (market.admin, market.small, market.stranger, market.challenges):
        found = refused(market.staking.slash, market.small, 1, NOTHING, sender=caller)
        assert found == ("NotCourt", str(caller.address).lower())


def test_refuses_who_is_no_provider(market, as_court):
    found = refused(market.staking.slash, market.fresh, 1, NOTHING, sender=as_court)
    assert found == ("NotRegistered", market.fresh.address.lower())


def test_takes_stake_first(market, as_court):
    unbond(market, 100 * STAKE)
    tx = slash(market, as_court, 200 * STAKE)
    event = tx.events["Slashed"]
    assert (event["requested"], event["fromStake"]) == (200 * STAKE, 200 * STAKE)
    assert (event["fromUnbonding"], event["stakeAfter"]) == (0, 0)
    assert market.staking.unbonds(market.small)[0][1] == 100 * STAKE


def test_unbonding_stake_remains_slashable_pro_rata_until_it_matures(market, as_court):
    unbond(market, 200 * STAKE)
    market.wait(60)
    unbond(market, 100 * STAKE)
    tx = slash(market, as_court, 30 * STAKE)
    assert (tx.events["Slashed"]["fromStake"], tx.events["Slashed"]["fromUnbonding"]) == (0, 30 * STAKE)
    assert [row[1] for row in market.staking.unbonds(market.small)] == [180 * STAKE, 90 * STAKE]


def test_takes_what_is_delegated_only_after_all_of_the_own(market, as_court):
    delegate(market, 1000 * STAKE)
    unbond(market, 100 * STAKE)
    slash(market, as_court, 299 * STAKE)
    assert market.delegation.delegatedTo(market.small) == 1000 * STAKE
    tx = slash(market, as_court, 11 * STAKE)
    assert tx.events["DelegationSlashed"]["fromDelegation"] == 10 * STAKE
    assert market.delegation.delegatedTo(market.small) == 990 * STAKE


def test_reaches_own_bonded_own_unbonding_delegated_and_leaving_delegated_in_this_order(market, as_court):
    delegate(market, 40 * STAKE)
    undelegate(market, 30 * STAKE)
    unbond(market, 100 * STAKE)
    tx = slash(market, as_court, 320 * STAKE)
    assert tx.return_value == 320 * STAKE
    assert market.delegation.pool(market.small)["delegated"] == 0
    assert market.delegation.pool(market.small)["unbonding"] == 20 * STAKE
    assert slash(market, as_court, 10**40).return_value == 20 * STAKE
    assert slash(market, as_court, 10**40).return_value == 0


def test_slashing_never_touches_a_matured_unclaimed_unbond(market, as_court):
    unbond(market, 200 * STAKE)
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 200 * STAKE
    tx = slash(market, as_court, 10**40)
    assert tx.return_value == 100 * STAKE
    assert tx.events["UnbondMatured"]["amount"] == 200 * STAKE
    assert slash(market, as_court, 10**40).return_value == 0
    balance = market.stake_token.balanceOf(market.small)
    market.staking.withdraw({"from": market.small})
    assert market.stake_token.balanceOf(market.small) == balance + 200 * STAKE


def test_takes_all_until_the_second_of_maturity_and_nothing_at_it(market, as_court):
    release = unbond(market, 300 * STAKE).timestamp + market.staking.unbondingSeconds()
    market.next_block_at(release - 1)
    assert market.staking.slash(market.small, STAKE, NOTHING, {"from": as_court}).return_value == STAKE
    market.next_block_at(release)
    assert market.staking.slash(market.small, STAKE, NOTHING, {"from": as_court}).return_value == 0
    assert market.staking.withdrawable(market.small) == 299 * STAKE


def test_slashed_total_is_monotone_and_reaches_everything(market, as_court):
    unbond(market, 100 * STAKE)
    totals = []
    for _ in range(20):
        slash(market, as_court, 30 * STAKE)
        totals.append(market.staking.provider(market.small)["slashedTotal"])
    assert totals == sorted(totals)
    assert totals[:3] == [30 * STAKE, 60 * STAKE, 90 * STAKE], "a cumulative slash does not shrink with the collateral"
    assert totals[-1] == 300 * STAKE and market.staking.provider(market.small)["stake"] == 0


def test_the_smallest_slash_takes_its_unit_and_the_largest_no_more_than_all(market, as_court):
    assert slash(market, as_court, 1).return_value == 1
    unbond(market, 300 * STAKE - 1)
    assert slash(market, as_court, 1).return_value == 1
    assert slash(market, as_court, 2**256 - 1).return_value == 300 * STAKE - 2


def test_voids_the_exits_of_an_emptied_pool_so_that_it_can_be_used_again(market, as_court):
    unbond(market, 300 * STAKE)
    tx = slash(market, as_court, 300 * STAKE)
    assert tx.events["UnbondVoided"] == {"provider": market.small, "id": 0}
    assert market.staking.unbonds(market.small) == []
    market.staking.stake(50 * STAKE, {"from": market.small})
    assert unbond(market, 50 * STAKE).return_value == 1
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 50 * STAKE


def test_ten_open_unbonds_do_not_stop_a_slash_and_lose_alike(market, as_court):
    for _ in range(10):
        unbond(market, 30 * STAKE)
    tx = slash(market, as_court, 30 * STAKE)
    assert tx.return_value == 30 * STAKE and tx.gas_used < 150_000
    assert [row["amount"] for row in market.staking.unbonds(market.small)] == [27 * STAKE] * 10
    tx = slash(market, as_court, 10**40)
    assert tx.return_value == 270 * STAKE
    assert [event["id"] for event in tx.events["UnbondVoided"]] == list(range(10))


def test_touches_no_other_provider(market, as_court):
    before = market.staking.provider(market.large)
    slash(market, as_court, 10**40)
    assert market.staking.provider(market.large) == before


def test_jails_and_removes_even_when_nothing_is_left(market, as_court):
    slash(market, as_court, 10**40)
    tx = slash(market, as_court, 1, consequence=JAIL)
    assert tx.return_value == 0 and tx.events["Jailed"]["provider"] == market.small
    assert market.staking.provider(market.small)["status"] == 2
    tx = slash(market, as_court, 1, consequence=JAIL)
    assert "Jailed" not in tx.events
    tx = slash(market, as_court, 1, consequence=REMOVAL)
    assert tx.events["Removed"]["provider"] == market.small
    assert market.staking.provider(market.small)["status"] == 3
    for consequence in (JAIL, JAIL_UNTIL_MEASURED, REMOVAL):
        tx = slash(market, as_court, 1, consequence=consequence)
        assert "Jailed" not in tx.events and "Removed" not in tx.events
    assert market.staking.provider(market.small)["status"] == 3, "removal is for ever"


def test_works_while_paused(market, as_court):
    market.pause()
    assert slash(market, as_court, STAKE).return_value == STAKE


def test_takes_all_of_a_stake_of_two_to_the_128(market, as_court):
    market.stake_token.mint(market.small, 2**128, {"from": market.small})
    market.stake_token.approve(market.staking, 2**128, {"from": market.small})
    market.staking.stake(2**128, {"from": market.small})
    unbond(market, 2**127)
    tx = slash(market, as_court, 2**128)
    assert tx.return_value == 2**128
    assert market.staking.provider(market.small)["slashedTotal"] == 2**128
    assert market.staking.provider(market.small)["unbonding"] == 300 * STAKE

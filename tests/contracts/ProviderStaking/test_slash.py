"""slash: what the court can take, from what, and what it cannot."""

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused


def slash(market, court, amount, jail=False, remove=False):
    """Slash the small provider and check that exactly what was taken moved from staking to the court."""
    held, before = market.stake_token.balanceOf(market.staking), market.staking.provider(market.small).dict()
    court_before = market.stake_token.balanceOf(court)
    matured = market.staking.withdrawable(market.small)
    tx = market.staking.slash(market.small, amount, jail, remove, {"from": court})
    taken, after = tx.return_value, market.staking.provider(market.small).dict()
    assert taken == min(amount, before["stake"] + before["unbonding"])
    assert market.stake_token.balanceOf(market.staking) == held - taken
    assert market.stake_token.balanceOf(court) == court_before + taken
    assert after["stake"] + after["unbonding"] == before["stake"] + before["unbonding"] - taken
    assert after["slashedTotal"] == before["slashedTotal"] + taken
    assert market.staking.withdrawable(market.small) == matured, "what has matured is never touched"
    return tx


def test_refuses_everybody_but_the_court(market):
    for caller in (market.admin, market.small, market.stranger):
        found = refused(market.staking.slash, market.small, 1, False, False, sender=caller)
        assert found == ("NotCourt", caller.address.lower())


def test_refuses_who_is_no_provider(market, as_court):
    found = refused(market.staking.slash, market.fresh, 1, False, False, sender=as_court)
    assert found == ("NotRegistered", market.fresh.address.lower())


def test_takes_stake_first(market, as_court):
    market.staking.unbond(100 * STAKE, {"from": market.small})
    tx = slash(market, as_court, 200 * STAKE)
    event = tx.events["Slashed"]
    assert (event["requested"], event["fromStake"]) == (200 * STAKE, 200 * STAKE)
    assert (event["fromUnbonding"], event["stakeAfter"]) == (0, 0)
    assert market.staking.unbonds(market.small)[0][1] == 100 * STAKE


def test_unbonding_stake_remains_slashable_pro_rata_until_it_matures(market, as_court):
    market.staking.unbond(200 * STAKE, {"from": market.small})
    market.wait(60)
    market.staking.unbond(100 * STAKE, {"from": market.small})
    tx = slash(market, as_court, 30 * STAKE)
    assert (tx.events["Slashed"]["fromStake"], tx.events["Slashed"]["fromUnbonding"]) == (0, 30 * STAKE)
    assert [row[1] for row in market.staking.unbonds(market.small)] == [180 * STAKE, 90 * STAKE]


def test_slashing_never_touches_a_matured_unclaimed_unbond(market, as_court):
    market.staking.unbond(200 * STAKE, {"from": market.small})
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 200 * STAKE
    tx = slash(market, as_court, 10**40)
    assert tx.return_value == 100 * STAKE
    assert tx.events["UnbondMatured"]["amount"] == 200 * STAKE
    assert slash(market, as_court, 10**40).return_value == 0
    balance = market.stake_token.balanceOf(market.small)
    market.staking.withdraw({"from": market.small})
    assert market.stake_token.balanceOf(market.small) == balance + 200 * STAKE


def test_slashed_total_is_monotone_and_reaches_everything(market, as_court):
    market.staking.unbond(100 * STAKE, {"from": market.small})
    totals = []
    for _ in range(20):
        slash(market, as_court, 30 * STAKE)
        totals.append(market.staking.provider(market.small)["slashedTotal"])
    assert totals == sorted(totals)
    assert totals[:3] == [30 * STAKE, 60 * STAKE, 90 * STAKE], "a cumulative slash does not shrink with the collateral"
    assert totals[-1] == 300 * STAKE and market.staking.provider(market.small)["stake"] == 0


def test_voids_the_exits_of_an_emptied_pool_so_that_it_can_be_used_again(market, as_court):
    market.staking.unbond(300 * STAKE, {"from": market.small})
    tx = slash(market, as_court, 300 * STAKE)
    assert tx.events["UnbondVoided"] == {"provider": market.small, "id": 0}
    assert market.staking.unbonds(market.small) == []
    market.staking.stake(50 * STAKE, {"from": market.small})
    assert market.staking.unbond(50 * STAKE, {"from": market.small}).return_value == 1
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 50 * STAKE


def test_touches_no_other_provider(market, as_court):
    before = market.staking.provider(market.large)
    slash(market, as_court, 10**40)
    assert market.staking.provider(market.large) == before


def test_jails_and_removes_even_when_nothing_is_left(market, as_court):
    slash(market, as_court, 10**40)
    tx = slash(market, as_court, 1, jail=True)
    assert tx.return_value == 0 and tx.events["Jailed"]["provider"] == market.small
    assert market.staking.provider(market.small)["status"] == 2
    tx = slash(market, as_court, 1, remove=True)
    assert tx.events["Removed"]["provider"] == market.small
    assert market.staking.provider(market.small)["status"] == 3
    tx = slash(market, as_court, 1, jail=True)
    assert "Jailed" not in tx.events and market.staking.provider(market.small)["status"] == 3, "removal is for ever"

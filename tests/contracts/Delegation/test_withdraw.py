"""withdraw and mature: what delegators get back, and when."""

import pytest

from tests.contracts.support.market import JAIL, JAIL_UNTIL_MEASURED, NOTHING, REMOVAL, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import delegate, slash, undelegate


def withdraw(market, who=None, provider=None):
    """Withdraw; checks that exactly what was withdrawable was paid, and the books."""
    who, provider = who or market.dora, provider or market.small
    token, delegation = market.stake_token, market.delegation
    due, balance, held = (
        delegation.position(provider, who)["withdrawable"],
        token.balanceOf(who),
        token.balanceOf(delegation),
    )
    leaving = delegation.totalUnbonding() + delegation.totalMatured()
    tx = delegation.withdraw(provider, {"from": who})
    assert tx.return_value == due
    assert tx.events["Withdrawn"] == {"provider": provider, "delegator": who, "amount": due}
    assert token.balanceOf(who) == balance + due and token.balanceOf(delegation) == held - due
    assert delegation.totalUnbonding() + delegation.totalMatured() == leaving - due
    assert delegation.position(provider, who)["withdrawable"] == 0
    return tx


def test_refuses_when_nothing_is_leaving(market):
    delegate(market, STAKE)
    assert refused(market.delegation.withdraw, market.small, sender=market.dora) == ("NothingToWithdraw", 0)


def test_refuses_a_second_before_the_release_and_pays_at_it(market):
    delegate(market, 10 * STAKE)
    release = undelegate(market, 4 * STAKE).events["Undelegated"]["releaseAt"]
    assert market.delegation.position(market.small, market.dora)["nextRelease"] == release
    market.wait_until(release - 1)
    assert refused(market.delegation.withdraw, market.small, sender=market.dora) == ("NothingToWithdraw", release)
    assert market.delegation.pool(market.small)["unbonding"] == 4 * STAKE
    market.wait_until(release)
    assert market.delegation.pool(market.small)["unbonding"] == 0
    tx = withdraw(market)
    assert tx.events["BatchMatured"] == {"provider": market.small, "batch": 0, "amount": 4 * STAKE}
    assert market.delegation.position(market.small, market.dora) == (6 * STAKE, 6 * STAKE, 0, 0, 0, 0)


def test_pays_what_matured_and_leaves_the_rest_waiting(market):
    delegate(market, 10 * STAKE)
    first = undelegate(market, STAKE).events["Undelegated"]["releaseAt"]
    market.wait(60)
    second = undelegate(market, 2 * STAKE).events["Undelegated"]["releaseAt"]
    market.wait_until(first)
    assert withdraw(market).return_value == STAKE
    assert market.delegation.position(market.small, market.dora)["unbonding"] == 2 * STAKE
    assert refused(market.delegation.withdraw, market.small, sender=market.dora) == ("NothingToWithdraw", second)
    market.wait_until(second)
    assert withdraw(market).return_value == 2 * STAKE


def test_pays_once(market):
    delegate(market, STAKE)
    undelegate(market, STAKE)
    market.wait(140)
    withdraw(market)
    assert refused(market.delegation.withdraw, market.small, sender=market.dora) == ("NothingToWithdraw", 0)


def test_pays_everybody_in_a_slashed_batch_and_leaves_no_dust(market, as_court):
    delegate(market, 10 * STAKE)
    delegate(market, 20 * STAKE, market.egon)
    undelegate(market, 10 * STAKE)
    undelegate(market, 20 * STAKE, market.egon)
    slash(market, as_court, 300 * STAKE + 7)
    market.wait(140)
    paid = withdraw(market).return_value + withdraw(market, market.egon).return_value
    assert paid == 30 * STAKE - 7
    assert market.delegation.totalUnbonding() == market.delegation.totalMatured() == 0


@pytest.mark.parametrize("consequence", [NOTHING, JAIL, JAIL_UNTIL_MEASURED, REMOVAL])
def test_pays_in_every_status_and_while_paused(market, as_court, consequence):
    delegate(market, 3 * STAKE)
    slash(market, as_court, 0, consequence=consequence)
    undelegate(market, STAKE)
    market.wait(140)
    market.pause()
    assert withdraw(market).return_value == STAKE


def test_drops_exits_that_a_slash_emptied_so_that_nobody_is_shut_out_by_them(market, as_court):
    market.staking.stake(1000 * STAKE, {"from": market.small})
    delegate(market, STAKE)
    for _ in range(8):
        undelegate(market, STAKE // 8)
        market.wait(15)
    tx = slash(market, as_court, 10**40)
    assert [event["amount"] for event in tx.events["BatchMatured"]] == [0] * len(tx.events["BatchMatured"])
    market.staking.stake(1000 * STAKE, {"from": market.small})
    delegate(market, 3 * STAKE)
    undelegate(market, STAKE)
    before = market.delegation.position(market.small, market.dora)
    tx = withdraw(market)
    after = market.delegation.position(market.small, market.dora)
    assert before == after and tx.return_value == 0, "only what was worth nothing is gone"
    assert refused(market.delegation.withdraw, market.small, sender=market.dora)[0] == "NothingToWithdraw"
    market.wait(140)
    assert withdraw(market).return_value == STAKE


def test_anybody_may_take_matured_batches_out_of_the_pool_and_nothing_changes_by_it(market):
    delegate(market, 10 * STAKE)
    undelegate(market, STAKE)
    market.wait(60)
    undelegate(market, STAKE)
    market.wait(80)
    before = market.delegation.position(market.small, market.dora)
    tx = market.delegation.mature(market.small, {"from": market.stranger})
    assert tx.events["BatchMatured"] == {"provider": market.small, "batch": 0, "amount": STAKE}
    assert (market.delegation.totalUnbonding(), market.delegation.totalMatured()) == (STAKE, STAKE)
    assert market.delegation.position(market.small, market.dora) == before
    assert "BatchMatured" not in market.delegation.mature(market.small, {"from": market.stranger}).events
    market.wait(80)
    market.pause()
    assert "BatchMatured" in market.delegation.mature(market.small, {"from": market.stranger}).events

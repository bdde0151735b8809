"""reward and claimRewards: what delegators earn."""

from brownie.test import given, strategy
from hypothesis import HealthCheck, settings

from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf
from tests.contracts.support.stakes import delegate, undelegate


def reward(market, ledger, *pools):
    """Bring rewards as the ledger does; checks the books."""
    amount = sum(pool[1] for pool in pools)
    held, total = market.payment_token.balanceOf(market.delegation), market.delegation.totalRewards()
    market.payment_token.approve(market.delegation, amount, {"from": ledger})
    shares = [market.delegation.pool(provider)["shares"] for provider, _ in pools]
    tx = market.delegation.reward(pools, {"from": ledger})
    assert market.payment_token.balanceOf(market.delegation) == held + amount
    assert market.delegation.totalRewards() == total + amount
    assert [(e["provider"], e["amount"], e["shares"]) for e in tx.events["Rewarded"]] == [
        (provider, part, of) for (provider, part), of in zip(pools, shares, strict=True)
    ]
    return tx


def claim(market, who, provider=None):
    """Claim; checks that exactly what was shown was paid."""
    provider = provider or market.small
    due, balance = market.delegation.position(provider, who)["rewards"], market.payment_token.balanceOf(who)
    total = market.delegation.totalRewards()
    tx = market.delegation.claimRewards(provider, {"from": who})
    assert tx.return_value == due and market.payment_token.balanceOf(who) == balance + due
    assert tx.events["RewardsClaimed"] == {"provider": provider, "delegator": who, "amount": due}
    assert market.delegation.totalRewards() == total - due
    assert market.delegation.position(provider, who)["rewards"] == 0
    return due


def rewards(market, who, provider=None):
    return market.delegation.position(provider or market.small, who)["rewards"]


def test_refuses_everybody_but_the_ledger(market):
    for caller in (market.admin, market.small, market.stranger):
        found = refused(market.delegation.reward, [(market.small, 1)], sender=caller)
        assert found == ("NotLedger", caller.address.lower())


def test_refuses_a_reward_of_nothing(market, as_ledger):
    assert refused(market.delegation.reward, [(market.small, 0)], sender=as_ledger) == ("ZeroAmount",)


def test_refuses_what_the_ledger_did_not_approve(market, as_ledger):
    found = refused(market.delegation.reward, [(market.small, 5)], sender=as_ledger)
    assert found == ("ERC20InsufficientAllowance", market.delegation.address.lower(), 0, 5)


def test_refuses_a_claim_of_nothing(market):
    found = refused(market.delegation.claimRewards, market.small, sender=market.dora)
    assert found == ("NothingToClaim", market.dora.address.lower())


def test_splits_a_reward_over_the_shares_of_that_moment(market, as_ledger):
    delegate(market, 100 * STAKE)
    reward(market, as_ledger, (market.small, 9 * PAY))
    delegate(market, 200 * STAKE, market.egon)
    reward(market, as_ledger, (market.small, 9 * PAY))
    assert (rewards(market, market.dora), rewards(market, market.egon)) == (12 * PAY, 6 * PAY)
    undelegate(market, 100 * STAKE)
    reward(market, as_ledger, (market.small, 9 * PAY))
    assert (claim(market, market.dora), claim(market, market.egon)) == (12 * PAY, 15 * PAY)


def test_brings_several_providers_their_rewards_at_once(market, as_ledger):
    delegate(market, STAKE)
    delegate(market, STAKE, provider=market.large)
    reward(market, as_ledger, (market.small, 3 * PAY), (market.large, 5 * PAY))
    assert claim(market, market.dora) == 3 * PAY
    assert claim(market, market.dora, market.large) == 5 * PAY


def test_what_nobody_holds_shares_for_is_the_providers(market, as_ledger):
    reward(market, as_ledger, (market.small, 3 * PAY))
    assert rewards(market, market.small) == 3 * PAY
    delegate(market, STAKE)
    reward(market, as_ledger, (market.small, PAY))
    assert claim(market, market.small) == 3 * PAY and claim(market, market.dora) == PAY


def test_a_later_delegator_earns_nothing_of_what_was_earned_before(market, as_ledger):
    delegate(market, STAKE)
    reward(market, as_ledger, (market.small, 3 * PAY))
    delegate(market, 1000 * STAKE, market.egon)
    assert rewards(market, market.egon) == 0 and rewards(market, market.dora) == 3 * PAY


def test_coming_and_going_changes_nothing_of_what_was_earned(market, as_ledger):
    delegate(market, 2 * STAKE)
    reward(market, as_ledger, (market.small, 3 * PAY))
    for _ in range(3):
        undelegate(market, STAKE)
        delegate(market, STAKE)
    assert rewards(market, market.dora) == 3 * PAY
    reward(market, as_ledger, (market.small, 3 * PAY))
    assert claim(market, market.dora) == 6 * PAY


def test_a_small_reward_of_a_coarse_token_is_not_lost_over_a_large_pool(market, as_ledger):
    market.staking.stake(10**9 * STAKE, {"from": market.small})
    delegate(market, 4 * 10**9 * STAKE)
    delegate(market, 12 * 10**9 * STAKE, market.egon)
    for _ in range(3):
        reward(market, as_ledger, (market.small, 4))
    assert (claim(market, market.dora), claim(market, market.egon)) == (3, 9)


def test_claims_are_paid_while_paused(market, as_ledger):
    delegate(market, STAKE)
    market.pause()
    reward(market, as_ledger, (market.small, 3 * PAY))
    assert claim(market, market.dora) == 3 * PAY


@given(
    stakes=strategy("uint256[2]", min_value=1, max_value=10**24),
    amounts=strategy("uint96[4]", min_value=1, max_value=10**15),
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_pays_out_more_than_came_in_and_loses_less_than_a_unit_each(market, as_ledger, stakes, amounts):
    market.staking.stake(10**24, {"from": market.small})
    market.payment_token.mint(as_ledger, sum(amounts), {"from": as_ledger})
    for who, stake in zip((market.dora, market.egon), stakes, strict=True):
        delegate(market, stake, who)
    for amount in amounts:
        reward(market, as_ledger, (market.small, amount))
    total = sum(amounts)
    expected = [total * stake // sum(stakes) for stake in stakes]
    found = [rewards(market, who) for who in (market.dora, market.egon)]
    assert sum(found) <= total
    assert all(want - 1 <= have <= want for want, have in zip(expected, found, strict=True))


def test_a_report_brings_delegators_their_part(market):
    delegate(market, 200 * STAKE)
    market.settle([make_leaf(market.small, incentive=PAY), make_leaf(market.large)], pools={market.small: 2 * PAY})
    assert claim(market, market.dora) == 2 * PAY

"""Acts on stake, own and delegated, each checked against every balance that it may and may not touch."""

from __future__ import annotations

from typing import Any

from brownie import accounts

from tests.contracts.support.market import NOTHING, Market


def _books(market: Market) -> tuple[int, int, int, int]:
    staking = market.staking
    held = market.stake_token.balanceOf(staking)
    return held, staking.totalStake(), staking.totalUnbonding(), staking.totalMatured()


def take_back(market: Market, contract: Any, amount: int) -> None:
    """Remove stake tokens that a test sent to a contract unasked, so that its sums are exact again."""
    market.stake_token.transfer(market.stranger, amount, {"from": accounts.at(contract.address, force=True)})


def unbond(market: Market, amount: int, who: Any = None, risk: Any = None) -> Any:
    """Begin to take stake out; checks that no token moved and nothing was gained or lost in between."""
    who = who or market.small
    before, (held, bonded, unbonding, matured) = market.staking.provider(who).dict(), _books(market)
    tx = market.staking.unbond(amount, risk or market.risk(who), {"from": who})
    after = market.staking.provider(who).dict()
    assert after["stake"] == before["stake"] - amount
    held_after, bonded_after, unbonding_after, matured_after = _books(market)
    assert (held_after, bonded_after) == (held, bonded - amount)
    assert unbonding_after + matured_after == unbonding + matured + amount
    assert tx.events["Unbonded"]["stakeAfter"] == after["stake"]
    newest = market.staking.unbonds(who)[-1]
    assert amount - 2 <= newest["amount"] <= amount, "an unbond loses at most a unit in each rounding"
    return tx


def rebond(market: Market, amount: int, who: Any = None) -> Any:
    """Take stake back from the pool; checks that exactly that much moved and no token."""
    who = who or market.small
    before, (held, bonded, unbonding, matured) = market.staking.provider(who).dict(), _books(market)
    ripe = market.staking.withdrawable(who)
    tx = market.staking.rebond(amount, {"from": who})
    after = market.staking.provider(who).dict()
    assert (after["stake"], after["unbonding"]) == (before["stake"] + amount, before["unbonding"] - amount)
    assert market.staking.withdrawable(who) == ripe
    held_after, bonded_after, unbonding_after, matured_after = _books(market)
    assert (held_after, bonded_after) == (held, bonded + amount)
    assert unbonding_after + matured_after == unbonding + matured - amount
    parts = [event for event in tx.events if event.name == "Rebonded"]
    assert sum(part["amount"] for part in parts) == amount
    assert parts[-1]["stakeAfter"] == after["stake"]
    return tx


def slash(market: Market, court: Any, amount: int, who: Any = None, consequence: int = NOTHING) -> Any:
    """Slash as the court; checks the order stake, unbonding, delegation and that matured is never touched."""
    who = who or market.small
    token, staking, delegation = market.stake_token, market.staking, market.delegation
    before, pool = staking.provider(who).dict(), delegation.pool(who).dict()
    held, behind, court_held = token.balanceOf(staking), token.balanceOf(delegation), token.balanceOf(court)
    matured = staking.withdrawable(who)
    tx = staking.slash(who, amount, consequence, {"from": court})
    from_stake = min(amount, before["stake"])
    from_unbonding = min(amount - from_stake, before["unbonding"])
    own = from_stake + from_unbonding
    from_delegated = min(amount - own, pool["delegated"])
    from_batches = min(amount - own - from_delegated, pool["unbonding"])
    after, pool_after = staking.provider(who).dict(), delegation.pool(who).dict()
    assert tx.return_value == own + from_delegated + from_batches
    assert after["stake"] == before["stake"] - from_stake
    assert after["unbonding"] == before["unbonding"] - from_unbonding
    assert after["slashedTotal"] == before["slashedTotal"] + own
    assert pool_after["delegated"] == pool["delegated"] - from_delegated
    assert pool_after["unbonding"] == pool["unbonding"] - from_batches
    assert staking.withdrawable(who) == matured, "what has matured is never touched"
    assert token.balanceOf(staking) == held - own
    assert token.balanceOf(delegation) == behind - from_delegated - from_batches
    assert token.balanceOf(court) == court_held + tx.return_value
    event = next(event for event in tx.events if event.name == "Slashed" and "fromStake" in event)
    assert (event["requested"], event["fromStake"], event["fromUnbonding"]) == (amount, from_stake, from_unbonding)
    assert event["stakeAfter"] == after["stake"]
    if from_delegated + from_batches:
        shown = tx.events["DelegationSlashed"]
        assert (shown["provider"], shown["fromDelegation"]) == (who, from_delegated + from_batches)
    else:
        assert "DelegationSlashed" not in tx.events
    return tx


def delegate(market: Market, amount: int, who: Any = None, provider: Any = None) -> Any:
    """Stake behind a provider; checks that exactly that much moved and nobody else's position did."""
    who, provider = who or market.dora, provider or market.small
    token, delegation = market.stake_token, market.delegation
    balance, held, total = token.balanceOf(who), token.balanceOf(delegation), delegation.totalDelegated()
    before, pool = delegation.position(provider, who), delegation.pool(provider)
    tx = delegation.delegate(provider, amount, {"from": who})
    after, pool_after = delegation.position(provider, who), delegation.pool(provider)
    shares = tx.return_value
    assert shares >= amount, "a share is never worth more than a unit"
    assert after["shares"] == before["shares"] + shares and pool_after["shares"] == pool["shares"] + shares
    assert before["amount"] + amount - 2 <= after["amount"] <= before["amount"] + amount + 1
    assert pool_after["delegated"] == delegation.delegatedTo(provider) == pool["delegated"] + amount
    assert delegation.totalDelegated() == total + amount
    assert token.balanceOf(who) == balance - amount and token.balanceOf(delegation) == held + amount
    assert tx.events["Delegated"] == {"provider": provider, "delegator": who, "amount": amount, "shares": shares}
    return tx


def undelegate(market: Market, shares: int, who: Any = None, provider: Any = None) -> Any:
    """Begin to take shares out; checks that their worth moved into a batch and no token anywhere."""
    who, provider = who or market.dora, provider or market.small
    token, delegation = market.stake_token, market.delegation
    held, before, pool = token.balanceOf(delegation), delegation.position(provider, who), delegation.pool(provider)
    total, leaving = delegation.totalDelegated(), delegation.totalUnbonding() + delegation.totalMatured()
    tx = delegation.undelegate(provider, shares, {"from": who})
    after, pool_after, event = delegation.position(provider, who), delegation.pool(provider), tx.events["Undelegated"]
    amount = shares * pool["delegated"] // pool["shares"]
    assert (event["provider"], event["delegator"], event["batch"]) == (provider, who, tx.return_value)
    assert (event["amount"], event["shares"]) == (amount, shares) and event["batchShares"] >= amount
    unbonding_s = market.staking.unbondingSeconds()
    step = -(-unbonding_s // 8)
    assert tx.timestamp + unbonding_s <= event["releaseAt"] < tx.timestamp + unbonding_s + step
    assert event["releaseAt"] % step == 0
    assert after["shares"] == before["shares"] - shares
    assert pool_after["delegated"] == pool["delegated"] - amount
    assert delegation.totalDelegated() == total - amount
    assert delegation.totalUnbonding() + delegation.totalMatured() == leaving + amount
    assert token.balanceOf(delegation) == held
    return tx

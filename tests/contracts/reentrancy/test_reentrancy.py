"""A token that calls back in the middle of a payment gets a refusal, and the books stay right."""

import pytest
from brownie import web3

from tests.contracts.support.market import CPU
from tests.contracts.support.refusals import decode_error

RULES = (940_000, 20_000, 20_000, 20_000, 5, 10**6, 2_000, 4)


@pytest.fixture
def hostile(market, built, deploy_script):
    """Deploy ledger, staking and escrow with a token that calls back; returns token, ledger, staking, escrow."""
    sender = {"from": market.admin}
    token = built.ReentrantToken.deploy(sender)
    nonce = web3.eth.get_transaction_count(market.admin.address)
    at = [deploy_script.created_address(market.admin.address, nonce + i) for i in range(3)]
    others = (at[2], market.verifiers, market.admin, market.authority)
    ledger = built.EpochLedger.deploy(token, *others, (1, 60, 4, 0), RULES, sender)
    staking = built.ProviderStaking.deploy(token, ledger, market.court, (120, 1), sender)
    escrow = built.JobEscrow.deploy(token, token, ledger, market.court, (130,), sender)
    assert [ledger, staking, escrow] == at
    token.mint(market.fresh, 1_000, {"from": market.fresh})
    for contract in (staking, escrow):
        token.approve(contract, 1_000, {"from": market.fresh})
    return token, ledger, staking, escrow


def test_withdrawing_from_the_escrow_again_while_it_pays_is_refused(market, hostile):
    token, _, _, escrow = hostile
    escrow.deposit(market.fresh, 500, {"from": market.fresh})
    escrow.deposit(market.bob, 100, {"from": market.fresh})
    escrow.requestWithdrawal(300, {"from": market.fresh})
    market.wait(131)
    token.arm(escrow, escrow.withdraw.encode_input(), {"from": market.fresh})
    escrow.withdraw({"from": market.fresh})
    assert decode_error(str(token.answer())) == ("ReentrancyGuardReentrantCall",)
    assert token.balanceOf(market.fresh) == 400 + 300
    assert token.balanceOf(escrow) == escrow.totalBalances() == 300


def test_withdrawing_stake_again_while_it_is_paid_is_refused(market, hostile):
    token, _, staking, _ = hostile
    staking.register(market.bob, CPU, 1, b"\x01" * 32, "local", "http://x", {"from": market.fresh})
    staking.stake(500, {"from": market.fresh})
    staking.unbond(200, {"from": market.fresh})
    market.wait(121)
    token.arm(staking, staking.withdraw.encode_input(), {"from": market.fresh})
    staking.withdraw({"from": market.fresh})
    assert decode_error(str(token.answer())) == ("ReentrancyGuardReentrantCall",)
    assert token.balanceOf(market.fresh) == 500 + 200
    assert token.balanceOf(staking) == staking.totalStake() == 300

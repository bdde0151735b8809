"""deposit and depositWithPermit: money comes in."""

import pytest
from brownie import accounts, web3
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused

ZERO = "0x" + "00" * 20
FAR = 2**63
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def owner(market):
    """Return somebody with a key and tokens, who approved nobody."""
    owner = accounts.add(keccak(text="holder without allowance"))
    market.payment_token.mint(owner, 9 * PAY, {"from": owner})
    return owner


def permit(market, owner, amount, deadline=FAR, **domain):
    """Sign an EIP-2612 permit for the escrow, in the token's domain unless parts of another are named."""
    token = market.payment_token
    own = {"name": token.name(), "version": "1", "chainId": web3.eth.chain_id, "verifyingContract": token.address}
    message = encode_typed_data(
        own | domain,
        {
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        {
            "owner": owner.address,
            "spender": market.escrow.address,
            "value": amount,
            "nonce": token.nonces(owner),
            "deadline": deadline,
        },
    )
    signed = web3.eth.account.sign_message(message, owner.private_key)
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def not_allowed(market, sender, deadline, signature):
    """Check that this signature permits nothing: what is missing is the allowance."""
    found = refused(market.escrow.depositWithPermit, sender, 9 * PAY, deadline, *signature, sender=sender)
    assert found == ("ERC20InsufficientAllowance", market.escrow.address.lower(), 0, 9 * PAY)


def test_refuses_nothing_and_nobody(market):
    assert refused(market.escrow.deposit, market.alice, 0, sender=market.alice) == ("ZeroAmount",)
    assert refused(market.escrow.deposit, ZERO, 1, sender=market.alice) == ("ZeroAddress", "customer")


def test_refuses_while_the_market_is_paused_and_no_longer(market, owner):
    market.pause(20)
    until = market.guardian.pausedUntil()
    signature = permit(market, owner, 9 * PAY)
    assert refused(market.escrow.deposit, market.alice, 1, sender=market.alice) == ("StillPaused", until)
    found = refused(market.escrow.depositWithPermit, owner, 9 * PAY, FAR, *signature, sender=owner)
    assert found == ("StillPaused", until)
    market.wait_until(until)
    market.escrow.deposit(market.alice, 1, {"from": market.alice})
    assert market.escrow.customer(market.alice)["balance"] == 1000 * PAY + 1


def test_refuses_more_than_a_balance_can_hold(market):
    market.payment_token.approve(market.escrow, 2**256 - 1, {"from": market.alice})
    found = refused(market.escrow.deposit, market.alice, 2**120 - 1000 * PAY, sender=market.alice)
    assert found == ("SafeCastOverflowedUintDowncast", 120, 2**120)
    found = refused(market.escrow.deposit, market.alice, 2**256 - 1, sender=market.alice)
    assert found == ("Panic", 0x11), "nothing wraps"


def test_books_the_tokens_to_the_customer_whoever_pays(market):
    count = market.escrow.customerCount()
    balance, held = market.payment_token.balanceOf(market.stranger), market.payment_token.balanceOf(market.escrow)
    total = market.escrow.totalBalances()
    tx = market.escrow.deposit(market.fresh, 30 * PAY, {"from": market.stranger})
    assert tx.events["Deposited"] == {
        "customer": market.fresh,
        "from": market.stranger,
        "amount": 30 * PAY,
        "balanceAfter": 30 * PAY,
    }
    assert market.escrow.customer(market.fresh)["balance"] == 30 * PAY
    assert market.payment_token.balanceOf(market.stranger) == balance - 30 * PAY
    assert market.payment_token.balanceOf(market.escrow) == held + 30 * PAY
    assert market.escrow.totalBalances() == total + 30 * PAY
    assert market.escrow.customerCount() == count + 1 and market.escrow.customerAt(count) == market.fresh
    market.escrow.deposit(market.fresh, 1, {"from": market.fresh})
    assert market.escrow.customerCount() == count + 1, "listed once"


def test_dust_from_a_stranger_costs_a_customer_nothing(market):
    market.escrow.requestWithdrawal(400 * PAY, {"from": market.alice})
    before = tuple(market.escrow.customer(market.alice))
    market.escrow.deposit(market.alice, 1, {"from": market.stranger})
    assert tuple(market.escrow.customer(market.alice)) == (before[0] + 1, *before[1:]), "the thaw runs on"


def test_takes_a_permit_instead_of_an_allowance(market, owner):
    signature = permit(market, owner, 9 * PAY)
    tx = market.escrow.depositWithPermit(owner, 9 * PAY, FAR, *signature, {"from": owner})
    assert tx.events["Deposited"]["balanceAfter"] == 9 * PAY
    assert market.escrow.customer(owner)["balance"] == 9 * PAY
    assert market.payment_token.balanceOf(owner) == 0
    assert market.payment_token.allowance(owner, market.escrow) == 0


def test_survives_a_permit_that_somebody_else_used_up_first(market, owner):
    signature = permit(market, owner, 9 * PAY)
    market.payment_token.permit(owner, market.escrow, 9 * PAY, FAR, *signature, {"from": market.stranger})
    market.escrow.depositWithPermit(owner, 9 * PAY, FAR, *signature, {"from": owner})
    assert market.escrow.customer(owner)["balance"] == 9 * PAY


def test_refuses_a_permit_a_second_time(market, owner):
    signature = permit(market, owner, 9 * PAY)
    market.escrow.depositWithPermit(owner, 9 * PAY, FAR, *signature, {"from": owner})
    market.payment_token.mint(owner, 9 * PAY, {"from": owner})
    not_allowed(market, owner, FAR, signature)


def test_refuses_a_permit_for_another_chain_token_or_time(market, owner):
    not_allowed(market, owner, FAR, permit(market, owner, 9 * PAY, chainId=web3.eth.chain_id + 1))
    not_allowed(market, owner, FAR, permit(market, owner, 9 * PAY, verifyingContract=market.stake_token.address))
    not_allowed(market, owner, FAR, permit(market, owner, 9 * PAY, version="2"))
    late = market.now() - 1
    not_allowed(market, owner, late, permit(market, owner, 9 * PAY, deadline=late))
    not_allowed(market, owner, FAR, permit(market, owner, 9 * PAY - 1))


def test_refuses_a_malleated_permit(market, owner):
    v, r, s = permit(market, owner, 9 * PAY)
    assert int.from_bytes(s, "big") <= HALF_ORDER
    other_s = (ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
    not_allowed(market, owner, FAR, (55 - v, r, other_s))


def test_refuses_a_permit_by_somebody_else(market, owner):
    signature = permit(market, owner, 9 * PAY)
    not_allowed(market, accounts.add(keccak(text="thief")), FAR, signature)

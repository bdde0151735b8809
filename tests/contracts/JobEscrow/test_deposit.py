"""deposit and depositWithPermit: money comes in."""

from brownie import accounts, web3
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused

ZERO = "0x" + "00" * 20
FAR = 2**63


def permit(market, owner, amount, deadline=FAR):
    """Sign an EIP-2612 permit for the escrow."""
    token = market.payment_token
    message = encode_typed_data(
        {"name": token.name(), "version": "1", "chainId": web3.eth.chain_id, "verifyingContract": token.address},
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


def test_refuses_nothing_and_nobody(market):
    assert refused(market.escrow.deposit, market.alice, 0, sender=market.alice) == ("ZeroAmount",)
    assert refused(market.escrow.deposit, ZERO, 1, sender=market.alice) == ("ZeroAddress", "customer")


def test_refuses_a_token_that_keeps_a_fee(market, built, deploy_script):
    token = built.FeeToken.deploy({"from": market.admin})
    nonce = web3.eth.get_transaction_count(market.admin.address)
    escrow_at = deploy_script.created_address(market.admin.address, nonce + 1)
    rules = tuple(market.ledger.rules())
    others = (escrow_at, market.verifiers, market.admin, market.authority)
    ledger = built.EpochLedger.deploy(token, *others, (1, 60, 4, 0), rules, {"from": market.admin})
    escrow = built.JobEscrow.deploy(token, market.stake_token, ledger, market.court, (130,), {"from": market.admin})
    token.mint(market.fresh, 1000, {"from": market.fresh})
    token.approve(escrow, 1000, {"from": market.fresh})
    found = refused(escrow.deposit, market.fresh, 1000, sender=market.fresh)
    assert found == ("InexactTransfer", token.address.lower(), 1000, 990)


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


def test_takes_a_permit_instead_of_an_allowance(market):
    owner = accounts.add(keccak(text="holder without allowance"))
    market.payment_token.mint(owner, 9 * PAY, {"from": owner})
    signature = permit(market, owner, 9 * PAY)
    market.escrow.depositWithPermit(owner, 9 * PAY, FAR, *signature, {"from": owner})
    assert market.escrow.customer(owner)["balance"] == 9 * PAY
    assert market.payment_token.balanceOf(owner) == 0
    assert market.payment_token.allowance(owner, market.escrow) == 0


def test_survives_a_permit_that_somebody_else_used_up_first(market):
    owner = accounts.add(keccak(text="front-run holder"))
    market.payment_token.mint(owner, 9 * PAY, {"from": owner})
    signature = permit(market, owner, 9 * PAY)
    market.payment_token.permit(owner, market.escrow, 9 * PAY, FAR, *signature, {"from": market.stranger})
    market.escrow.depositWithPermit(owner, 9 * PAY, FAR, *signature, {"from": owner})
    assert market.escrow.customer(owner)["balance"] == 9 * PAY


def test_refuses_a_permit_by_somebody_else(market):
    owner = accounts.add(keccak(text="careful holder"))
    market.payment_token.mint(owner, 9 * PAY, {"from": owner})
    signature = permit(market, owner, 9 * PAY)
    thief = accounts.add(keccak(text="thief"))
    arguments = (thief, 9 * PAY, FAR, *signature)
    name, spender, allowance, needed = refused(market.escrow.depositWithPermit, *arguments, sender=thief)
    assert (name, allowance, needed) == ("ERC20InsufficientAllowance", 0, 9 * PAY)
    assert spender == market.escrow.address.lower()

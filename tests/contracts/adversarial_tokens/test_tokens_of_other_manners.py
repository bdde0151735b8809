"""Tokens that behave otherwise than ERC-20 says: refused where the books would be wrong, borne where they are right.

Audit finding: tokens without return values, that answer `false`, that keep a fee, or that do not exist.
"""

import pytest
from brownie import accounts

from tests.contracts.adversarial_tokens.alone import escrow_with
from tests.contracts.support.refusals import deployment_refused, refused


@pytest.fixture
def escrow_of(market, built, deploy_script):
    """Return a function that deploys a token and an escrow with it as payment and stake token, and 1,000 for fresh."""

    def make(kind, *arguments):
        token = built[kind].deploy(*arguments, {"from": market.admin})
        escrow = escrow_with(market, built, deploy_script, token, token)
        token.mint(market.fresh, 1000, {"from": market.fresh})
        token.approve(escrow, 1000, {"from": market.fresh})
        return token, escrow

    return make


@pytest.fixture
def operators_of(market, built):
    """Return a function that deploys a set of bonded operators with a token, and 1,000 for fresh."""

    def make(kind, *arguments):
        token = built[kind].deploy(*arguments, {"from": market.admin})
        links = (token, market.clock, market.court, market.guardian)
        them = built.BondedOperators.deploy(*links, (400, 2, 1, 1, 120), {"from": market.admin})
        token.mint(market.fresh, 1000, {"from": market.fresh})
        token.approve(them, 1000, {"from": market.fresh})
        return token, them

    return make


def test_a_token_that_keeps_a_fee_is_refused_at_every_door(market, escrow_of, operators_of):
    token, escrow = escrow_of("FeeToken")
    inexact = ("InexactTransfer", token.address.lower(), 1000, 990)
    assert refused(escrow.deposit, market.fresh, 1000, sender=market.fresh) == inexact
    assert refused(escrow.fundSla, 1000, sender=market.fresh) == inexact
    assert refused(escrow.fundSlaStake, 1000, sender=market.fresh) == inexact
    for role, call in (
        (escrow.epochLedger(), lambda: (escrow.credit, [(market.alice, market.small, 1000)])),
        (escrow.epochLedger(), lambda: (escrow.returnCharges, 0, [(market.alice, 1000)])),
        (escrow.epochLedger(), lambda: (escrow.settleFund, 1000, 0)),
        (escrow.court(), lambda: (escrow.compensate, [market.alice], [1000])),
    ):
        who = accounts.at(role, force=True)
        token.mint(who, 1000, {"from": who})
        token.approve(escrow, 1000, {"from": who})
        assert refused(*call(), sender=who) == inexact
    token, them = operators_of("FeeToken")
    assert refused(them.join, "http://x", sender=market.fresh) == ("InexactTransfer", token.address.lower(), 400, 396)


def test_a_fee_too_small_to_be_kept_is_none(market, escrow_of):
    _, escrow = escrow_of("FeeToken")
    escrow.deposit(market.fresh, 99, {"from": market.fresh})
    assert escrow.customer(market.fresh)["balance"] == 99


def test_a_token_that_shrank_takes_no_new_money_and_gives_back_what_it_has(market, escrow_of):
    token, escrow = escrow_of("ShrinkingToken")
    escrow.deposit(market.fresh, 500, {"from": market.fresh})
    escrow.deposit(market.bob, 100, {"from": market.fresh})
    escrow.fundSlaStake(50, {"from": market.fresh})
    token.shrink(escrow, 1, {"from": market.stranger})
    short = ("TokenShort", token.address.lower(), 649, 650)
    assert refused(escrow.deposit, market.fresh, 10, sender=market.fresh) == short
    assert refused(escrow.deposit, market.bob, 10, sender=market.fresh) == short
    assert refused(escrow.fundSla, 10, sender=market.fresh) == short
    # the way out stays open, and so does the way in of what others owe
    escrow.requestWithdrawal(500, {"from": market.fresh})
    market.wait(130)
    assert escrow.withdraw({"from": market.fresh}).return_value == 500
    ledger = accounts.at(escrow.epochLedger(), force=True)
    token.mint(ledger, 30, {"from": ledger})
    token.approve(escrow, 30, {"from": ledger})
    escrow.returnCharges(0, [(market.bob, 30)], {"from": ledger})
    assert token.balanceOf(escrow) == 179 and escrow.totalBalances() + escrow.stakeSlaFund() == 180
    # whoever makes the hole good opens the door again
    token.transfer(escrow, 1, {"from": market.fresh})
    escrow.deposit(market.fresh, 10, {"from": market.fresh})
    assert token.balanceOf(escrow) == escrow.totalBalances() + escrow.stakeSlaFund() == 190


def test_a_hole_in_the_stake_tokens_is_none_in_the_payment_tokens(market, built, deploy_script):
    stake = built.ShrinkingToken.deploy({"from": market.admin})
    escrow = escrow_with(market, built, deploy_script, market.payment_token, stake)
    stake.mint(market.fresh, 10, {"from": market.fresh})
    stake.approve(escrow, 10, {"from": market.fresh})
    escrow.fundSlaStake(10, {"from": market.fresh})
    stake.shrink(escrow, 5, {"from": market.stranger})
    market.payment_token.approve(escrow, 3, {"from": market.fresh})
    escrow.deposit(market.fresh, 3, {"from": market.fresh})
    assert escrow.totalBalances() == market.payment_token.balanceOf(escrow) == 3


def test_a_set_of_operators_that_shrank_takes_no_new_bond_and_gives_back_what_it_has(market, operators_of):
    token, them = operators_of("ShrinkingToken")
    token.mint(market.bob, 400, {"from": market.bob})
    token.approve(them, 400, {"from": market.bob})
    them.join("http://bob", {"from": market.bob})
    token.shrink(them, 5, {"from": market.stranger})
    found = refused(them.join, "http://x", sender=market.fresh)
    assert found == ("TokenShort", token.address.lower(), 395, 400)
    token.transfer(them, 5, {"from": market.fresh})
    them.join("http://x", {"from": market.fresh})
    them.leave({"from": market.bob})
    market.wait(120)
    assert them.withdraw({"from": market.bob}).return_value == 400
    assert token.balanceOf(them) == them.totalBonds() == 400


def test_a_token_that_answers_nothing_works(market, escrow_of, operators_of):
    token, escrow = escrow_of("SilentToken")
    assert refused(escrow.deposit, market.fresh, 1001, sender=market.fresh) == ("TooLittle", 1000, 1001)
    escrow.deposit(market.fresh, 600, {"from": market.fresh})
    escrow.requestWithdrawal(200, {"from": market.fresh})
    market.wait(130)
    assert escrow.withdraw({"from": market.fresh}).return_value == 200
    assert token.balanceOf(market.fresh) == 600 and token.balanceOf(escrow) == escrow.totalBalances() == 400
    token, them = operators_of("SilentToken")
    them.join("http://x", {"from": market.fresh})
    them.leave({"from": market.fresh})
    market.wait(120)
    assert them.withdraw({"from": market.fresh}).return_value == 400
    assert token.balanceOf(market.fresh) == 1000 and token.balanceOf(them) == them.totalBonds() == 0


def test_a_token_that_answers_false_moves_nothing_unnoticed(market, escrow_of, operators_of):
    token, escrow = escrow_of("RefusingToken")
    failed = ("SafeERC20FailedOperation", token.address.lower())
    assert refused(escrow.deposit, market.fresh, 1001, sender=market.fresh) == failed
    assert refused(escrow.fundSla, 1001, sender=market.fresh) == failed
    assert refused(escrow.fundSlaStake, 1001, sender=market.fresh) == failed
    escrow.deposit(market.fresh, 1000, {"from": market.fresh})
    assert escrow.customer(market.fresh)["balance"] == token.balanceOf(escrow) == 1000
    token, them = operators_of("RefusingToken")
    token.approve(them, 399, {"from": market.fresh})
    assert refused(them.join, "http://x", sender=market.fresh) == ("SafeERC20FailedOperation", token.address.lower())


def test_a_token_without_permit_takes_a_deposit_by_its_allowance(market, escrow_of):
    _, escrow = escrow_of("SilentToken")
    nonsense = (2**63, 27, b"\x01" * 32, b"\x02" * 32)
    escrow.depositWithPermit(market.fresh, 600, *nonsense, {"from": market.fresh})
    assert escrow.customer(market.fresh)["balance"] == 600


def test_a_token_that_is_not_there_is_refused_at_deployment(market, built):
    links = (market.stranger, market.clock, market.court, market.guardian)
    found = deployment_refused(built.BondedOperators, *links, (400, 2, 1, 1, 120), sender=market.admin)
    assert found == ("NoToken", "stakeToken", market.stranger.address.lower())


def test_tokens_sent_unasked_are_nobodys_and_change_no_book(market, escrow_of, operators_of):
    token, escrow = escrow_of("ShrinkingToken")
    escrow.deposit(market.fresh, 100, {"from": market.fresh})
    token.transfer(escrow, 7, {"from": market.fresh})
    escrow.deposit(market.fresh, 1, {"from": market.fresh})
    assert escrow.totalBalances() == 101 and token.balanceOf(escrow) == 108
    token, them = operators_of("ShrinkingToken")
    token.transfer(them, 7, {"from": market.fresh})
    them.join("http://x", {"from": market.fresh})
    assert them.totalBonds() == 400 and token.balanceOf(them) == 407
    assert them.member(market.fresh)["bond"] == 400


def test_one_token_for_stake_and_payment_keeps_both_books(market, escrow_of):
    token, escrow = escrow_of("ShrinkingToken")
    escrow.deposit(market.fresh, 100, {"from": market.fresh})
    escrow.fundSla(30, {"from": market.fresh})
    escrow.fundSlaStake(20, {"from": market.fresh})
    court = accounts.at(escrow.court(), force=True)
    token.mint(court, 9, {"from": court})
    token.approve(escrow, 9, {"from": court})
    escrow.compensate([market.bob], [9], {"from": court})
    assert token.balanceOf(escrow) == 159
    assert escrow.withdrawCompensation({"from": market.bob}).return_value == 9
    escrow.requestWithdrawal(100, {"from": market.fresh})
    market.wait(130)
    escrow.withdraw({"from": market.fresh})
    assert token.balanceOf(escrow) == escrow.slaFund() + escrow.stakeSlaFund() == 50

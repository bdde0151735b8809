"""credit: what a missed service level gives back to customers."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def test_refuses_everybody_but_the_ledger(market):
    for caller in (market.admin, market.alice):
        found = refused(market.escrow.credit, [], sender=caller)
        assert found == ("NotLedger", caller.address.lower())


def test_refuses_a_credit_of_nothing(market, as_ledger):
    found = refused(market.escrow.credit, [(market.alice, market.small, 0)], sender=as_ledger)
    assert found == ("ZeroAmount",)


def test_refuses_credits_without_the_tokens_for_them(market, as_ledger):
    found = refused(market.escrow.credit, [(market.alice, market.small, 3)], sender=as_ledger)
    assert found == ("ERC20InsufficientAllowance", market.escrow.address.lower(), 0, 3)


def test_books_credits_and_pulls_their_sum(market, as_ledger):
    market.payment_token.approve(market.escrow, 25 * PAY, {"from": as_ledger})
    at_ledger, held = market.payment_token.balanceOf(as_ledger), market.payment_token.balanceOf(market.escrow)
    total = market.escrow.totalBalances()
    credits = [
        (market.alice, market.small, 20 * PAY),
        (market.alice, market.large, 1 * PAY),
        (market.bob, market.small, 4 * PAY),
    ]
    tx = market.escrow.credit(credits, {"from": as_ledger})
    assert [dict(event) for event in tx.events["Credited"]] == [
        {"customer": market.alice, "provider": market.small, "amount": 20 * PAY, "balanceAfter": 1020 * PAY},
        {"customer": market.alice, "provider": market.large, "amount": 1 * PAY, "balanceAfter": 1021 * PAY},
        {"customer": market.bob, "provider": market.small, "amount": 4 * PAY, "balanceAfter": 504 * PAY},
    ]
    assert market.escrow.customer(market.alice)["balance"] == 1021 * PAY
    assert market.escrow.customer(market.bob)["balance"] == 504 * PAY
    assert market.escrow.totalBalances() == total + 25 * PAY
    assert market.escrow.slaFund() == 10 * PAY, "the ledger brings the fund's part, too"
    assert market.payment_token.balanceOf(as_ledger) == at_ledger - 25 * PAY
    assert market.payment_token.balanceOf(market.escrow) == held + 25 * PAY
    assert market.payment_token.allowance(as_ledger, market.escrow) == 0


def test_lists_a_customer_whose_first_money_is_a_credit(market, as_ledger):
    market.payment_token.approve(market.escrow, 2, {"from": as_ledger})
    market.escrow.credit([(market.fresh, market.small, 2)], {"from": as_ledger})
    assert market.escrow.customerCount() == 3 and market.escrow.customerAt(2) == market.fresh
    assert market.escrow.customer(market.fresh)["balance"] == 2


def test_credits_while_the_market_is_paused(market, as_ledger):
    market.payment_token.approve(market.escrow, 2, {"from": as_ledger})
    market.pause()
    market.escrow.credit([(market.alice, market.small, 2)], {"from": as_ledger})
    assert market.escrow.customer(market.alice)["balance"] == 1000 * PAY + 2

"""credit and fundSla: what comes back to customers, and the fund that pays the uncovered part."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def test_refuses_everybody_but_the_ledger(market):
    found = refused(market.escrow.credit, [], 0, 0, sender=market.admin)
    assert found == ("NotLedger", market.admin.address.lower())


def test_refuses_to_take_more_from_the_fund_than_it_has(market, as_ledger):
    credits = [(market.alice, market.small, 50 * PAY)]
    found = refused(market.escrow.credit, credits, 10 * PAY + 1, 0, sender=as_ledger)
    assert found == ("SlaFundShort", 10 * PAY, 10 * PAY + 1)


def test_refuses_to_take_more_from_the_fund_than_is_credited(market, as_ledger):
    found = refused(market.escrow.credit, [(market.alice, market.small, 3)], 4, 0, sender=as_ledger)
    assert found == ("CreditsBelowFundPart", 3, 4)


def test_refuses_credits_without_the_tokens_for_them(market, as_ledger):
    found = refused(market.escrow.credit, [(market.alice, market.small, 3)], 0, 0, sender=as_ledger)
    assert found[0] == "ERC20InsufficientAllowance"


def test_books_credits_and_pulls_only_what_the_fund_does_not_pay(market, as_ledger):
    market.payment_token.approve(market.escrow, 30 * PAY, {"from": as_ledger})
    at_ledger, held = market.payment_token.balanceOf(as_ledger), market.payment_token.balanceOf(market.escrow)
    credits = [(market.alice, market.small, 20 * PAY), (market.bob, market.small, 5 * PAY)]
    tx = market.escrow.credit(credits, 8 * PAY, 3 * PAY, {"from": as_ledger})
    assert [dict(event) for event in tx.events["Credited"]] == [
        {"customer": market.alice, "provider": market.small, "amount": 20 * PAY, "balanceAfter": 1020 * PAY},
        {"customer": market.bob, "provider": market.small, "amount": 5 * PAY, "balanceAfter": 505 * PAY},
    ]
    assert tx.events["SlaFundChanged"] == {"delta": -5 * PAY, "fundAfter": 5 * PAY}
    assert market.escrow.slaFund() == 5 * PAY
    moved = 25 * PAY - 8 * PAY + 3 * PAY
    assert market.payment_token.balanceOf(as_ledger) == at_ledger - moved
    assert market.payment_token.balanceOf(market.escrow) == held + moved
    market.payment_token.approve(market.escrow, 0, {"from": as_ledger})


def test_lets_an_epochs_inflow_pay_the_same_epochs_credits(market, as_ledger):
    market.payment_token.approve(market.escrow, 2 * PAY, {"from": as_ledger})
    market.escrow.credit([(market.alice, market.small, 12 * PAY)], 12 * PAY, 2 * PAY, {"from": as_ledger})
    assert market.escrow.slaFund() == 0


def test_fund_sla_refuses_nothing_and_takes_gifts(market):
    assert refused(market.escrow.fundSla, 0, sender=market.fresh) == ("ZeroAmount",)
    held = market.payment_token.balanceOf(market.escrow)
    tx = market.escrow.fundSla(4 * PAY, {"from": market.fresh})
    assert tx.events["SlaFundChanged"] == {"delta": 4 * PAY, "fundAfter": 14 * PAY}
    assert market.escrow.slaFund() == 14 * PAY
    assert market.payment_token.balanceOf(market.escrow) == held + 4 * PAY

"""settleFund and fundSla: the fund that pays what providers' fees do not cover."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def test_refuses_everybody_but_the_ledger(market):
    for caller in (market.admin, market.alice):
        found = refused(market.escrow.settleFund, 0, 0, sender=caller)
        assert found == ("NotLedger", caller.address.lower())


def test_refuses_to_give_more_than_the_fund_and_its_inflow(market, as_ledger):
    found = refused(market.escrow.settleFund, 0, 10 * PAY + 1, sender=as_ledger)
    assert found == ("SlaFundShort", 10 * PAY, 10 * PAY + 1)
    market.payment_token.approve(market.escrow, 5, {"from": as_ledger})
    found = refused(market.escrow.settleFund, 5, 10 * PAY + 6, sender=as_ledger)
    assert found == ("SlaFundShort", 10 * PAY + 5, 10 * PAY + 6)
    assert market.escrow.settleFund.call(5, 10 * PAY + 5, {"from": as_ledger}) is not None
    market.payment_token.approve(market.escrow, 0, {"from": as_ledger})


def test_refuses_an_inflow_without_tokens(market, as_ledger):
    found = refused(market.escrow.settleFund, 3, 0, sender=as_ledger)
    assert found == ("ERC20InsufficientAllowance", market.escrow.address.lower(), 0, 3)


def moves(market, ledger, inflow, outflow):
    """Settle and check that exactly the difference moved; returns the transaction."""
    market.payment_token.approve(market.escrow, inflow, {"from": ledger})
    at_ledger, held = market.payment_token.balanceOf(ledger), market.payment_token.balanceOf(market.escrow)
    fund, total = market.escrow.slaFund(), market.escrow.totalBalances()
    tx = market.escrow.settleFund(inflow, outflow, {"from": ledger})
    assert market.escrow.slaFund() == fund + inflow - outflow
    assert market.payment_token.balanceOf(ledger) == at_ledger - inflow + outflow
    assert market.payment_token.balanceOf(market.escrow) == held + inflow - outflow
    assert market.escrow.totalBalances() == total, "customers' money is no part of it"
    assert market.payment_token.allowance(ledger, market.escrow) == 0
    return tx


def test_takes_the_inflow_then_gives_the_outflow_with_an_event_each(market, as_ledger):
    tx = moves(market, as_ledger, 3 * PAY, 8 * PAY)
    assert [dict(event) for event in tx.events["SlaFundChanged"]] == [
        {"delta": 3 * PAY, "fundAfter": 13 * PAY},
        {"delta": -8 * PAY, "fundAfter": 5 * PAY},
    ]


def test_lets_an_epochs_inflow_pay_the_same_epochs_credits(market, as_ledger):
    moves(market, as_ledger, 2 * PAY, 12 * PAY)
    assert market.escrow.slaFund() == 0


def test_moves_in_one_direction_or_none(market, as_ledger):
    assert len(moves(market, as_ledger, 1, 0).events["SlaFundChanged"]) == 1
    assert len(moves(market, as_ledger, 0, 1).events["SlaFundChanged"]) == 1
    assert "SlaFundChanged" not in moves(market, as_ledger, 0, 0).events


def test_settles_while_the_market_is_paused(market, as_ledger):
    market.pause()
    moves(market, as_ledger, 4, 2)


def test_fund_sla_refuses_nothing_and_a_paused_market(market):
    assert refused(market.escrow.fundSla, 0, sender=market.fresh) == ("ZeroAmount",)
    market.pause()
    found = refused(market.escrow.fundSla, 1, sender=market.fresh)
    assert found == ("StillPaused", market.guardian.pausedUntil())


def test_fund_sla_takes_gifts(market):
    held, balance = market.payment_token.balanceOf(market.escrow), market.payment_token.balanceOf(market.fresh)
    tx = market.escrow.fundSla(4 * PAY, {"from": market.fresh})
    assert tx.events["SlaFundChanged"] == {"delta": 4 * PAY, "fundAfter": 14 * PAY}
    assert market.escrow.slaFund() == 14 * PAY
    assert market.payment_token.balanceOf(market.escrow) == held + 4 * PAY
    assert market.payment_token.balanceOf(market.fresh) == balance - 4 * PAY

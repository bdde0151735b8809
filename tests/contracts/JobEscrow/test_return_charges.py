"""returnCharges: a cancelled report gives back what it took."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def test_refuses_everybody_but_the_ledger(market):
    for caller in (market.admin, market.alice):
        found = refused(market.escrow.returnCharges, 0, [], sender=caller)
        assert found == ("NotLedger", caller.address.lower())


def test_refuses_to_return_nothing(market, as_ledger):
    found = refused(market.escrow.returnCharges, 0, [(market.alice.address, 0)], sender=as_ledger)
    assert found == ("ZeroAmount",)


def test_refuses_returns_without_the_tokens_for_them(market, as_ledger):
    found = refused(market.escrow.returnCharges, 0, [(market.alice.address, 3)], sender=as_ledger)
    assert found == ("ERC20InsufficientAllowance", market.escrow.address.lower(), 0, 3)


def test_makes_good_a_charge_to_the_unit_and_lets_it_be_charged_again(market, as_ledger):
    people = sorted((market.alice, market.bob), key=lambda who: int(who.address, 16))
    batch = [(who.address, 40 * PAY + i) for i, who in enumerate(people)]
    views = [tuple(market.escrow.customer(who)) for who in people]
    held, at_ledger = market.payment_token.balanceOf(market.escrow), market.payment_token.balanceOf(as_ledger)
    total = market.escrow.totalBalances()
    market.escrow.charge(0, batch, {"from": as_ledger})
    market.payment_token.approve(market.escrow, 80 * PAY + 1, {"from": as_ledger})
    tx = market.escrow.returnCharges(0, batch, {"from": as_ledger})
    assert [dict(event) for event in tx.events["ChargeReturned"]] == [
        {"customer": who, "epoch": 0, "amount": amount, "balanceAfter": view[0]}
        for (who, amount), view in zip(batch, views, strict=True)
    ]
    assert [tuple(market.escrow.customer(who)) for who in people] == views
    assert market.payment_token.balanceOf(market.escrow) == held
    assert market.payment_token.balanceOf(as_ledger) == at_ledger
    assert market.payment_token.allowance(as_ledger, market.escrow) == 0
    assert market.escrow.totalBalances() == total
    assert market.escrow.charge(0, batch, {"from": as_ledger}).return_value == 80 * PAY + 1


def test_what_a_charge_cut_from_the_thaw_stays_in_the_balance(market, as_ledger):
    market.escrow.requestWithdrawal(1000 * PAY, {"from": market.alice})
    batch = [(market.alice.address, 100 * PAY)]
    market.escrow.charge(0, batch, {"from": as_ledger})
    market.payment_token.approve(market.escrow, 100 * PAY, {"from": as_ledger})
    market.escrow.returnCharges(0, batch, {"from": as_ledger})
    view = market.escrow.customer(market.alice).dict()
    assert (view["balance"], view["thawing"]) == (1000 * PAY, 900 * PAY)


def test_returns_while_the_market_is_paused(market, as_ledger):
    batch = [(market.alice.address, PAY)]
    market.escrow.charge(0, batch, {"from": as_ledger})
    market.payment_token.approve(market.escrow, PAY, {"from": as_ledger})
    market.pause()
    market.escrow.returnCharges(0, batch, {"from": as_ledger})
    assert market.escrow.customer(market.alice)["balance"] == 1000 * PAY

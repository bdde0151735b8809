"""charge: what the ledger may take, and what it may not."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def charges(*pairs):
    return sorted(((who.address, amount) for who, amount in pairs), key=lambda pair: int(pair[0], 16))


def test_refuses_everybody_but_the_ledger(market):
    for caller in (market.admin, market.alice):
        found = refused(market.escrow.charge, 0, [], sender=caller)
        assert found == ("NotLedger", caller.address.lower())


def test_refuses_a_charge_above_the_cap_of_that_epoch(market, as_ledger):
    found = refused(market.escrow.charge, 0, charges((market.alice, 100 * PAY + 1)), sender=as_ledger)
    assert found == ("ChargeAboveCap", market.alice.address.lower(), 100 * PAY + 1, 100 * PAY)
    found = refused(market.escrow.charge, 0, charges((market.fresh, 1)), sender=as_ledger)
    assert found == ("ChargeAboveCap", market.fresh.address.lower(), 1, 0)


def test_refuses_a_charge_above_the_balance(market, as_ledger):
    market.escrow.setCap(5000 * PAY, {"from": market.alice})
    found = refused(market.escrow.charge, 0, charges((market.alice, 1000 * PAY + 1)), sender=as_ledger)
    assert found == ("ChargeAboveBalance", market.alice.address.lower(), 1000 * PAY + 1, 1000 * PAY)


def test_refuses_a_customer_twice_or_out_of_order(market, as_ledger):
    (first, _), (second, _) = charges((market.alice, 1), (market.bob, 1))
    found = refused(market.escrow.charge, 0, [(first, 60 * PAY), (first, 60 * PAY)], sender=as_ledger)
    assert found == ("ChargesNotAscending", first.lower(), first.lower())
    found = refused(market.escrow.charge, 0, [(second, 1), (first, 1)], sender=as_ledger)
    assert found == ("ChargesNotAscending", second.lower(), first.lower())


def test_uses_the_cap_that_held_in_the_epoch_charged(market, as_ledger):
    market.escrow.setCap(1, {"from": market.alice})
    market.end_of(0)
    found = refused(market.escrow.charge, 1, charges((market.alice, 2)), sender=as_ledger)
    assert found == ("ChargeAboveCap", market.alice.address.lower(), 2, 1)
    assert market.escrow.charge.call(0, charges((market.alice, 100 * PAY)), {"from": as_ledger}) == 100 * PAY


def test_takes_exactly_what_is_charged_even_from_what_thaws(market, as_ledger):
    market.escrow.requestWithdrawal(980 * PAY, {"from": market.alice})
    held, at_ledger = market.payment_token.balanceOf(market.escrow), market.payment_token.balanceOf(as_ledger)
    total = market.escrow.totalBalances()
    tx = market.escrow.charge(0, charges((market.alice, 100 * PAY), (market.bob, 7)), {"from": as_ledger})
    assert tx.return_value == 100 * PAY + 7
    by_customer = {event["customer"]: event for event in tx.events["Charged"]}
    assert dict(by_customer[market.alice]) == {
        "customer": market.alice,
        "epoch": 0,
        "amount": 100 * PAY,
        "balanceAfter": 900 * PAY,
    }
    assert by_customer[market.bob]["balanceAfter"] == 500 * PAY - 7
    view = market.escrow.customer(market.alice).dict()
    assert (view["balance"], view["thawing"]) == (900 * PAY, 900 * PAY), "nobody has more thawing than balance"
    assert market.payment_token.balanceOf(market.escrow) == held - 100 * PAY - 7
    assert market.payment_token.balanceOf(as_ledger) == at_ledger + 100 * PAY + 7
    assert market.escrow.totalBalances() == total - 100 * PAY - 7
    market.wait(131)
    assert market.escrow.withdraw.call({"from": market.alice}) == 900 * PAY

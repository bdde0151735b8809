"""fundIncentives: anybody may give to the incentive fund."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def test_refuses_nothing_and_what_no_slot_holds(market):
    assert refused(market.ledger.fundIncentives, 0, sender=market.fresh) == ("ZeroAmount",)
    found = refused(market.ledger.fundIncentives, 2**96, sender=market.fresh)
    assert found == ("SafeCastOverflowedUintDowncast", 96, 2**96)
    found = refused(market.ledger.fundIncentives, 2**96 - 1, sender=market.fresh)
    assert found == ("Panic", 0x11)


def test_refuses_without_allowance_or_tokens(market):
    market.payment_token.approve(market.ledger, PAY - 1, {"from": market.fresh})
    found = refused(market.ledger.fundIncentives, PAY, sender=market.fresh)
    assert found == ("ERC20InsufficientAllowance", market.ledger.address.lower(), PAY - 1, PAY)


def test_refuses_while_the_market_is_paused(market):
    market.pause()
    found = refused(market.ledger.fundIncentives, PAY, sender=market.fresh)
    assert found == ("StillPaused", market.guardian.pausedUntil())


def test_takes_gifts(market):
    held, own = market.payment_token.balanceOf(market.ledger), market.payment_token.balanceOf(market.fresh)
    tx = market.ledger.fundIncentives(3 * PAY, {"from": market.fresh})
    assert tx.events["IncentivesFunded"] == {"from": market.fresh, "amount": 3 * PAY, "fundAfter": 53 * PAY}
    assert market.ledger.incentiveFund() == 53 * PAY == market.ledger.books()["incentiveFund"]
    assert market.payment_token.balanceOf(market.ledger) == held + 3 * PAY
    assert market.payment_token.balanceOf(market.fresh) == own - 3 * PAY

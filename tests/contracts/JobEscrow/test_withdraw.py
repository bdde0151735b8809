"""requestWithdrawal, cancelWithdrawal, withdraw: money goes back after its thaw."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def test_refuses_to_thaw_nothing_or_more_than_the_balance(market):
    assert refused(market.escrow.requestWithdrawal, 0, sender=market.alice) == ("ZeroAmount",)
    found = refused(market.escrow.requestWithdrawal, 1000 * PAY + 1, sender=market.alice)
    assert found == ("WithdrawalAboveBalance", 1000 * PAY + 1, 1000 * PAY)
    market.escrow.requestWithdrawal(600 * PAY, {"from": market.alice})
    found = refused(market.escrow.requestWithdrawal, 400 * PAY + 1, sender=market.alice)
    assert found == ("WithdrawalAboveBalance", 1000 * PAY + 1, 1000 * PAY)
    found = refused(market.escrow.requestWithdrawal, 2**128 - 1, sender=market.alice)
    assert found == ("WithdrawalAboveBalance", 2**128 - 1 + 600 * PAY, 1000 * PAY), "nothing wraps"


def test_refuses_to_pay_or_cancel_what_does_not_thaw(market):
    assert refused(market.escrow.withdraw, sender=market.alice) == ("NothingThawing", market.alice.address.lower())
    found = refused(market.escrow.cancelWithdrawal, sender=market.alice)
    assert found == ("NothingThawing", market.alice.address.lower())


def test_refuses_a_second_early_and_pays_on_time(market):
    tx = market.escrow.requestWithdrawal(400 * PAY, {"from": market.alice})
    thawed_at = tx.timestamp + market.escrow.thawSeconds()
    market.wait_until(thawed_at - 1)
    assert refused(market.escrow.withdraw, sender=market.alice) == ("StillThawing", thawed_at, thawed_at - 1)
    market.wait_until(thawed_at)
    assert market.escrow.withdraw.call({"from": market.alice}) == 400 * PAY


def test_keeps_the_balance_while_it_thaws(market):
    tx = market.escrow.requestWithdrawal(400 * PAY, {"from": market.alice})
    assert tx.events["WithdrawalRequested"] == {
        "customer": market.alice,
        "amount": 400 * PAY,
        "thawingAfter": 400 * PAY,
        "thawedAt": tx.timestamp + 130,
    }
    view = market.escrow.customer(market.alice).dict()
    assert (view["balance"], view["thawing"], view["thawedAt"]) == (1000 * PAY, 400 * PAY, tx.timestamp + 130)


def test_adding_restarts_the_thaw_of_all_of_it(market):
    market.escrow.requestWithdrawal(400 * PAY, {"from": market.alice})
    market.wait(100)
    tx = market.escrow.requestWithdrawal(1, {"from": market.alice})
    view = market.escrow.customer(market.alice).dict()
    assert (view["thawing"], view["thawedAt"]) == (400 * PAY + 1, tx.timestamp + 130)


def test_cancelling_returns_everything_to_use(market):
    market.escrow.requestWithdrawal(400 * PAY, {"from": market.alice})
    tx = market.escrow.cancelWithdrawal({"from": market.alice})
    assert tx.events["WithdrawalCancelled"] == {"customer": market.alice, "amount": 400 * PAY}
    view = market.escrow.customer(market.alice).dict()
    assert (view["balance"], view["thawing"], view["thawedAt"]) == (1000 * PAY, 0, 0)
    market.wait(131)
    assert refused(market.escrow.withdraw, sender=market.alice)[0] == "NothingThawing"


def test_pays_once_and_exactly(market):
    market.escrow.requestWithdrawal(400 * PAY, {"from": market.alice})
    market.wait(130)
    balance, held = market.payment_token.balanceOf(market.alice), market.payment_token.balanceOf(market.escrow)
    total = market.escrow.totalBalances()
    tx = market.escrow.withdraw({"from": market.alice})
    assert tx.return_value == 400 * PAY
    assert tx.events["Withdrawn"] == {"customer": market.alice, "amount": 400 * PAY, "balanceAfter": 600 * PAY}
    assert market.payment_token.balanceOf(market.alice) == balance + 400 * PAY
    assert market.payment_token.balanceOf(market.escrow) == held - 400 * PAY
    assert market.escrow.totalBalances() == total - 400 * PAY
    assert refused(market.escrow.withdraw, sender=market.alice) == ("NothingThawing", market.alice.address.lower())


def test_a_second_withdrawal_after_the_first_is_another_one(market):
    market.escrow.requestWithdrawal(400 * PAY, {"from": market.alice})
    market.wait(130)
    market.escrow.withdraw({"from": market.alice})
    tx = market.escrow.requestWithdrawal(1, {"from": market.alice})
    assert refused(market.escrow.withdraw, sender=market.alice)[:2] == ("StillThawing", tx.timestamp + 130)
    market.wait(130)
    assert market.escrow.withdraw({"from": market.alice}).return_value == 1, "dust, too"


def test_every_step_out_works_while_the_market_is_paused(market):
    """A thaw outlasts a devnet's longest pause, so what is asked back in it was thawing before."""
    market.escrow.requestWithdrawal(1000 * PAY, {"from": market.alice})
    market.wait(130)
    market.escrow.requestWithdrawal(50 * PAY, {"from": market.bob})
    market.pause()
    market.escrow.cancelWithdrawal({"from": market.bob})
    market.escrow.requestWithdrawal(20 * PAY, {"from": market.bob})
    assert market.guardian.paused()
    assert market.escrow.withdraw({"from": market.alice}).return_value == 1000 * PAY


def test_money_asked_back_in_the_first_second_of_an_epoch_is_still_there_when_it_is_charged(market, as_ledger):
    """The thaw outlasts the epoch, the report delay and a fifth of both."""
    market.end_of(0)
    tx = market.escrow.requestWithdrawal(1000 * PAY, {"from": market.alice})
    assert tx.timestamp <= market.clock.epochStart(1) + 2
    market.end_of(1)
    assert refused(market.escrow.withdraw, sender=market.alice)[0] == "StillThawing"
    market.escrow.charge(1, [(market.alice.address, 100 * PAY)], {"from": as_ledger})
    market.wait_until(tx.timestamp + 130)
    assert market.escrow.withdraw({"from": market.alice}).return_value == 900 * PAY

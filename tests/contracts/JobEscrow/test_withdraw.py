"""requestWithdrawal, cancelWithdrawal, withdraw: money goes back after its thaw."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import deployment_refused, refused


def test_refuses_to_thaw_nothing_or_more_than_the_balance(market):
    assert refused(market.escrow.requestWithdrawal, 0, sender=market.alice) == ("ZeroAmount",)
    found = refused(market.escrow.requestWithdrawal, 1000 * PAY + 1, sender=market.alice)
    assert found == ("WithdrawalAboveBalance", 1000 * PAY + 1, 1000 * PAY)
    market.escrow.requestWithdrawal(600 * PAY, {"from": market.alice})
    found = refused(market.escrow.requestWithdrawal, 400 * PAY + 1, sender=market.alice)
    assert found == ("WithdrawalAboveBalance", 1000 * PAY + 1, 1000 * PAY)


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


def test_refuses_to_be_deployed_with_a_thaw_shorter_than_an_epoch_takes_to_be_charged(market, built, deploy_script):
    from brownie import web3

    at = deploy_script.created_address(market.admin.address, web3.eth.get_transaction_count(market.admin.address) + 1)
    rules = tuple(market.ledger.rules())
    others = (at, market.verifiers, market.admin, market.authority)
    ledger = built.EpochLedger.deploy(market.payment_token, *others, (1, 60, 4, 0), rules, {"from": market.admin})
    links = (market.payment_token, market.stake_token, ledger, market.court)
    found = deployment_refused(built.JobEscrow, *links, (71,), sender=market.admin)
    assert found == ("OutOfBounds", "thawSeconds", 71, 72, 30 * 24 * 3600)
    assert built.JobEscrow.deploy(*links, (72,), {"from": market.admin}) == at


def test_refuses_to_be_deployed_at_an_address_the_ledger_does_not_know(market, built):
    links = (market.payment_token, market.stake_token, market.ledger, market.court)
    found = deployment_refused(built.JobEscrow, *links, (130,), sender=market.stranger)
    assert found[:3] == ("WrongLink", "ledger.escrow", market.escrow.address.lower())


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

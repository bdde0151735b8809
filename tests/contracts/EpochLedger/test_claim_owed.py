"""claimOwed: verifiers and the treasury take what they are owed, once."""

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def owing(market):
    """Settle a report that owes the first verifier 2 and the treasury 1."""
    return market.settle(charges={market.alice: 100 * PAY}, payees={market.verifier_accounts[0]: 2 * PAY}, treasury=PAY)


def refusal(market, payee):
    return refused(market.ledger.claimOwed, sender=payee)


def test_refuses_whoever_is_owed_nothing(market):
    owing(market)
    for person in (market.stranger, market.small, market.verifier_accounts[1]):
        assert refusal(market, person) == ("NothingToClaim", person.address.lower())


def test_pays_what_is_owed_once(market):
    owing(market)
    for payee, amount in ((market.verifier_accounts[0], 2 * PAY), (market.admin, PAY)):
        balance, held = market.payment_token.balanceOf(payee), market.payment_token.balanceOf(market.ledger)
        owed = market.ledger.books()["owed"]
        tx = market.ledger.claimOwed({"from": payee})
        assert tx.return_value == amount and tx.events["OwedClaimed"] == {"payee": payee, "amount": amount}
        assert market.payment_token.balanceOf(payee) == balance + amount
        assert market.payment_token.balanceOf(market.ledger) == held - amount
        assert market.ledger.owed(payee) == 0 and market.ledger.books()["owed"] == owed - amount
        assert refusal(market, payee) == ("NothingToClaim", payee.address.lower())
    assert market.ledger.books()["owed"] == 0


def test_adds_up_over_epochs_and_pays_while_the_market_is_paused(market):
    owing(market)
    owing(market)
    market.pause()
    assert market.ledger.claimOwed({"from": market.verifier_accounts[0]}).return_value == 4 * PAY

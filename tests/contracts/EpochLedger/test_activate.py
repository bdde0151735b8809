"""activate: a report takes effect after its delay."""

from dataclasses import replace

from contracts.types import Credit, Payee
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf


def submitted(market):
    report = market.next_report(
        [make_leaf(market.small, 80 * PAY)],
        charges={market.alice: 100 * PAY},
        credits={(market.alice, market.small): 14 * PAY, (market.bob, market.small): PAY},
        payees={market.verifier_accounts[0]: PAY, market.verifier_accounts[1]: PAY},
        treasury=2 * PAY,
        from_fund=3 * PAY,
    )
    market.submit(report)
    return report


def refusal(market, report):
    return refused(market.ledger.activate, *market.movements(report), sender=market.stranger)


def test_refuses_what_was_never_submitted_or_is_out_of_order(market):
    empty = market.next_report()
    assert refusal(market, empty) == ("UnknownReport", 0)
    assert refusal(market, replace(empty, epoch=1)) == ("WrongEpoch", 1, 0)


def test_refuses_a_second_early(market):
    report = submitted(market)
    at = market.ledger.record(0)["activatesAt"]
    market.wait_until(at - 1)
    assert refusal(market, report) == ("NotYetActive", 0, at, at - 1)


def test_refuses_other_credits_or_payees_than_the_reports(market):
    report = submitted(market)
    market.wait(5)
    more = replace(report, credits=(*report.credits, Credit(market.alice.address, market.small.address, 1)))
    assert refusal(market, more)[:2] == ("WrongMovements", 0)
    other = replace(report, payees=(Payee(market.stranger.address, 2 * PAY),))
    assert refusal(market, other)[:2] == ("WrongMovements", 0)
    assert refusal(market, replace(report, credits=()))[:2] == ("WrongMovements", 0)


def test_refuses_a_second_time(market):
    report = submitted(market)
    market.activate(report)
    assert refusal(market, report) == ("WrongEpoch", 0, 1)


def test_pushes_credits_and_books_what_is_owed(market):
    report = submitted(market)
    alice, bob = (market.escrow.customer(c)["balance"] for c in (market.alice, market.bob))
    owed = market.ledger.owed(market.admin)
    tx = market.activate(report)
    assert tx.events["ReportActivated"]["epoch"] == 0 and len(tx.events["Credited"]) == 2
    assert market.escrow.customer(market.alice)["balance"] == alice + 14 * PAY
    assert market.escrow.customer(market.bob)["balance"] == bob + PAY
    assert market.ledger.owed(market.admin) == owed + 2 * PAY
    assert [market.ledger.owed(v) for v in market.verifier_accounts[:3]] == [PAY, PAY, 0]
    assert market.ledger.record(0)["activated"] and market.ledger.nextActivation() == 1
    assert market.payment_token.allowance(market.ledger, market.escrow) == 0


def test_lets_reports_wait_together_and_activate_in_order(market):
    first = submitted(market)
    second = market.next_report(first.leaves, charges={market.bob: PAY})
    market.submit(second)
    market.wait(5)
    assert refusal(market, second) == ("WrongEpoch", 1, 0)
    market.activate(first)
    market.activate(second)
    assert market.ledger.books()["pending"] == 0

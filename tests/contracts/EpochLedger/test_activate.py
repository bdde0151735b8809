"""activate: a complete report takes effect after its delay, in order."""

from dataclasses import replace

import pytest

from contracts.types import Payee
from tests.contracts.support import reports
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, with_totals


def parts(market):
    """Return what a report with everything in it is made of."""
    return {
        "charges": {market.alice: 100 * PAY},
        "credits": {(market.alice, market.small): 14 * PAY, (market.bob, market.small): PAY},
        "payees": {market.verifier_accounts[0]: PAY, market.verifier_accounts[1]: PAY},
        "pools": {market.small: 2 * PAY},
        "treasury": 2 * PAY,
        "from_fund": 3 * PAY,
    }


def completed(market):
    return market.submitted([make_leaf(market.small, 80 * PAY, PAY)], **parts(market))


def refusal(market, report):
    return refused(market.ledger.activate, *market.activation(report), sender=market.stranger)


def test_refuses_what_was_never_submitted_or_is_out_of_order(market):
    empty = market.next_report()
    assert refusal(market, empty) == ("UnknownReport", 0)
    assert refusal(market, replace(empty, epoch=1)) == ("WrongEpoch", 1, 0)


def test_refuses_a_report_that_is_not_complete(market):
    report = market.next_report([make_leaf(market.small, 80 * PAY, PAY)], **parts(market))
    market.submit(report)
    market.wait(60)
    assert refusal(market, report) == ("Incomplete", 0)
    market.ledger.publishLeaves(*reports.leaves_arguments(*market.ground, report), {"from": market.stranger})
    assert refusal(market, report) == ("Incomplete", 0)


def test_refuses_a_second_early_and_counts_from_completion(market):
    report = market.next_report([make_leaf(market.small, 80 * PAY, PAY)], **parts(market))
    market.submit(report)
    market.wait(3)
    market.complete(report)
    at = market.ledger.record(0)["activatesAt"]
    assert at == market.ledger.record(0)["completedAt"] + 4
    market.wait_until(at - 1)
    assert refusal(market, report) == ("NotYetActive", 0, at, at - 1)
    market.activate(report)


def test_refuses_while_the_market_is_paused(market):
    report = completed(market)
    market.wait(5)
    market.pause()
    assert refusal(market, report) == ("StillPaused", market.guardian.pausedUntil())
    market.wait_until(market.guardian.pausedUntil())
    market.activate(report)


def test_refuses_other_movements_or_payees_than_the_reports(market):
    report = completed(market)
    market.wait(5)
    fewer = replace(report, credits=report.credits[:1])
    found = refusal(market, fewer)
    assert found == ("WrongMovements", 0, reports.movements_hash(fewer), reports.movements_hash(report))
    other = [(market.stranger.address, 2 * PAY)]
    movements = reports.movements(report)
    for payees in (other, []):
        found = refused(market.ledger.activate, 0, movements, payees, sender=market.stranger)
        assert found[0] == "WrongChunkHash" and found[2] == movements[3]


@pytest.mark.parametrize("change", [1, -1])
def test_refuses_payees_that_do_not_sum_to_what_was_signed(market, change):
    report = market.next_report(charges={market.alice: 100 * PAY}, payees={market.verifier_accounts[0]: PAY})
    totals = report.totals
    wrong = with_totals(report, verifier_fees=PAY + change, sla_fund_in=totals.sla_fund_in - change)
    market.submit(wrong)
    market.complete(wrong)
    market.wait(5)
    assert refusal(market, wrong) == ("WrongSum", "payees", PAY + change, PAY)


def test_refuses_a_second_time(market):
    report = completed(market)
    market.activate(report)
    assert refusal(market, report) == ("AlreadyActivated", 0)


def test_books_what_is_owed_and_moves_the_sla_fund_by_its_difference(market):
    report = completed(market)
    owed = market.ledger.owed(market.admin)
    tokens = [market.payment_token.balanceOf(who) for who in (market.ledger, market.escrow)]
    tx = market.activate(report)
    told = tx.events["ReportActivated"]
    assert told["epoch"] == 0
    assert [(p[0].lower(), p[1]) for p in told["payees"]] == [(p.verifier, p.amount) for p in report.payees]
    moved = report.totals.sla_fund_in - report.totals.credits_from_fund
    assert [market.payment_token.balanceOf(who) for who in (market.ledger, market.escrow)] == [
        tokens[0] - moved,
        tokens[1] + moved,
    ]
    assert market.ledger.owed(market.admin) == owed + 2 * PAY
    assert [market.ledger.owed(v) for v in market.verifier_accounts[:3]] == [PAY, PAY, 0]
    assert market.ledger.record(0)["activated"] and market.ledger.nextActivation() == 1
    assert market.payment_token.allowance(market.ledger, market.escrow) == 0
    assert "Credited" not in tx.events, "credits are pushed by themselves"


def test_an_empty_report_moves_nothing(market):
    report = market.submitted()
    tx = market.activate(report)
    assert "SlaFundChanged" not in tx.events and "Transfer" not in tx.events


def test_one_who_is_payee_and_treasury_is_owed_both(market):
    report = market.submitted(charges={market.alice: 100 * PAY}, payees={market.admin: PAY}, treasury=2 * PAY)
    market.activate(report)
    assert market.ledger.owed(market.admin) == 3 * PAY


def test_lets_reports_wait_together_and_activate_in_order(market):
    first = completed(market)
    second = market.submitted(first.leaves, charges={market.bob: PAY})
    market.wait(5)
    assert refusal(market, second) == ("WrongEpoch", 1, 0)
    market.activate(first)
    market.activate(second)
    assert market.ledger.books()["pending"] == 0


def test_a_payee_named_twice_is_owed_both_parts(market):
    """The contract does not ask that payees ascend: what each is owed adds up."""
    verifier = market.verifier_accounts[0].address.lower()
    report = market.next_report(charges={market.alice: 100 * PAY}, payees={verifier: 2 * PAY})
    twice = replace(report, payees=(Payee(verifier, PAY), Payee(verifier, PAY)))
    market.submit(twice)
    market.complete(twice)
    market.activate(twice)
    assert market.ledger.owed(verifier) == 2 * PAY

"""cancel: a report that is not activated is undone, with every report behind it."""

import pytest
from eth_utils import keccak

from tests.contracts.EpochLedger.crowd import gather
from tests.contracts.support import reports
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf

OVERDUE = 14 * 86_400


def refusal(market, epoch=0, sender=None):
    return refused(market.ledger.cancel, epoch, sender=sender or market.stranger)


def digest(market, report):
    return "0x" + reports.digest(*market.ground, report).hex()


def give_back(market, report):
    """Return all charges of a cancelled report."""
    for number in range(len(reports.chunks(report.charges))):
        market.ledger.refund(*reports.refund_arguments(*market.ground, report, number), {"from": market.stranger})


def busy(market, **parts):
    """Submit a report with something of everything, not yet complete; returns it."""
    given = {
        "charges": {market.alice: 60 * PAY, market.bob: 40 * PAY},
        "credits": {(market.alice, market.small): PAY},
        "pools": {market.small: PAY},
        "harms": {market.small: keccak(text="pages")},
        "from_fund": PAY,
        "treasury": PAY,
    } | parts
    report = market.next_report([make_leaf(market.small, 50 * PAY, 2 * PAY)], **given)
    market.submit(report)
    return report


# ------------------------------------------------------------------------------------------------------------- refusals


def test_refuses_what_is_no_report(market, as_challenges):
    assert refusal(market) == ("UnknownReport", 0)
    assert refusal(market, 0, as_challenges) == ("UnknownReport", 0)
    busy(market)
    assert refusal(market, 1, as_challenges) == ("UnknownReport", 1)


def test_refuses_what_is_activated_even_to_the_challenge_court(market, as_challenges):
    market.settle()
    for sender in (market.stranger, as_challenges):
        assert refusal(market, 0, sender) == ("AlreadyActivated", 0)


def test_refuses_everybody_a_complete_report_until_it_is_long_overdue(market):
    report = market.submitted(charges={market.alice: PAY})
    last = market.ledger.record(0)["activatesAt"] + OVERDUE
    for person in (market.stranger, market.admin, market.verifier_accounts[0]):
        assert refusal(market, 0, person)[:3] == ("NotCancellable", 0, last)
    market.wait_until(last)
    assert refusal(market) == ("NotCancellable", 0, last, last)
    market.wait(1)
    market.ledger.cancel(0, {"from": market.stranger})
    give_back(market, report)


def test_refuses_everybody_an_incomplete_report_until_the_activation_delay_has_passed(market):
    busy(market)
    last = market.ledger.record(0)["submittedAt"] + 4
    market.wait_until(last)
    assert refusal(market) == ("NotCancellable", 0, last, last)
    market.wait(1)
    market.ledger.cancel(0, {"from": market.stranger})


def test_a_report_that_cannot_be_activated_holds_nobody_up_for_ever(market):
    """Its payees sum to more than was signed, so that no activation succeeds; after 14 days anybody clears the way."""
    report = market.next_report(charges={market.alice: 100 * PAY}, payees={market.verifier_accounts[0]: 2 * PAY})
    wrong = reports.with_totals(report, verifier_fees=PAY, sla_fund_in=report.totals.sla_fund_in + PAY)
    market.submit(wrong)
    market.complete(wrong)
    market.wait(4 + OVERDUE + 1)
    found = refused(market.ledger.activate, *market.activation(wrong), sender=market.stranger)
    assert found == ("WrongSum", "payees", PAY, 2 * PAY)
    market.ledger.cancel(0, {"from": market.stranger})
    give_back(market, wrong)
    market.last_report = None
    market.settle(charges={market.alice: 100 * PAY}, payees={market.verifier_accounts[0]: 2 * PAY})


# --------------------------------------------------------------------------------------------------------------- effect


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("charges", [False, True])
def test_undoes_a_report_at_every_step_to_the_unit(market, as_challenges, leaves, charges):
    before = market.ledger.books().dict()
    tokens = [market.payment_token.balanceOf(who) for who in (market.ledger, market.escrow)]
    customers = [market.escrow.customer(who) for who in (market.alice, market.bob)]
    report = busy(market)
    if leaves:
        market.ledger.publishLeaves(*reports.leaves_arguments(*market.ground, report), {"from": market.stranger})
    if charges:
        market.ledger.takeCharges(*reports.charges_arguments(report), {"from": market.stranger})
    taken = 100 * PAY if charges else 0
    tx = market.ledger.cancel(0, {"from": as_challenges})
    assert tx.events["ReportCancelled"] == {
        "epoch": 0,
        "digest": digest(market, report),
        "by": as_challenges,
        "toRefund": taken,
    }
    assert "Transfer" not in tx.events
    assert market.ledger.books().dict() == before | {"refunds": taken}
    assert (market.ledger.nextEpoch(), market.ledger.refundsDue()) == (0, taken)
    assert market.ledger.record(0) == market.ledger.record(7) and market.ledger.progress(0) == (0, 0, 0, 0)
    assert market.ledger.harmedRoot(0, market.small) == "0x" + bytes(32).hex()
    if charges:
        give_back(market, report)
    assert market.ledger.books().dict() == before
    assert [market.payment_token.balanceOf(who) for who in (market.ledger, market.escrow)] == tokens
    assert [market.escrow.customer(who) for who in (market.alice, market.bob)] == customers


def test_takes_every_report_behind_it_along_the_newest_first(market, as_challenges):
    settled = market.settle([make_leaf(market.small, PAY, PAY)], charges={market.alice: 10 * PAY})
    before, fund = market.ledger.books().dict(), market.escrow.slaFund()
    first = busy(market)
    market.complete(first)
    second = market.submitted(first.leaves, charges={market.bob: 5 * PAY}, pools={market.large: PAY})
    third = busy(market, credits={}, from_fund=0, charges={market.alice: 90 * PAY})
    tx = market.ledger.cancel(1, {"from": as_challenges})
    assert [(e["epoch"], e["digest"], e["toRefund"]) for e in tx.events["ReportCancelled"]] == [
        (3, digest(market, third), 0),
        (2, digest(market, second), 5 * PAY),
        (1, digest(market, first), 100 * PAY),
    ]
    assert (market.ledger.nextEpoch(), market.ledger.nextActivation()) == (1, 1)
    assert market.ledger.books().dict() == before | {"refunds": 105 * PAY}
    give_back(market, second)
    give_back(market, first)
    assert market.ledger.books().dict() == before and market.escrow.slaFund() == fund
    market.last_report = settled
    market.settle(first.leaves, charges={market.alice: 60 * PAY})


def test_leaves_the_reports_before_it_alone(market, as_challenges):
    first = market.submitted([make_leaf(market.small, PAY)], charges={market.alice: 2 * PAY})
    market.submitted(first.leaves)
    market.ledger.cancel(1, {"from": as_challenges})
    market.activate(first)
    assert market.ledger.nextEpoch() == 1 and market.ledger.record(0)["activated"]


def test_counts_the_sla_fund_without_what_was_cancelled(market, as_challenges):
    """The fund holds 10; a cancelled report would have added 5, another taken 10."""
    market.submitted(charges={market.alice: 5 * PAY})
    inflow = market.last_report
    market.ledger.cancel(0, {"from": as_challenges})
    give_back(market, inflow)
    market.last_report = None
    pair = (market.bob, market.small)
    taking = market.next_report(credits={pair: 10 * PAY}, from_fund=10 * PAY)
    more = market.next_report(credits={pair: 10 * PAY + 1}, from_fund=10 * PAY + 1)
    found = refused(
        market.ledger.submit, reports.signed(*market.ground, more), market.sign(more), sender=market.stranger
    )
    assert found == ("TotalAboveLimit", "creditsFromFund", 10 * PAY + 1, 10 * PAY)
    market.submit(taking)
    market.ledger.cancel(0, {"from": as_challenges})
    market.last_report = None
    market.settle(credits={pair: 9 * PAY}, from_fund=9 * PAY)


def test_a_report_that_the_court_struck_is_never_taken_again(market, as_challenges):
    report = market.submitted(charges={market.alice: PAY})
    market.ledger.cancel(0, {"from": as_challenges})
    give_back(market, report)
    arguments = reports.signed(*market.ground, report), market.sign(report)
    found = refused(market.ledger.submit, *arguments, sender=market.stranger)
    assert found == ("ReportStruck", reports.digest(*market.ground, report))
    found = refused(market.ledger.submit, arguments[0], market.sign(report, [1, 2]), sender=market.stranger)
    assert found == ("ReportStruck", reports.digest(*market.ground, report))


def test_a_report_that_nobody_completed_may_be_handed_in_again(market):
    report = busy(market)
    market.ledger.takeCharges(*reports.charges_arguments(report), {"from": market.stranger})
    for _ in range(2):
        market.wait(5)
        market.ledger.cancel(0, {"from": market.stranger})
        give_back(market, report)
        market.submit(report)
        assert market.ledger.progress(0) == (0, 0, 0, 0)
        market.ledger.takeCharges(*reports.charges_arguments(report), {"from": market.stranger})
    market.ledger.publishLeaves(*reports.leaves_arguments(*market.ground, report), {"from": market.stranger})
    market.activate(report)


def test_is_never_paused(market, as_challenges):
    market.submitted()
    market.pause()
    market.ledger.cancel(0, {"from": as_challenges})


def test_returns_what_was_taken_of_a_report_that_stopped_between_two_chunks(market, built):
    people = gather(market, built, 600)
    report = market.next_report([make_leaf(f"0x{i + 1:040x}") for i in range(600)], charges=dict.fromkeys(people, 2))
    market.submit(report)
    market.ledger.publishLeaves(*reports.leaves_arguments(*market.ground, report), {"from": market.stranger})
    market.ledger.takeCharges(*reports.charges_arguments(report), {"from": market.stranger})
    market.wait(5)
    tx = market.ledger.cancel(0, {"from": market.stranger})
    assert tx.events["ReportCancelled"]["toRefund"] == 1024 == market.ledger.refundsDue()
    arguments = reports.refund_arguments(*market.ground, report)
    market.ledger.refund(*arguments, {"from": market.stranger})
    assert market.ledger.refundsDue() == 0
    # nothing of the first attempt is left: every chunk comes in anew
    market.submit(report)
    market.complete(report)
    market.activate(report)

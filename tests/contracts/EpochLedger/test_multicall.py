"""multicall: several steps of a report in one transaction, all or none."""

from tests.contracts.support import reports
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf


def steps(market, report):
    """Return the calls that hand a report in and complete it."""
    ledger = market.ledger
    return [
        ledger.submit.encode_input(reports.signed(*market.ground, report), market.sign(report)),
        ledger.publishLeaves.encode_input(*reports.leaves_arguments(*market.ground, report)),
        ledger.takeCharges.encode_input(*reports.charges_arguments(report)),
    ]


def full(market):
    return market.next_report(
        [make_leaf(market.small, 80 * PAY, PAY)],
        charges={market.alice: 100 * PAY},
        credits={(market.alice, market.small): 14 * PAY},
        pools={market.small: PAY},
        payees={market.verifier_accounts[0]: PAY},
    )


def test_refuses_all_when_one_call_is_refused_with_that_calls_error(market):
    report = full(market)
    calls = steps(market, report)
    market.end_of(0)
    found = refused(market.ledger.multicall, [calls[1], calls[0]], sender=market.stranger)
    assert found == ("UnknownReport", 0)
    found = refused(market.ledger.multicall, [*calls, calls[2]], sender=market.stranger)
    assert found == ("AlreadyComplete", 0)
    assert market.ledger.nextEpoch() == 0


def test_acts_for_the_sender_only(market):
    market.settle(charges={market.alice: 100 * PAY}, treasury=2 * PAY)
    call = market.ledger.claimOwed.encode_input()
    found = refused(market.ledger.multicall, [call], sender=market.stranger)
    assert found == ("NothingToClaim", market.stranger.address.lower())
    held = market.payment_token.balanceOf(market.admin)
    tx = market.ledger.multicall([call], {"from": market.admin})
    assert int(tx.return_value[0].hex(), 16) == 2 * PAY
    assert market.payment_token.balanceOf(market.admin) == held + 2 * PAY


def test_takes_a_report_in_and_brings_it_into_force_in_two_transactions(market):
    report = full(market)
    market.end_of(0)
    tx = market.ledger.multicall(steps(market, report), {"from": market.stranger})
    assert tx.events["ReportCompleted"] == {"epoch": 0, "activatesAt": tx.timestamp + 4}
    assert len(tx.return_value) == 3
    market.wait(4)
    ledger = market.ledger
    calls = [
        ledger.activate.encode_input(*market.activation(report)),
        ledger.pushCredits.encode_input(*reports.credits_arguments(report)),
        ledger.pushPools.encode_input(*reports.pools_arguments(report)),
    ]
    tx = ledger.multicall(calls, {"from": market.stranger})
    assert [name for name in list(tx.events.keys()) if name in ("ReportActivated", "CreditsPushed", "PoolsPushed")] == [
        "ReportActivated",
        "CreditsPushed",
        "PoolsPushed",
    ]
    books = ledger.books().dict()
    assert (books["pending"], books["credits"], books["pools"]) == (0, 0, 0)
    assert (books["fees"], books["incentives"], books["owed"]) == (80 * PAY, PAY, PAY)

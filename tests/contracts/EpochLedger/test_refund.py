"""refund: what a cancelled report took goes back to its customers, once, before anything else is reported."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from tests.contracts.EpochLedger.crowd import gather
from tests.contracts.support import reports
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


@pytest.fixture
def cancelled(market, as_challenges):
    """Return a report that charged alice 60 and bob 40 and was cancelled."""
    report = market.submitted(charges={market.alice: 60 * PAY, market.bob: 40 * PAY})
    market.ledger.cancel(0, {"from": as_challenges})
    yield report
    if market.ledger.refundsDue():
        market.ledger.refund(*reports.refund_arguments(*market.ground, report), {"from": market.stranger})


def refusal(market, report, number=0):
    arguments = reports.refund_arguments(*market.ground, report, number)
    return refused(market.ledger.refund, *arguments, sender=market.stranger)


def refund(market, report, number=0):
    """Return a chunk, and check that exactly its sum went from the ledger's refunds to the escrow's balances."""
    amount = sum(charge.amount for charge in reports.chunks(report.charges)[number])
    ledger, escrow = (market.payment_token.balanceOf(who) for who in (market.ledger, market.escrow))
    books, balances = market.ledger.books().dict(), market.escrow.totalBalances()
    arguments = reports.refund_arguments(*market.ground, report, number)
    tx = market.ledger.refund(*arguments, {"from": market.stranger})
    assert tx.events["Refunded"] == {"digest": "0x" + arguments[0].hex(), "chunk": number, "amount": amount}
    assert market.payment_token.balanceOf(market.ledger) == ledger - amount
    assert market.payment_token.balanceOf(market.escrow) == escrow + amount
    assert market.escrow.totalBalances() == balances + amount
    assert market.ledger.books().dict() == books | {"refunds": books["refunds"] - amount}
    assert market.payment_token.allowance(market.ledger, market.escrow) == 0
    return tx


def test_refuses_what_was_not_cancelled(market):
    report = market.submitted(charges={market.alice: PAY})
    assert refusal(market, report) == ("NotCancelled", reports.digest(*market.ground, report))
    arguments = (keccak(text="none"), *reports.refund_arguments(*market.ground, report)[1:])
    assert refused(market.ledger.refund, *arguments, sender=market.stranger) == ("NotCancelled", arguments[0])


def test_refuses_a_cancelled_report_that_took_nothing(market, as_challenges):
    report = market.next_report(charges={market.alice: PAY})
    market.submit(report)
    market.ledger.cancel(0, {"from": as_challenges})
    assert refusal(market, report) == ("NotCancelled", reports.digest(*market.ground, report))


def test_refuses_movements_and_chunks_that_were_not_signed(market, cancelled):
    digest, movements, number, charges = reports.refund_arguments(*market.ground, cancelled)
    one, other = cancelled.charges
    moved = replace(cancelled, charges=(replace(one, amount=one.amount + 1), replace(other, amount=other.amount - 1)))
    wrong = reports.movements(moved)
    found = refused(market.ledger.refund, digest, wrong, number, charges, sender=market.stranger)
    assert found == ("WrongMovements", 0, reports.movements_hash(moved), reports.movements_hash(cancelled))
    found = refused(market.ledger.refund, digest, movements, 0, charges[:1], sender=market.stranger)
    assert found[0] == "WrongChunkHash" and found[2] == movements[0][0]
    found = refused(market.ledger.refund, digest, movements, 1, charges, sender=market.stranger)
    assert found == ("WrongChunk", 1, 0)
    found = refused(market.ledger.refund, digest, movements, 0, [], sender=market.stranger)
    assert found == ("WrongChunkLength", 0, 512)


def test_refuses_a_second_time(market, cancelled):
    refund(market, cancelled)
    assert refusal(market, cancelled) == ("AlreadyComplete", 0)


def test_nothing_is_reported_before_everything_is_returned(market, cancelled):
    market.last_report = None
    report = market.next_report()
    arguments = reports.signed(*market.ground, report), market.sign(report)
    found = refused(market.ledger.submit, *arguments, sender=market.stranger)
    assert found == ("RefundsDue", 100 * PAY)
    refund(market, cancelled)
    market.submit(report)


def test_gives_every_customer_back_what_it_paid_paused_or_not(market, cancelled):
    market.pause()
    tx = refund(market, cancelled)
    assert [market.escrow.customer(who)["balance"] for who in (market.alice, market.bob)] == [1000 * PAY, 500 * PAY]
    told = {(str(e["customer"]), e["epoch"], e["amount"]) for e in tx.events["ChargeReturned"]}
    assert told == {(market.alice.address, 0, 60 * PAY), (market.bob.address, 0, 40 * PAY)}


def test_returns_a_report_of_several_chunks_in_order(market, built, as_challenges):
    people = gather(market, built, 600)
    report = market.submitted(charges={who: 1 + i for i, who in enumerate(people)})
    market.ledger.cancel(0, {"from": as_challenges})
    assert refusal(market, report, 1) == ("WrongChunk", 1, 0)
    refund(market, report)
    assert refusal(market, report) == ("WrongChunk", 0, 1)
    refund(market, report, 1)
    assert refusal(market, report, 1) == ("AlreadyComplete", 0)
    assert {market.escrow.customer(who)["balance"] for who in people[::59]} == {PAY}

"""takeCharges: charges come out of the escrow by chunks, in order, and sum to what was signed."""

from dataclasses import replace

import pytest
from brownie import web3
from eth_abi import encode
from eth_utils import keccak

from contracts.types import Charge
from tests.contracts.EpochLedger.crowd import gather
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, VERIFIER_KEYS
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, with_totals


def refusal(market, report, number=0):
    return refused(market.ledger.takeCharges, *reports.charges_arguments(report, number), sender=market.stranger)


def take(market, report, number=0):
    """Take a chunk, and check that exactly its sum went from the escrow to what is pending in the ledger."""
    taken = sum(charge.amount for charge in reports.chunks(report.charges)[number])
    ledger, escrow = (market.payment_token.balanceOf(who) for who in (market.ledger, market.escrow))
    books = market.ledger.books().dict()
    tx = market.ledger.takeCharges(*reports.charges_arguments(report, number), {"from": market.stranger})
    assert market.payment_token.balanceOf(market.ledger) == ledger + taken
    assert market.payment_token.balanceOf(market.escrow) == escrow - taken
    assert market.ledger.books().dict() == books | {"pending": books["pending"] + taken}
    return tx


def submitted(market, charges=None, **parts):
    """Submit a report that charges alice 70 and bob 30, unless others are given; returns it."""
    report = market.next_report(charges=charges or {market.alice: 70 * PAY, market.bob: 30 * PAY}, **parts)
    market.submit(report)
    return report


def test_refuses_charges_of_no_report(market):
    assert refusal(market, market.next_report(charges={market.alice: PAY})) == ("UnknownReport", 0)


def test_refuses_charges_while_the_market_is_paused(market):
    report = submitted(market)
    market.pause()
    assert refusal(market, report) == ("StillPaused", market.guardian.pausedUntil())


def test_refuses_movements_that_were_not_signed(market):
    report = submitted(market)
    one, other = report.charges
    moved = replace(report, charges=(replace(one, amount=one.amount - 1), replace(other, amount=other.amount + 1)))
    found = refusal(market, moved)
    assert found == ("WrongMovements", 0, reports.movements_hash(moved), reports.movements_hash(report))


def test_refuses_another_chunk_than_the_next(market):
    report = submitted(market)
    epoch, movements, _, charges = reports.charges_arguments(report)
    found = refused(market.ledger.takeCharges, epoch, movements, 1, charges, sender=market.stranger)
    assert found == ("WrongChunk", 1, 0)
    found = refused(market.ledger.takeCharges, epoch, movements, 0, charges[:1], sender=market.stranger)
    assert found[0] == "WrongChunkHash" and found[2] == movements[0][0]
    for wrong in ([], charges * 257):
        found = refused(market.ledger.takeCharges, epoch, movements, 0, wrong, sender=market.stranger)
        assert found == ("WrongChunkLength", len(wrong), 512)


def test_refuses_charges_a_second_time_and_where_none_are_due(market):
    report = submitted(market)
    take(market, report)
    assert refusal(market, report) == ("AlreadyComplete", 0)
    market.submit(market.next_report())
    none = reports.charges_arguments(replace(report, epoch=1))
    nothing = reports.movements(market.last_report)
    found = refused(market.ledger.takeCharges, 1, nothing, 0, none[3], sender=market.stranger)
    assert found == ("AlreadyComplete", 1)


def test_refuses_customers_twice_or_out_of_order(market):
    report = market.next_report(charges={market.alice: PAY, market.bob: PAY})
    first, second = report.charges
    for charges in ((second, first), (first, first)):
        wrong = replace(report, charges=charges)
        market.submit(wrong)
        assert refusal(market, wrong) == ("ChargesNotAscending", charges[0].customer, charges[1].customer)
        market.rewind()
        market.open_clock()


@pytest.mark.parametrize("change", [1, -1])
def test_refuses_charges_that_do_not_sum_to_what_was_signed(market, change):
    report = market.next_report(charges={market.alice: 70 * PAY})
    charged = 70 * PAY + change
    wrong = with_totals(report, charged=charged, sla_fund_in=charged)
    market.submit(wrong)
    assert refusal(market, wrong) == ("WrongSum", "charges", charged, 70 * PAY)


def test_refuses_a_sum_that_only_agrees_modulo_the_width_of_a_slot(market):
    report = market.next_report(charges={market.alice: PAY})
    (charge,) = report.charges
    wrong = replace(report, charges=(replace(charge, amount=2**96 + PAY),))
    market.submit(wrong)
    assert refusal(market, wrong) == ("SafeCastOverflowedUintDowncast", 96, 2**96 + PAY)


@pytest.mark.parametrize("word", [0, 1], ids=["an address", "an amount"])
def test_refuses_a_word_too_large_for_its_type_even_if_signed(market, word):
    """The list is hashed as it stands in calldata; its fields are still read as what they are."""
    report = market.next_report(charges={market.alice: PAY})
    plain_list = encode([reports.CHARGES], [[reports.plain(charge) for charge in report.charges]])
    dirty = bytearray(plain_list)
    dirty[64 + 32 * word] = 1  # the highest byte of the word
    movements = ([keccak(bytes(dirty))], *reports.movements(report)[1:])
    signed = list(reports.signed(*market.ground, report))
    signed[11] = keccak(encode([reports.MOVEMENTS], [movements]))
    market.end_of(0)
    signatures = reports.signatures_of(*market.ground, tuple(signed), VERIFIER_KEYS[:2])
    market.ledger.submit(tuple(signed), signatures, {"from": market.stranger})
    charges = [reports.plain(charge) for charge in report.charges]
    data = market.ledger.takeCharges.encode_input(0, movements, 0, charges)
    assert data.endswith(plain_list[32:].hex())
    data = data[: -2 * len(plain_list[32:])] + bytes(dirty[32:]).hex()
    with pytest.raises(ValueError, match="revert"):
        web3.eth.call({"from": market.stranger.address, "to": market.ledger.address, "data": data})
    market.wait(5)
    market.ledger.cancel(0, {"from": market.stranger})


def test_refuses_a_charge_above_the_cap(market):
    report = submitted(market, {market.bob: 50 * PAY + 1})
    assert refusal(market, report) == ("ChargeAboveCap", market.bob.address.lower(), 50 * PAY + 1, 50 * PAY)


def test_refuses_a_charge_above_the_balance(market):
    market.escrow.setCap(900 * PAY, {"from": market.bob})
    report = submitted(market, {market.bob: 500 * PAY + 1})
    assert refusal(market, report) == ("ChargeAboveBalance", market.bob.address.lower(), 500 * PAY + 1, 500 * PAY)


def test_refuses_a_charge_of_nothing(market):
    report = market.next_report(charges={market.alice: PAY})
    zero = replace(report, charges=tuple(sorted((*report.charges, Charge(market.bob.address.lower(), 0)), key=str)))
    market.submit(zero)
    assert refusal(market, zero) == ("ZeroAmount",)


def test_takes_what_each_customer_owes_and_completes_the_report(market):
    report = submitted(market)
    alice, bob = (market.escrow.customer(who)["balance"] for who in (market.alice, market.bob))
    tx = take(market, report)
    assert market.escrow.customer(market.alice)["balance"] == alice - 70 * PAY
    assert market.escrow.customer(market.bob)["balance"] == bob - 30 * PAY
    assert len(tx.events["Charged"]) == 2
    assert tx.events["ReportCompleted"] == {"epoch": 0, "activatesAt": tx.timestamp + 4}
    assert market.ledger.progress(0) == (0, 1, 0, 0)


def test_a_report_with_leaves_waits_for_them(market):
    report = submitted(market, leaves=[make_leaf(market.small, PAY)])
    tx = take(market, report)
    assert "ReportCompleted" not in tx.events and market.ledger.record(0)["completedAt"] == 0
    tx = market.ledger.publishLeaves(*reports.leaves_arguments(*market.ground, report), {"from": market.stranger})
    assert tx.events["ReportCompleted"]["epoch"] == 0


def test_takes_more_charges_than_fit_in_a_chunk(market, built):
    people = gather(market, built, 600)
    report = submitted(market, {who: PAY // 2 + i for i, who in enumerate(people)})
    assert refusal(market, report, 1) == ("WrongChunk", 1, 0)
    tx = take(market, report)
    assert "ReportCompleted" not in tx.events and market.ledger.progress(0) == (0, 1, 0, 0)
    assert refusal(market, report, 0) == ("WrongChunk", 0, 1)
    tx = take(market, report, 1)
    assert tx.events["ReportCompleted"]["epoch"] == 0 and market.ledger.progress(0) == (0, 2, 0, 0)
    assert market.escrow.customer(people[599])["balance"] == PAY - PAY // 2 - 599


def test_refuses_a_customer_of_the_chunk_before_and_sums_over_all_chunks(market, built):
    people = gather(market, built, 600)
    report = market.next_report(charges={who: 1 for who in people})
    again = replace(report, charges=(*report.charges[:512], *report.charges[511:599]))
    market.submit(again)
    take(market, again)
    last = report.charges[511].customer
    assert refusal(market, again, 1) == ("ChargesNotAscending", last, last)
    market.rewind()
    market.open_clock()
    people = gather(market, built, 600)
    report = market.next_report(charges={who: 1 for who in people})
    for charged, chunk, sum_ in ((511, 0, 512), (599, 1, 600), (601, 1, 600)):
        wrong = with_totals(report, charged=charged, sla_fund_in=charged)
        market.submit(wrong)
        if chunk:
            take(market, wrong)
        assert refusal(market, wrong, chunk) == ("WrongSum", "charges", charged, sum_)
        market.wait(5)
        market.ledger.cancel(0, {"from": market.stranger})
        if chunk:
            market.ledger.refund(*reports.refund_arguments(*market.ground, wrong), {"from": market.stranger})
        market.last_report = None

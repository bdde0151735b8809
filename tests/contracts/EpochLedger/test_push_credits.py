"""pushCredits: what an activated report credits reaches customers' balances, by chunks, once."""

from dataclasses import replace

from contracts.types import Credit
from tests.contracts.EpochLedger.crowd import gather
from tests.contracts.support import reports
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import with_totals


def credited(market, credits, total=None):
    """Submit, complete and activate a report that credits so much out of the SLA fund; returns it."""
    report = market.next_report(credits=credits, from_fund=sum(credits.values()))
    if total is not None:
        report = with_totals(report, credits=total, credits_from_fund=total)
    market.submit(report)
    market.complete(report)
    market.activate(report)
    return report


def ordinary(market):
    return credited(market, {(market.alice, market.small): 3 * PAY, (market.bob, market.small): PAY})


def refusal(market, report, number=0):
    return refused(market.ledger.pushCredits, *reports.credits_arguments(report, number), sender=market.stranger)


def push(market, report, number=0):
    """Push a chunk, and check that exactly its sum went from the ledger's credits to the escrow's balances."""
    amount = sum(credit.amount for credit in reports.chunks(report.credits)[number])
    ledger, escrow = (market.payment_token.balanceOf(who) for who in (market.ledger, market.escrow))
    books, balances = market.ledger.books().dict(), market.escrow.totalBalances()
    tx = market.ledger.pushCredits(*reports.credits_arguments(report, number), {"from": market.stranger})
    assert tx.events["CreditsPushed"] == {"epoch": report.epoch, "chunk": number, "amount": amount}
    assert market.payment_token.balanceOf(market.ledger) == ledger - amount
    assert market.payment_token.balanceOf(market.escrow) == escrow + amount
    assert market.escrow.totalBalances() == balances + amount
    assert market.ledger.books().dict() == books | {"credits": books["credits"] - amount}
    assert market.payment_token.allowance(market.ledger, market.escrow) == 0
    return tx


def test_refuses_before_activation(market):
    report = market.submitted(credits={(market.alice, market.small): PAY}, from_fund=PAY)
    assert refusal(market, report) == ("NotActivated", 0)
    assert refusal(market, replace(report, epoch=9)) == ("NotActivated", 9)


def test_refuses_movements_and_chunks_that_were_not_signed(market):
    report = ordinary(market)
    more = replace(report, credits=(*report.credits, Credit(market.bob.address.lower(), report.credits[0].provider, 1)))
    found = refusal(market, more)
    assert found == ("WrongMovements", 0, reports.movements_hash(more), reports.movements_hash(report))
    epoch, movements, _, credits = reports.credits_arguments(report)
    found = refused(market.ledger.pushCredits, epoch, movements, 0, credits[:1], sender=market.stranger)
    assert found[0] == "WrongChunkHash" and found[2] == movements[1][0]
    found = refused(market.ledger.pushCredits, epoch, movements, 1, credits, sender=market.stranger)
    assert found == ("WrongChunk", 1, 0)
    for wrong in ([], credits * 257):
        found = refused(market.ledger.pushCredits, epoch, movements, 0, wrong, sender=market.stranger)
        assert found == ("WrongChunkLength", len(wrong), 512)


def test_refuses_a_second_time(market):
    report = ordinary(market)
    push(market, report)
    assert refusal(market, report) == ("AlreadyComplete", 0)


def test_refuses_where_there_are_none(market):
    report = credited(market, {})
    arguments = (0, reports.movements(report), 0, [(market.alice.address, market.small.address, 1)])
    assert refused(market.ledger.pushCredits, *arguments, sender=market.stranger) == ("AlreadyComplete", 0)


def test_a_report_never_pushes_what_another_has_booked(market):
    """A dishonest quorum signs credits of 3 under a total of 2, while another report's 4 wait."""
    first = ordinary(market)
    second = credited(market, {(market.bob, market.small): 3 * PAY}, 2 * PAY)
    assert refusal(market, second) == ("WrongSum", "credits", 2 * PAY, 3 * PAY)
    push(market, first)


def test_what_credits_leave_over_of_their_total_stays_booked(market):
    report = credited(market, {(market.bob, market.small): PAY}, 2 * PAY)
    push(market, report)
    assert market.ledger.books()["credits"] == PAY


def test_pays_customers_while_the_market_is_paused(market):
    report = ordinary(market)
    market.pause()
    alice, bob = (market.escrow.customer(who)["balance"] for who in (market.alice, market.bob))
    tx = push(market, report)
    assert market.escrow.customer(market.alice)["balance"] == alice + 3 * PAY
    assert market.escrow.customer(market.bob)["balance"] == bob + PAY
    assert [(e["customer"], e["provider"], e["amount"]) for e in tx.events["Credited"]] == [
        (who, market.small, amount)
        for who, amount in sorted(
            ((market.alice, 3 * PAY), (market.bob, PAY)), key=lambda pair: int(pair[0].address, 16)
        )
    ]


def test_pushes_more_credits_than_fit_in_a_chunk(market, built):
    people = gather(market, built, 600)
    report = credited(market, {(who, market.small): 1 + i for i, who in enumerate(people)})
    assert refusal(market, report, 1) == ("WrongChunk", 1, 0)
    push(market, report)
    assert refusal(market, report) == ("WrongChunk", 0, 1)
    push(market, report, 1)
    assert market.ledger.progress(0)[2] == 2 and market.ledger.books()["credits"] == 0
    assert market.escrow.customer(people[599])["balance"] == PAY + 600


def test_sums_credits_over_all_chunks_of_a_report(market, built):
    people = gather(market, built, 600)
    report = credited(market, {(who, market.small): 1 for who in people}, 599)
    push(market, report)
    assert refusal(market, report, 1) == ("WrongSum", "credits", 599, 600)

"""pushPools: what an activated report gives delegators reaches the delegation contract, by chunks, once."""

from dataclasses import replace

from contracts.types import Pool
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import with_totals


def pooled(market, pools, total=None):
    """Submit, complete and activate a report that gives delegators so much; returns it."""
    report = market.next_report(pools=pools)
    if total is not None:
        report = with_totals(report, pools=total)
    market.submit(report)
    market.complete(report)
    market.activate(report)
    return report


def ordinary(market):
    market.delegation.delegate(market.small, 10 * STAKE, {"from": market.dora})
    return pooled(market, {market.small: 3 * PAY, market.large: PAY})


def refusal(market, report, number=0):
    return refused(market.ledger.pushPools, *reports.pools_arguments(report, number), sender=market.stranger)


def push(market, report, number=0):
    """Push a chunk, and check that exactly its sum went from the ledger's pools to the delegation's rewards."""
    chunk = reports.chunks(report.pools)[number]
    amount = sum(pool.amount for pool in chunk)
    ledger, delegation = (market.payment_token.balanceOf(who) for who in (market.ledger, market.delegation))
    books, rewards = market.ledger.books().dict(), market.delegation.totalRewards()
    tx = market.ledger.pushPools(*reports.pools_arguments(report, number), {"from": market.stranger})
    told = tx.events["PoolsPushed"]
    assert (told["epoch"], told["chunk"]) == (report.epoch, number)
    assert [(p[0].lower(), p[1]) for p in told["pools"]] == [(p.provider, p.amount) for p in chunk]
    assert market.payment_token.balanceOf(market.ledger) == ledger - amount
    assert market.payment_token.balanceOf(market.delegation) == delegation + amount
    assert market.delegation.totalRewards() == rewards + amount
    assert market.ledger.books().dict() == books | {"pools": books["pools"] - amount}
    assert market.payment_token.allowance(market.ledger, market.delegation) == 0
    return tx


def test_refuses_before_activation(market):
    report = market.submitted(pools={market.small: PAY})
    assert refusal(market, report) == ("NotActivated", 0)


def test_refuses_movements_and_chunks_that_were_not_signed(market):
    report = ordinary(market)
    more = replace(report, pools=(*report.pools, Pool(market.stranger.address.lower(), 1)))
    found = refusal(market, more)
    assert found == ("WrongMovements", 0, reports.movements_hash(more), reports.movements_hash(report))
    epoch, movements, _, pools = reports.pools_arguments(report)
    found = refused(market.ledger.pushPools, epoch, movements, 0, pools[:1], sender=market.stranger)
    assert found[0] == "WrongChunkHash" and found[2] == movements[2][0]
    found = refused(market.ledger.pushPools, epoch, movements, 1, pools, sender=market.stranger)
    assert found == ("WrongChunk", 1, 0)
    for wrong in ([], pools * 257):
        found = refused(market.ledger.pushPools, epoch, movements, 0, wrong, sender=market.stranger)
        assert found == ("WrongChunkLength", len(wrong), 512)


def test_refuses_a_second_time(market):
    report = ordinary(market)
    push(market, report)
    assert refusal(market, report) == ("AlreadyComplete", 0)


def test_a_report_never_pushes_what_another_has_booked(market):
    first = ordinary(market)
    second = pooled(market, {market.small: 3 * PAY}, 2 * PAY)
    assert refusal(market, second) == ("WrongSum", "pools", 2 * PAY, 3 * PAY)
    push(market, first)


def test_what_pools_leave_over_of_their_total_stays_booked(market):
    report = pooled(market, {market.small: PAY}, 2 * PAY)
    push(market, report)
    assert market.ledger.books()["pools"] == PAY


def test_pays_delegators_while_the_market_is_paused(market):
    report = ordinary(market)
    market.pause()
    push(market, report)
    assert market.delegation.position(market.small, market.dora)["rewards"] == 3 * PAY


def test_pushes_more_pools_than_fit_in_a_chunk(market):
    pools = {f"0x{i + 1:040x}": 1 + i for i in range(600)}
    report = pooled(market, pools)
    assert refusal(market, report, 1) == ("WrongChunk", 1, 0)
    push(market, report)
    push(market, report, 1)
    assert market.ledger.progress(0)[3] == 2 and market.ledger.books()["pools"] == 0


def test_sums_pools_over_all_chunks_of_a_report(market):
    report = pooled(market, {f"0x{i + 1:040x}": 1 for i in range(600)}, 599)
    push(market, report)
    assert refusal(market, report, 1) == ("WrongSum", "pools", 599, 600)

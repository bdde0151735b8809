"""compensate: the harmed get their half by pages, each once, whoever hands them in."""

import pytest
from eth_utils import keccak

from tests.contracts.SlashingCourt.acts import EXECUTED, OPEN, Purses, harmed, opened
from tests.contracts.support import reports
from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

HALF = 4 * STAKE
"""Of the eight that level 4 takes."""


def executed(market, weights, size=200):
    slash_id, pages = harmed(market, weights, size=size)
    market.execute(slash_id)
    return slash_id, pages


def executed_pages(market, pages):
    """As `executed`, of pages that no honest report would name."""
    slash_id = opened(market, harms={market.small: reports.harm_root(pages)})
    market.execute(slash_id)
    return slash_id


def compensate(market, slash_id, pages, index):
    return market.court.compensate(slash_id, pages[index], reports.page_proof(pages, index), {"from": market.stranger})


def refusal(market, slash_id, page, proof):
    return refused(market.court.compensate, slash_id, page, proof, sender=market.stranger)


def compensation(market, who):
    return market.escrow.customer(who)["compensation"]


def crowd(count):
    return {"0x" + keccak(text=f"customer {i}")[:20].hex(): 1 + i % 7 for i in range(count)}


def test_refuses_what_was_never_proposed(market):
    page = reports.harm_pages({market.alice: 1})[0]
    assert refusal(market, 1, page, []) == ("UnknownSlash", 1)


def test_refuses_before_the_execution(market):
    slash_id, pages = harmed(market, {market.alice: 1})
    assert refusal(market, slash_id, pages[0], []) == ("WrongStage", slash_id, OPEN)


def test_refuses_pages_that_the_report_does_not_name(market):
    slash_id, pages = executed(market, {market.alice: 3, market.bob: 1}, size=1)
    root, proof = reports.harm_root(pages), reports.page_proof(pages, 0)
    index, count, total, customers, weights = pages[0]
    for other in (
        (index, count, total, [market.stranger.address], weights),
        (index, count, total, customers, [4]),
        (index, count, 3, customers, weights),
        (7, count, total, customers, weights),
        (index, 1, total, customers, weights),
    ):
        assert refusal(market, slash_id, other, proof) == ("WrongPage", slash_id, reports.page_hash(other), root)
    assert refusal(market, slash_id, pages[0], []) == ("WrongPage", slash_id, reports.page_hash(pages[0]), root)


def test_refuses_any_page_where_nobody_was_harmed(market):
    slash_id = opened(market)
    market.execute(slash_id)
    page = reports.harm_pages({market.alice: 1})[0]
    assert refusal(market, slash_id, page, []) == ("WrongPage", slash_id, reports.page_hash(page), bytes(32))


def test_refuses_a_page_a_second_time(market):
    slash_id, pages = executed(market, {market.alice: 3, market.bob: 1}, size=1)
    compensate(market, slash_id, pages, 1)
    assert refusal(market, slash_id, pages[1], reports.page_proof(pages, 1)) == ("PageGiven", slash_id, 1)
    compensate(market, slash_id, pages, 0)
    assert refusal(market, slash_id, pages[0], reports.page_proof(pages, 0)) == ("PageGiven", slash_id, 0)


def test_refuses_a_page_of_two_lengths(market):
    pages = [(0, 1, 5, [market.alice.address, market.bob.address], [5])]
    slash_id = executed_pages(market, pages)
    assert refusal(market, slash_id, pages[0], []) == ("LengthMismatch", 2, 1)


def test_refuses_pages_that_promise_more_than_there_is(market):
    """Two pages of weight 3 that both say the whole is 4: the second asks for what is gone."""
    pages = [(0, 2, 4, [market.alice.address], [3]), (1, 2, 4, [market.bob.address], [3])]
    slash_id = executed_pages(market, pages)
    compensate(market, slash_id, pages, 0)
    found = refusal(market, slash_id, pages[1], reports.page_proof(pages, 1))
    assert found == ("PageAboveRest", 3 * STAKE, STAKE)


def test_refuses_pages_after_the_last_one_by_their_own_count(market):
    """A malformed list says it has one page and has two: the second finds nothing left, and takes nobody else's."""
    other, _ = executed(market, {market.bob: 1})
    pages = [(0, 1, 4, [market.alice.address], [1]), (1, 1, 4, [market.bob.address], [1])]
    slash_id = executed_pages(market, pages)
    compensate(market, slash_id, pages, 0)
    assert market.court.totalHarmed() == HALF == market.court.slash(other)["harmedPart"]
    found = refusal(market, slash_id, pages[1], reports.page_proof(pages, 1))
    assert found == ("PageAboveRest", STAKE, 0)


def test_gives_by_weight_in_one_page(market):
    slash_id, pages = executed(market, {market.alice: 3, market.bob: 1})
    purses = Purses(market, market.court, market.escrow)
    tx = compensate(market, slash_id, pages, 0)
    assert (compensation(market, market.alice), compensation(market, market.bob)) == (3 * STAKE, STAKE)
    assert dict(tx.events["PageCompensated"]) == {"id": slash_id, "index": 0, "given": HALF}
    assert dict(tx.events["CompensationClosed"]) == {"id": slash_id, "dust": 0}
    assert purses.moved() == {str(market.court): -HALF, str(market.escrow): HALF}
    slash = market.court.slash(slash_id)
    assert (slash["harmedGiven"], slash["pagesGiven"], slash["stage"]) == (HALF, 1, EXECUTED)
    assert market.court.pageGiven(slash_id, 0) and market.court.totalHarmed() == 0
    assert market.stake_token.allowance(market.court, market.escrow) == 0


def test_gives_pages_in_any_order_and_dust_to_the_sla_fund_with_the_last(market):
    slash_id, pages = executed(market, {market.alice: 1, market.bob: 1, market.fresh: 1}, size=1)
    fund, third = market.escrow.stakeSlaFund(), HALF // 3
    for index, held in ((2, HALF - third), (0, HALF - 2 * third)):
        tx = compensate(market, slash_id, pages, index)
        assert "CompensationClosed" not in tx.events
        assert market.court.totalHarmed() == held and market.escrow.stakeSlaFund() == fund
        assert [market.court.pageGiven(slash_id, i) for i in range(3)] == [index == 0, False, True]
    tx = compensate(market, slash_id, pages, 1)
    assert dict(tx.events["CompensationClosed"]) == {"id": slash_id, "dust": HALF - 3 * third}
    assert market.escrow.stakeSlaFund() == fund + HALF - 3 * third and market.court.totalHarmed() == 0
    assert {compensation(market, who) for who in (market.alice, market.bob, market.fresh)} == {third}


def test_is_possible_while_the_market_is_paused_and_can_be_withdrawn_then(market):
    slash_id, pages = executed(market, {market.alice: 1})
    market.pause()
    compensate(market, slash_id, pages, 0)
    before = market.stake_token.balanceOf(market.alice)
    market.escrow.withdrawCompensation({"from": market.alice})
    assert market.stake_token.balanceOf(market.alice) == before + HALF


def test_weights_of_nothing_free_what_is_held_for_the_sla_fund(market):
    pages = [(0, 1, 0, [market.alice.address], [0])]
    slash_id = executed_pages(market, pages)
    fund = market.escrow.stakeSlaFund()
    compensate(market, slash_id, pages, 0)
    assert market.escrow.stakeSlaFund() == fund + HALF and compensation(market, market.alice) == 0


def test_a_slash_that_took_nothing_closes_with_its_pages(market):
    market.staking.unbond(300 * STAKE, market.risk(market.small), {"from": market.small})
    market.wait(140)
    slash_id, pages = executed(market, {market.alice: 1})
    compensate(market, slash_id, pages, 0)
    assert market.court.slash(slash_id)["pagesGiven"] == 1 and compensation(market, market.alice) == 0


@pytest.mark.parametrize("total", [2**128 - 1, 10**30])
def test_huge_weights_do_not_overflow(market, total):
    slash_id, pages = executed(market, {market.alice: total - 1, market.bob: 1})
    compensate(market, slash_id, pages, 0)
    assert compensation(market, market.alice) == HALF * (total - 1) // total
    assert compensation(market, market.bob) == HALF // total


def test_fifty_pages_are_given_one_by_one(market):
    """A gas bomb that is none: however many were harmed, no page needs another, and each is paid for itself."""
    weights = crowd(1_000)
    slash_id, pages = executed(market, weights, size=20)
    assert len(pages) == 50 and market.court.totalHarmed() == HALF
    gas = [compensate(market, slash_id, pages, index).gas_used for index in range(50)]
    assert max(gas) < 1_000_000, "the last page costs no more than the first"
    total = sum(weights.values())
    assert all(compensation(market, who) == HALF * weights[who] // total for who in list(weights)[::97])
    assert market.court.totalHarmed() == 0 and market.court.slash(slash_id)["pagesGiven"] == 50
    assert market.escrow.totalCompensation() == sum(HALF * weight // total for weight in weights.values())


def test_a_page_of_two_hundred_takes_a_tenth_of_a_block(market):
    slash_id, pages = executed(market, crowd(200))
    assert compensate(market, slash_id, pages, 0).gas_used < 6_000_000

"""What can be read of customers."""

from tests.contracts.support.market import PAY


def test_pages_through_the_list_and_stops_at_its_end(market):
    addresses, views = market.escrow.customers(0, 100)
    assert addresses == [market.alice, market.bob]
    assert views[1] == market.escrow.customer(market.bob)
    assert market.escrow.customers(1, 2**256 - 1)[0] == [market.bob]
    assert market.escrow.customers(2, 1) == ((), ()) == market.escrow.customers(2**256 - 1, 1)
    assert [market.escrow.customerAt(i) for i in range(market.escrow.customerCount())] == list(addresses)


def test_shows_a_stranger_as_empty(market):
    assert tuple(market.escrow.customer(market.fresh)) == (0, 0, 0, 0, 0, 0, 0)


def test_tells_its_links_parameters_and_sums(market):
    escrow = market.escrow
    assert escrow.paymentToken() == market.payment_token and escrow.stakeToken() == market.stake_token
    assert escrow.clock() == market.clock and escrow.guardian() == market.guardian
    assert escrow.epochLedger() == market.ledger and escrow.court() == market.court and escrow.thawSeconds() == 130
    assert (escrow.totalBalances(), escrow.slaFund()) == (1500 * PAY, 10 * PAY)
    assert (escrow.totalCompensation(), escrow.stakeSlaFund()) == (0, 0)

"""setCommission and commissionFor: what a provider keeps of its delegators' part."""

from tests.contracts.support.refusals import refused

LATEST = 2**64 - 1


def set_commission(market, ppm, who=None):
    """Set; checks the event; returns the epoch it holds from."""
    who = who or market.small
    tx = market.delegation.setCommission(ppm, {"from": who})
    event = tx.events["CommissionSet"]
    assert (event["provider"], event["ppm"]) == (who, ppm)
    return event["fromEpoch"]


def commissions(market, *epochs):
    return [market.delegation.commissionFor(market.small, epoch) for epoch in epochs]


def shown(market):
    return tuple(market.delegation.pool(market.small)[3:])


def test_refuses_who_is_no_provider(market):
    found = refused(market.delegation.setCommission, 1, sender=market.dora)
    assert found == ("NotProvider", market.dora.address.lower())


def test_refuses_more_than_all(market):
    found = refused(market.delegation.setCommission, 1_000_001, sender=market.small)
    assert found == ("CommissionAboveLimit", 1_000_001, 1_000_000)
    set_commission(market, 1_000_000)


def test_is_nothing_until_it_is_set(market):
    assert commissions(market, 0, LATEST) == [0, 0]
    assert shown(market) == (0, 0, 0)


def test_a_rise_is_known_one_whole_epoch_ahead(market):
    market.wait_until(market.clock.epochEnd(0) - 5)
    assert set_commission(market, 100_000) == 2
    assert commissions(market, 0, 1, 2, 3) == [0, 0, 100_000, 100_000]
    assert shown(market) == (0, 100_000, 2)
    market.wait_until(market.clock.epochStart(2))
    assert shown(market) == (100_000, 100_000, 0)


def test_a_cut_holds_from_the_running_epoch_and_drops_a_rise_that_waits(market):
    set_commission(market, 300_000)
    market.wait_until(market.clock.epochStart(2))
    assert set_commission(market, 500_000) == 4
    assert set_commission(market, 200_000) == 2
    assert commissions(market, 1, 2, 3, 4, 5) == [0, 200_000, 200_000, 200_000, 200_000]
    assert shown(market) == (200_000, 200_000, 0)


def test_a_change_that_waits_is_replaced_and_waits_anew(market):
    set_commission(market, 100_000)
    assert set_commission(market, 150_000) == 2
    market.wait_until(market.clock.epochStart(1))
    assert set_commission(market, 120_000) == 3
    assert commissions(market, 0, 1, 2, 3) == [0, 0, 0, 120_000]
    assert shown(market) == (0, 120_000, 3)


def test_saying_the_same_again_drops_a_rise_that_waits(market):
    set_commission(market, 100_000)
    assert set_commission(market, 0) == 0
    assert commissions(market, 0, 1, 2, 3) == [0, 0, 0, 0]


def test_nothing_that_is_said_later_changes_an_epoch_that_is_over(market):
    set_commission(market, 100_000)
    market.wait_until(market.clock.epochStart(2))
    set_commission(market, 900_000)
    market.wait_until(market.clock.epochStart(4))
    before = commissions(market, 0, 1, 2, 3)
    assert before == [0, 0, 100_000, 100_000]
    for ppm in (1_000_000, 0, 50_000, 10_000, 1_000_000):
        set_commission(market, ppm)
        assert commissions(market, 0, 1, 2, 3) == before
    assert commissions(market, 4, 5, 6) == [0, 0, 1_000_000]


def test_works_while_paused_and_for_one_provider_alone(market):
    market.pause()
    set_commission(market, 1, market.large)
    assert commissions(market, 2) == [0]
    assert market.delegation.commissionFor(market.large, 2) == 1

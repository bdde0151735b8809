"""setCap: how much may be charged per epoch."""

from tests.contracts.support.market import PAY


def caps(market, customer, *epochs):
    return [market.escrow.capFor(customer, epoch) for epoch in epochs]


def test_permits_nothing_before_the_first(market):
    assert caps(market, market.fresh, 0, 1, 99) == [0, 0, 0]


def test_a_raise_holds_for_the_running_epoch(market):
    tx = market.escrow.setCap(120 * PAY, {"from": market.alice})
    assert tx.events["CapSet"] == {"customer": market.alice, "cap": 120 * PAY, "fromEpoch": 0}
    assert caps(market, market.alice, 0, 1) == [120 * PAY, 120 * PAY]


def test_a_raise_does_not_reach_back_to_an_epoch_that_ended(market):
    market.end_of(0)
    market.escrow.setCap(120 * PAY, {"from": market.alice})
    assert caps(market, market.alice, 0, 1, 2) == [100 * PAY, 120 * PAY, 120 * PAY]


def test_lowering_a_cap_is_not_effective_for_the_running_epoch(market):
    tx = market.escrow.setCap(5 * PAY, {"from": market.alice})
    assert tx.events["CapSet"] == {"customer": market.alice, "cap": 5 * PAY, "fromEpoch": 1}
    view = market.escrow.customer(market.alice).dict()
    assert (view["cap"], view["capNext"], view["capNextFrom"]) == (100 * PAY, 5 * PAY, 1)
    assert caps(market, market.alice, 0, 1, 2) == [100 * PAY, 5 * PAY, 5 * PAY]
    market.end_of(0)
    view = market.escrow.customer(market.alice).dict()
    assert (view["cap"], view["capNext"], view["capNextFrom"]) == (5 * PAY, 5 * PAY, 0)


def test_lowering_twice_leaves_every_epoch_that_has_begun_as_it_was(market):
    market.escrow.setCap(50 * PAY, {"from": market.alice})
    market.end_of(0)
    market.escrow.setCap(10 * PAY, {"from": market.alice})
    market.end_of(1)
    market.escrow.setCap(0, {"from": market.alice})
    assert caps(market, market.alice, 0, 1, 2, 3) == [100 * PAY, 50 * PAY, 10 * PAY, 0]


def test_a_raise_overtakes_a_lowering_that_waits(market):
    market.escrow.setCap(5 * PAY, {"from": market.alice})
    market.escrow.setCap(150 * PAY, {"from": market.alice})
    assert caps(market, market.alice, 0, 1) == [150 * PAY, 150 * PAY]
    assert market.escrow.customer(market.alice)["capNextFrom"] == 0


def test_a_lowering_overtakes_another_that_waits(market):
    market.escrow.setCap(5 * PAY, {"from": market.alice})
    market.escrow.setCap(20 * PAY, {"from": market.alice})
    assert caps(market, market.alice, 0, 1) == [100 * PAY, 20 * PAY]


def test_lowering_after_a_raise_in_one_epoch_keeps_the_raise_for_it(market):
    market.escrow.setCap(150 * PAY, {"from": market.alice})
    market.escrow.setCap(1, {"from": market.alice})
    assert caps(market, market.alice, 0, 1) == [150 * PAY, 1]


def test_works_before_the_clock_is_opened(unopened):
    unopened.escrow.setCap(9 * PAY, {"from": unopened.fresh})
    assert unopened.escrow.capFor(unopened.fresh, 0) == 9 * PAY

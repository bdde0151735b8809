"""setCap: how much may be charged per epoch."""

from brownie.test import given, strategy
from hypothesis import HealthCheck, settings

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def caps(market, customer, *epochs):
    return [market.escrow.capFor(customer, epoch) for epoch in epochs]


def test_refuses_a_cap_beyond_its_bound(market):
    found = refused(market.escrow.setCap, 2**88, sender=market.alice)
    assert found == ("OutOfBounds", "cap", 2**88, 0, 2**88 - 1)
    market.escrow.setCap(2**88 - 1, {"from": market.alice})
    assert caps(market, market.alice, 0) == [2**88 - 1]


def test_permits_nothing_before_the_first(market):
    assert caps(market, market.fresh, 0, 1, 99) == [0, 0, 0]


def test_the_first_cap_does_not_reach_back(market):
    market.end_of(1)
    tx = market.escrow.setCap(PAY, {"from": market.fresh})
    assert tx.events["CapSet"] == {"customer": market.fresh, "cap": PAY, "fromEpoch": 2}
    assert caps(market, market.fresh, 0, 1, 2, 3) == [0, 0, PAY, PAY]


def test_a_raise_holds_for_the_running_epoch(market):
    tx = market.escrow.setCap(120 * PAY, {"from": market.alice})
    assert tx.events["CapSet"] == {"customer": market.alice, "cap": 120 * PAY, "fromEpoch": 0}
    assert caps(market, market.alice, 0, 1) == [120 * PAY, 120 * PAY]


def test_a_raise_does_not_reach_back_to_an_epoch_that_ended(market):
    market.end_of(0)
    market.escrow.setCap(120 * PAY, {"from": market.alice})
    assert caps(market, market.alice, 0, 1, 2) == [100 * PAY, 120 * PAY, 120 * PAY]


def test_lowering_a_cap_is_not_effective_for_the_running_epoch_nor_the_next(market):
    tx = market.escrow.setCap(5 * PAY, {"from": market.alice})
    assert tx.events["CapSet"] == {"customer": market.alice, "cap": 5 * PAY, "fromEpoch": 2}
    view = market.escrow.customer(market.alice).dict()
    assert (view["cap"], view["capNext"], view["capNextFrom"]) == (100 * PAY, 5 * PAY, 2)
    assert caps(market, market.alice, 0, 1, 2, 3) == [100 * PAY, 100 * PAY, 5 * PAY, 5 * PAY]
    market.end_of(1)
    view = market.escrow.customer(market.alice).dict()
    assert (view["cap"], view["capNext"], view["capNextFrom"]) == (5 * PAY, 5 * PAY, 0)


def test_lowering_epoch_by_epoch_leaves_every_epoch_its_own(market):
    market.escrow.setCap(50 * PAY, {"from": market.alice})
    market.end_of(0)
    market.escrow.setCap(10 * PAY, {"from": market.alice})
    view = market.escrow.customer(market.alice).dict()
    assert (view["cap"], view["capNext"], view["capNextFrom"]) == (100 * PAY, 50 * PAY, 2), "the next of the two"
    market.end_of(1)
    market.escrow.setCap(0, {"from": market.alice})
    assert caps(market, market.alice, *range(6)) == [100 * PAY, 100 * PAY, 50 * PAY, 10 * PAY, 0, 0]


def test_a_raise_overtakes_a_lowering_that_waits(market):
    market.escrow.setCap(5 * PAY, {"from": market.alice})
    market.escrow.setCap(150 * PAY, {"from": market.alice})
    assert caps(market, market.alice, 0, 1, 2) == [150 * PAY] * 3
    assert market.escrow.customer(market.alice)["capNextFrom"] == 0


def test_a_lowering_overtakes_another_that_waits(market):
    market.escrow.setCap(5 * PAY, {"from": market.alice})
    market.escrow.setCap(20 * PAY, {"from": market.alice})
    assert caps(market, market.alice, 0, 1, 2) == [100 * PAY, 100 * PAY, 20 * PAY]


def test_lowering_after_a_raise_in_one_epoch_keeps_the_raise_for_it(market):
    market.escrow.setCap(150 * PAY, {"from": market.alice})
    market.escrow.setCap(1, {"from": market.alice})
    assert caps(market, market.alice, 0, 1, 2) == [150 * PAY, 150 * PAY, 1]


def test_between_now_and_a_lowering_that_waits_it_raises_the_next_epoch(market):
    market.escrow.setCap(50 * PAY, {"from": market.alice})
    market.end_of(0)
    tx = market.escrow.setCap(70 * PAY, {"from": market.alice})
    assert tx.events["CapSet"]["fromEpoch"] == 2
    assert caps(market, market.alice, 0, 1, 2, 3) == [100 * PAY, 100 * PAY, 70 * PAY, 70 * PAY]


def test_setting_the_same_cap_again_changes_nothing(market):
    market.end_of(0)
    market.escrow.setCap(100 * PAY, {"from": market.alice})
    assert caps(market, market.alice, 0, 1, 2) == [100 * PAY] * 3


def test_works_before_the_clock_is_opened_and_while_the_market_is_paused(unopened):
    unopened.pause()
    unopened.escrow.setCap(9 * PAY, {"from": unopened.fresh})
    assert unopened.escrow.capFor(unopened.fresh, 0) == 9 * PAY


@given(steps=strategy("(uint8,uint8)[]", min_length=1, max_length=14))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_epoch_keeps_the_cap_that_the_rules_give_it(market, steps):
    """A model that keeps a cap for every epoch agrees after any order of changes and waiting."""
    first, ahead = market.clock.currentEpoch(), 60
    plan = [market.escrow.capFor(market.alice, epoch) for epoch in range(first + ahead)]
    running = first
    for wait, cap in steps:
        for _ in range(wait % 3):
            market.end_of(running)
            running += 1
        tx = market.escrow.setCap(cap, {"from": market.alice})
        before = list(plan)
        for epoch in range(running, len(plan)):
            # a raise at once; a lowering from the epoch after the next
            plan[epoch] = max(plan[epoch], cap) if epoch < running + 2 else cap
        assert before[:running] == plan[:running]
        assert tx.events["CapSet"]["fromEpoch"] == next(e for e in range(running, len(plan)) if plan[e] == cap)
    asked = range(running + 4)
    assert caps(market, market.alice, *asked) == [plan[epoch] for epoch in asked]
    view = market.escrow.customer(market.alice).dict()
    change = next((e for e in range(running, running + 4) if plan[e] != plan[running]), 0)
    assert (view["cap"], view["capNext"]) == (plan[running], plan[change] if change else plan[running])
    assert view["capNextFrom"] == change

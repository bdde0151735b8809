"""lapse: silence cancels, the arbitrator's and the timelock's, and nobody loses a bond by it."""

import pytest

from tests.contracts.SlashingCourt.acts import (
    BOND,
    CANCELLED,
    DAY,
    EXECUTED,
    NOBODY,
    OPEN,
    UPHELD,
    Purses,
    bond_events,
    contest,
    contested,
    opened,
    stage,
)
from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused


def refusal(market, slash_id):
    return refused(market.court.lapse, slash_id, sender=market.stranger)


def lapse(market, slash_id):
    return market.court.lapse(slash_id, {"from": market.stranger})


def test_refuses_what_was_never_proposed(market):
    assert refusal(market, 1) == ("UnknownSlash", 1)


def test_refuses_what_waits_for_nobody(market):
    slash_id = opened(market)
    market.wait(40 * DAY)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, OPEN)
    market.execute(slash_id)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, EXECUTED)


def test_refuses_what_was_upheld(market):
    slash_id = contested(market)
    market.court.rule(slash_id, True, [], {"from": market.admin})
    market.wait(40 * DAY)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, UPHELD)


def test_refuses_while_the_arbitrator_has_time(market):
    slash_id = contested(market)
    until = market.court.slash(slash_id)["ruleBy"]
    market.wait_until(until - 1)
    assert refusal(market, slash_id) == ("RulingPending", slash_id, until, until - 1)


def test_refuses_while_the_timelock_has_time(market):
    slash_id = opened(market, 6, market.large)
    until = market.court.slash(slash_id)["proposedAt"] + 28 * DAY
    market.wait_until(until - 1)
    assert refusal(market, slash_id) == ("RulingPending", slash_id, until, until - 1)


def test_refuses_a_second_time(market):
    slash_id = contested(market)
    market.wait(6)
    lapse(market, slash_id)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, CANCELLED)


@pytest.mark.parametrize("paused", [False, True])
def test_silence_of_the_arbitrator_cancels_and_both_bonds_go_back(market, paused):
    slash_id = contested(market)
    market.wait_until(market.court.slash(slash_id)["ruleBy"])
    if paused:
        market.pause()
    purses = Purses(market, market.fresh, market.small)
    tx = lapse(market, slash_id)
    assert purses.moved() == {str(market.fresh): BOND, str(market.small): BOND, "bonds": -2 * BOND}
    assert dict(tx.events["SlashCancelled"]) == {"id": slash_id, "by": market.stranger}
    assert bond_events(tx) == [(market.fresh, BOND, NOBODY, 0, 0), (market.small, BOND, NOBODY, 0, 0)]
    assert stage(market, slash_id) == CANCELLED
    assert market.staking.provider(market.small)["stake"] == 300 * STAKE
    assert market.court.availabilityLeftPpm(market.small) == 100_000


def test_silence_of_the_timelock_cancels_what_is_queued_and_the_bond_goes_back(market):
    slash_id = opened(market, 6, market.large)
    market.wait_until(market.court.slash(slash_id)["proposedAt"] + 28 * DAY)
    purses = Purses(market, market.fresh)
    tx = lapse(market, slash_id)
    assert purses.moved() == {str(market.fresh): BOND, "bonds": -BOND}
    assert bond_events(tx) == [(market.fresh, BOND, NOBODY, 0, 0)] and stage(market, slash_id) == CANCELLED


def test_what_was_upheld_and_never_released_lapses_too(market):
    slash_id = opened(market, 6, market.large)
    contest(market, slash_id, market.large)
    market.court.rule(slash_id, True, [], {"from": market.admin})
    market.wait_until(market.court.slash(slash_id)["proposedAt"] + 28 * DAY)
    purses = Purses(market, market.fresh, market.large)
    lapse(market, slash_id)
    assert purses.moved() == {str(market.fresh): BOND, "bonds": -BOND}


def test_what_is_queued_and_contested_lapses_by_the_arbitrators_silence(market):
    slash_id = opened(market, 6, market.large)
    contest(market, slash_id, market.large)
    market.wait(6)
    lapse(market, slash_id)
    assert stage(market, slash_id) == CANCELLED and market.court.totalBonds() == 0

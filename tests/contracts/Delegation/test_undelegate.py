"""undelegate: shares behind a provider begin to leave."""

from tests.contracts.support.market import JAIL, REMOVAL, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.stakes import delegate, slash, undelegate

STEP = 15  # an eighth of the devnet's unbonding time


def at_step(market, number):
    """Wait until a moment just after a multiple of the step, `number` steps from now."""
    market.wait_until((market.now() // STEP + number) * STEP + 1)


def test_refuses_nothing_and_more_than_is_held(market):
    assert refused(market.delegation.undelegate, market.small, 0, sender=market.dora) == ("ZeroAmount",)
    assert refused(market.delegation.undelegate, market.small, 1, sender=market.dora) == ("InsufficientShares", 0, 1)
    delegate(market, STAKE)
    found = refused(market.delegation.undelegate, market.small, STAKE + 1, sender=market.dora)
    assert found == ("InsufficientShares", STAKE, STAKE + 1)
    assert refused(market.delegation.undelegate, market.large, 1, sender=market.dora) == ("InsufficientShares", 0, 1)


def test_refuses_shares_that_are_worth_less_than_a_unit(market, as_court):
    delegate(market, STAKE)
    slash(market, as_court, 300 * STAKE + STAKE // 2)
    assert refused(market.delegation.undelegate, market.small, 1, sender=market.dora) == ("AmountTooSmall", 1)
    undelegate(market, 2)


def test_refuses_an_eleventh_exit_until_the_matured_ones_are_withdrawn(market):
    delegate(market, 100 * STAKE)
    for _ in range(10):
        at_step(market, 1)
        undelegate(market, STAKE)
    at_step(market, 1)
    found = refused(market.delegation.undelegate, market.small, STAKE, sender=market.dora)
    assert found == ("TooManyExits", 10, 10)
    delegate(market, STAKE, market.egon)
    undelegate(market, STAKE, market.egon)
    market.delegation.withdraw(market.small, {"from": market.dora})
    undelegate(market, STAKE)


def test_exits_of_one_time_are_one_batch(market):
    delegate(market, 10 * STAKE)
    delegate(market, 10 * STAKE, market.egon)
    at_step(market, 1)
    first = undelegate(market, STAKE)
    again = undelegate(market, STAKE)
    other = undelegate(market, STAKE, market.egon)
    assert first.return_value == again.return_value == other.return_value == 0
    assert first.events["Undelegated"]["releaseAt"] == other.events["Undelegated"]["releaseAt"]
    at_step(market, 1)
    later = undelegate(market, STAKE)
    assert later.return_value == 1
    assert later.events["Undelegated"]["releaseAt"] == first.events["Undelegated"]["releaseAt"] + STEP


def test_never_more_than_nine_batches_are_open_whenever_people_leave(market):
    delegate(market, 100 * STAKE)
    open_batches = set()
    for _ in range(40):
        market.wait(5)
        tx = undelegate(market, STAKE)
        open_batches.add(tx.return_value)
        if "BatchMatured" in tx.events:
            open_batches -= {event["batch"] for event in tx.events["BatchMatured"]}
        assert len(open_batches) <= 9
        if market.delegation.position(market.small, market.dora)["withdrawable"]:
            market.delegation.withdraw(market.small, {"from": market.dora})
    assert len(open_batches) >= 8, "the bound was nearly reached, so it was tried"


def test_works_in_every_status_and_while_paused(market, as_court):
    delegate(market, 10 * STAKE)
    slash(market, as_court, 0, consequence=JAIL)
    undelegate(market, STAKE)
    slash(market, as_court, 0, consequence=REMOVAL)
    undelegate(market, STAKE)
    market.pause()
    undelegate(market, 8 * STAKE)


def test_what_begins_to_leave_before_a_slash_stays_in_its_reach(market, as_court):
    delegate(market, 100 * STAKE)
    undelegate(market, 100 * STAKE)
    tx = slash(market, as_court, 340 * STAKE)
    assert tx.return_value == 340 * STAKE
    assert market.delegation.position(market.small, market.dora)["unbonding"] == 60 * STAKE


def test_leaves_the_worth_of_everybody_else_as_it_was(market, as_court):
    delegate(market, 100 * STAKE)
    delegate(market, 200 * STAKE, market.egon)
    slash(market, as_court, 300 * STAKE + 7)
    worth = market.delegation.position(market.small, market.egon)["amount"]
    undelegate(market, 33 * STAKE + 1)
    assert worth <= market.delegation.position(market.small, market.egon)["amount"] <= worth + 1

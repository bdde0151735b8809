"""contest: anybody may put an open slash before the arbitrator, once, against a bond."""

from brownie import accounts

from tests.contracts.SlashingCourt.acts import (
    ARBITRATION,
    BOND,
    CONTESTED,
    EXECUTED,
    REASON,
    Purses,
    contest,
    contested,
    opened,
    stage,
)
from tests.contracts.support.refusals import refused


def refusal(market, slash_id, sender=None):
    return refused(market.court.contest, slash_id, REASON, sender=sender or market.bob)


def test_refuses_what_was_never_proposed(market):
    assert refusal(market, 1) == ("UnknownSlash", 1)


def test_refuses_when_the_challenge_window_has_closed_and_not_a_second_before(market):
    slash_id = opened(market)
    closes = market.court.slash(slash_id)["executableAt"]
    market.wait_until(closes - 1)
    market.court.contest.call(slash_id, REASON, {"from": market.bob})
    market.wait_until(closes)
    assert refusal(market, slash_id) == ("ChallengeWindowClosed", slash_id, closes, closes)


def test_refuses_a_second_contest_so_that_nobody_can_draw_it_out(market):
    slash_id = contested(market)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, CONTESTED)


def test_refuses_after_the_execution(market):
    slash_id = opened(market)
    market.execute(slash_id)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, EXECUTED)


def test_refuses_a_contestant_without_a_bond(market):
    found = refusal(market, opened(market), accounts[12])
    assert found == ("ERC20InsufficientAllowance", market.court.address.lower(), 0, BOND)


def test_takes_a_bond_and_calls_the_arbitrator(market):
    slash_id = opened(market)
    purses = Purses(market, market.bob, market.fresh)
    tx = contest(market, slash_id, market.bob)
    assert purses.moved() == {str(market.bob): -BOND, "bonds": BOND}
    assert dict(tx.events["SlashContested"]) == {
        "id": slash_id,
        "contestant": market.bob,
        "bond": BOND,
        "reason": "0x" + REASON.hex(),
        "ruleBy": tx.timestamp + ARBITRATION,
    }
    slash = market.court.slash(slash_id)
    assert (slash["stage"], slash["contestant"], slash["ruleBy"]) == (CONTESTED, market.bob, tx.timestamp + ARBITRATION)


def test_a_contested_slash_cannot_be_carried_out(market):
    slash_id = contested(market)
    market.wait(100)
    assert refused(market.court.execute, slash_id, sender=market.stranger) == ("WrongStage", slash_id, CONTESTED)


def test_is_possible_while_the_market_is_paused(market):
    slash_id = opened(market)
    market.pause()
    contest(market, slash_id, market.bob)
    assert stage(market, slash_id) == CONTESTED


def test_a_proposer_may_contest_its_own(market):
    """It gains nothing: both bonds were its own, and half of one is burned."""
    slash_id = opened(market)
    purses = Purses(market, market.fresh)
    contest(market, slash_id, market.fresh)
    market.court.rule(slash_id, False, [], {"from": market.admin})
    assert purses.moved() == {str(market.fresh): BOND // 2, "fire": BOND // 2, "bonds": -BOND}

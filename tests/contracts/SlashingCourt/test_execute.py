"""execute: when a slash is carried out, what it takes from whom, and who gets it."""

import pytest

from tests.contracts.SlashingCourt.acts import (
    BOND,
    CANCELLED,
    CONTESTED,
    EXECUTED,
    NOBODY,
    Purses,
    bond_events,
    contest,
    contested,
    harmed,
    opened,
    shares,
    stage,
)
from tests.contracts.support.market import BURN_ADDRESS, NOTHING, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf


def refusal(market, slash_id):
    return refused(market.court.execute, slash_id, sender=market.stranger)


def calm(market):
    """Bring in so much stake that the breaker lets everything through when the small provider leaves."""
    market.staking.stake(9_100 * STAKE, {"from": market.large})


def test_refuses_what_was_never_proposed(market):
    assert refusal(market, 1) == ("UnknownSlash", 1)


def test_refuses_a_second_inside_the_challenge_window(market):
    slash_id = opened(market)
    at = market.court.slash(slash_id)["executableAt"]
    market.wait_until(at - 1)
    assert refusal(market, slash_id) == ("ChallengeWindowOpen", slash_id, at, at - 1)
    market.wait_until(at)
    assert market.court.execute.call(slash_id, {"from": market.stranger}) == 8 * STAKE


def test_refuses_what_is_contested_or_cancelled(market):
    slash_id = contested(market)
    market.wait(5)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, CONTESTED)
    market.court.rule(slash_id, False, [], {"from": market.admin})
    market.wait(5)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, CANCELLED)


def test_refuses_a_second_execution(market):
    slash_id = opened(market)
    market.execute(slash_id)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, EXECUTED)


def test_refuses_what_is_queued(market):
    slash_id = opened(market, 6, market.large)
    market.wait(6)
    assert refusal(market, slash_id) == ("Queued", slash_id)


def test_refuses_while_the_market_is_paused_and_goes_on_after(market):
    slash_id = opened(market)
    market.pause()
    until = market.guardian.pausedUntil()
    market.wait_until(until - 1)
    assert refusal(market, slash_id) == ("StillPaused", until)
    market.wait_until(until)
    market.execute(slash_id)


def test_burns_three_tenths_and_gives_the_rest_to_the_sla_fund_where_nobody_was_harmed(market):
    slash_id = opened(market)
    market.wait(6)
    purses = Purses(market, market.fresh, market.stranger, market.staking, market.court)
    tx = market.court.execute(slash_id, {"from": market.stranger})
    taken = 8 * STAKE
    (burned,) = shares(taken, 300_000)
    assert tx.return_value == taken == market.court.slash(slash_id)["taken"]
    assert purses.moved() == {
        str(market.fresh): BOND,
        str(market.staking): -taken,
        str(market.court): -BOND,
        "fire": burned,
        "fund": taken - burned,
        "bonds": -BOND,
    }
    assert dict(tx.events["SlashExecuted"]) == {
        "id": slash_id,
        "provider": market.small,
        "taken": taken,
        "toHarmed": 0,
        "toProver": 0,
        "toSlaFund": taken - burned,
        "burned": burned,
    }
    assert bond_events(tx) == [(market.fresh, BOND, NOBODY, 0, 0)]
    assert market.stake_token.allowance(market.court, market.escrow) == 0
    assert market.staking.provider(market.small)["stake"] == 292 * STAKE


def test_holds_half_for_the_harmed(market):
    slash_id, _ = harmed(market, {market.alice: 3, market.bob: 1})
    tx = market.execute(slash_id)
    half, burned = shares(8 * STAKE, 500_000, 300_000)
    event = tx.events["SlashExecuted"]
    assert (event["toHarmed"], event["toSlaFund"], event["burned"]) == (half, 8 * STAKE - half - burned, burned)
    assert market.court.totalHarmed() == half == market.stake_token.balanceOf(market.court)
    slash = market.court.slash(slash_id)
    assert (slash["harmedPart"], slash["harmedGiven"], slash["pagesGiven"]) == (half, 0, 0)


@pytest.mark.parametrize("taken", [1, 2, 3, 9, 10, 11])
def test_parts_sum_to_what_was_taken_however_little_it_is(market, as_court, taken):
    """Dust attacks: a provider leaves a few units behind. Rounding favours the SLA fund alone."""
    market.staking.slash(market.small, 300 * STAKE - taken, NOTHING, {"from": as_court})
    market.stake_token.transfer(market.stranger, 300 * STAKE - taken, {"from": as_court})
    slash_id, _ = harmed(market, {market.alice: 1})
    event = market.execute(slash_id).events["SlashExecuted"]
    half, burned = shares(taken, 500_000, 300_000)
    assert event["taken"] == taken
    assert (event["toHarmed"], event["burned"], event["toSlaFund"]) == (half, burned, taken - half - burned)


@pytest.mark.parametrize("slashed_by", ["verifier", "stranger", "customer"])
def test_accuser_gains_nothing(market, slashed_by):
    """Whoever proposes and executes, a verifier who signed included, ends with the tokens and claims it began with."""
    accusers = {"verifier": market.verifier_accounts[0], "stranger": market.stranger, "customer": market.alice}
    accuser = accusers[slashed_by]

    def wealth():
        return (
            market.stake_token.balanceOf(accuser),
            market.payment_token.balanceOf(accuser),
            market.ledger.owed(accuser),
            market.escrow.customer(accuser)["compensation"],
            market.verifiers.member(accuser)["bond"],
        )

    report = market.settle([make_leaf(market.small, level=6)])
    before = wealth()
    slash_id = market.propose(report, market.small, proposer=accuser)
    market.wait(6)
    market.court.execute(slash_id, {"from": accuser})
    assert wealth() == before and market.court.slash(slash_id)["taken"] == 40 * STAKE


@pytest.mark.parametrize(
    ("level", "status", "event"),
    [(4, 1, None), (5, 2, "Jailed"), (6, 3, "Removed"), (7, 1, None), (8, 2, "Jailed")],
)
def test_jails_for_an_outage_or_false_hardware_and_removes_for_a_long_outage(market, level, status, event):
    tx = market.execute(opened(market, level))
    assert market.staking.provider(market.small)["status"] == status
    assert [name for name in ("Jailed", "Removed") if name in tx.events] == ([event] if event else [])


def test_reaches_stake_that_began_to_leave_when_the_epoch_began_after_every_delay(market):
    """Front-running a slash by unbonding: contested and ruled in the last seconds there are, and still within reach."""
    calm(market)
    market.staking.unbond(300 * STAKE, market.risk(market.small), {"from": market.small})
    slash_id = opened(market, 6)
    slash = market.court.slash(slash_id)
    market.next_block_at(slash["executableAt"] - 1)
    contest(market, slash_id, market.small)
    market.next_block_at(market.court.slash(slash_id)["ruleBy"] - 1)
    market.court.rule(slash_id, True, [], {"from": market.admin})
    assert market.execute(slash_id).return_value == 40 * STAKE
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 260 * STAKE


def test_takes_what_is_left_when_that_is_less(market):
    calm(market)
    market.staking.unbond(290 * STAKE, market.risk(market.small), {"from": market.small})
    market.wait(140)
    slash_id = opened(market, 6)
    assert market.execute(slash_id).return_value == 10 * STAKE
    assert market.court.slash(slash_id)["amount"] == 40 * STAKE
    assert market.staking.withdrawable(market.small) == 290 * STAKE


def test_closes_a_slash_of_nothing_without_moving_tokens(market):
    calm(market)
    market.staking.unbond(300 * STAKE, market.risk(market.small), {"from": market.small})
    market.wait(140)
    slash_id = opened(market, 6)
    market.wait(6)
    purses = Purses(market, market.fresh)
    tx = market.court.execute(slash_id, {"from": market.stranger})
    assert tx.return_value == 0 and purses.moved() == {str(market.fresh): BOND, "bonds": -BOND}
    assert market.staking.provider(market.small)["status"] == 3 and stage(market, slash_id) == EXECUTED


def test_carries_out_what_was_cut_to_nothing(market):
    ids = [opened(market, 4) for _ in range(4)]
    assert [market.execute(slash_id).return_value // STAKE for slash_id in ids] == [8, 8, 4, 0]


def test_two_causes_never_take_more_than_their_own_sizes(market):
    """An outage and a wrong result in two epochs: one slash each, of the required stake, not of what is left."""
    first, second = opened(market, 5), opened(market, 7)
    assert market.execute(first).return_value == 20 * STAKE == market.execute(second).return_value
    assert market.staking.provider(market.small)["slashedTotal"] == 40 * STAKE
    assert market.stake_token.balanceOf(BURN_ADDRESS) == 12 * STAKE


def test_takes_from_delegators_what_the_provider_does_not_cover(market):
    calm(market)
    market.delegation.delegate(market.small, 100 * STAKE, {"from": market.dora})
    market.staking.unbond(290 * STAKE, market.risk(market.small), {"from": market.small})
    market.wait(140)
    slash_id = opened(market, 6)
    assert market.execute(slash_id).return_value == 40 * STAKE
    assert market.delegation.totalDelegated() == 70 * STAKE and market.staking.provider(market.small)["stake"] == 0


def test_tells_its_links(market):
    court, parameters = market.court, market.parameters["court"]
    assert court.stakeToken() == market.stake_token and court.staking() == market.staking
    assert court.escrow() == market.escrow and court.epochLedger() == market.ledger
    assert court.clock() == market.clock and court.verifiers() == market.verifiers
    assert court.challengeCourt() == market.challenges and court.guardian() == market.guardian
    assert court.authority() == market.authority
    assert court.challengeSeconds() == parameters["challenge_seconds"]
    assert court.arbitrationSeconds() == parameters["arbitration_seconds"]
    assert court.marginSeconds() == parameters["margin_seconds"] and court.leastBond() == parameters["least_bond"]

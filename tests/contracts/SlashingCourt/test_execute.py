"""execute: a slash is carried out, and what was taken is split."""

import pytest

from tests.contracts.support.market import BURN_ADDRESS, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import harmed_digest, make_leaf

REQUIRED = 200 * STAKE


def proposed(market, level, people=(), weights=()):
    """Settle a report in which the small provider has this level, and propose its slash."""
    harmed = harmed_digest(people, weights) if people else bytes(32)
    report = market.settle([make_leaf(market.small, level=level, harmed=harmed)])
    arguments = market.slash_arguments(report, market.small, people, weights)
    return market.court.propose(*arguments, {"from": market.stranger}).return_value


def execute(market, slash_id, people=(), weights=(), by=None):
    """Execute and check that the parts are the whole and that each went where the event says."""
    stake, people = market.stake_token.balanceOf, [str(person) for person in people]
    before = {who: stake(who) for who in (market.staking, market.escrow, BURN_ADDRESS)}
    fund, compensation = market.escrow.stakeSlaFund(), market.escrow.totalCompensation()
    tx = market.court.execute(slash_id, people, list(weights), {"from": by or market.stranger})
    event, taken = tx.events["SlashExecuted"], tx.return_value
    assert event["taken"] == taken == event["toHarmed"] + event["toSlaFund"] + event["burned"]
    assert stake(market.staking) == before[market.staking] - taken
    assert stake(BURN_ADDRESS) == before[BURN_ADDRESS] + event["burned"]
    assert stake(market.escrow) == before[market.escrow] + event["toHarmed"] + event["toSlaFund"]
    assert market.escrow.totalCompensation() == compensation + event["toHarmed"]
    assert market.escrow.stakeSlaFund() == fund + event["toSlaFund"]
    assert stake(market.court) == 0
    assert market.stake_token.allowance(market.court, market.escrow) == 0
    assert market.court.slash(slash_id)["taken"] == taken
    return tx


def test_refuses_what_was_never_proposed(market):
    assert refused(market.court.execute, 1, [], [], sender=market.stranger) == ("UnknownSlash", 1)


def test_refuses_a_second_inside_the_challenge_window(market):
    slash_id = proposed(market, 4)
    at = market.court.slash(slash_id)["executableAt"]
    market.wait_until(at - 1)
    found = refused(market.court.execute, slash_id, [], [], sender=market.stranger)
    assert found == ("ChallengeWindowOpen", slash_id, at, at - 1)
    market.wait_until(at)
    assert market.court.execute.call(slash_id, [], [], {"from": market.stranger}) == REQUIRED * 4 // 100


def test_refuses_other_customers_than_were_proposed(market):
    slash_id = proposed(market, 4, [market.alice], [5])
    market.wait(7)
    found = refused(market.court.execute, slash_id, [market.stranger.address], [5], sender=market.stranger)
    assert found == ("WrongHarmed", harmed_digest([market.stranger], [5]), harmed_digest([market.alice], [5]))


def test_refuses_a_second_execution(market):
    slash_id = proposed(market, 4)
    market.wait(7)
    tx = execute(market, slash_id)
    found = refused(market.court.execute, slash_id, [], [], sender=market.stranger)
    assert found == ("AlreadyExecuted", slash_id, tx.timestamp)


def test_gives_half_to_the_harmed_by_weight_burns_three_tenths_and_funds_the_rest(market):
    people, weights = [market.alice, market.bob], [3, 1]
    slash_id = proposed(market, 4, people, weights)
    market.wait(7)
    tx = execute(market, slash_id, people, weights)
    assert tx.return_value == 8 * STAKE
    event = tx.events["SlashExecuted"]
    assert (event["toHarmed"], event["toSlaFund"], event["burned"]) == (4 * STAKE, 16 * STAKE // 10, 24 * STAKE // 10)
    assert market.escrow.customer(market.alice)["compensation"] == 3 * STAKE
    assert market.escrow.customer(market.bob)["compensation"] == STAKE
    assert market.staking.provider(market.small)["stake"] == 292 * STAKE


def test_sends_dust_to_the_sla_fund(market):
    people, weights = [market.alice, market.bob, market.fresh], [1, 1, 1]
    slash_id = proposed(market, 2, people, weights)
    market.wait(7)
    event = execute(market, slash_id, people, weights).events["SlashExecuted"]
    assert event["toHarmed"] == 3 * (STAKE // 3) and event["toSlaFund"] == 4 * STAKE // 10 + 1


def test_sends_the_harmed_part_to_the_sla_fund_where_nobody_was_harmed(market):
    slash_id = proposed(market, 4)
    market.wait(7)
    event = execute(market, slash_id).events["SlashExecuted"]
    assert (event["toHarmed"], event["toSlaFund"], event["burned"]) == (0, 56 * STAKE // 10, 24 * STAKE // 10)


def test_accuser_gains_nothing(market):
    """Whoever proposes and executes, a verifier included, ends with the tokens and claims it began with."""
    accuser = market.verifier_accounts[0]

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
    market.court.propose(*market.slash_arguments(report, market.small), {"from": accuser})
    market.wait(7)
    execute(market, 1, by=accuser)
    assert wealth() == before


@pytest.mark.parametrize(
    ("level", "status", "event"), [(4, 1, None), (5, 2, "Jailed"), (6, 3, "Removed"), (7, 1, None)]
)
def test_jails_for_an_outage_and_removes_for_a_long_one(market, level, status, event):
    slash_id = proposed(market, level)
    market.wait(7)
    tx = execute(market, slash_id)
    assert market.staking.provider(market.small)["status"] == status
    assert [name for name in ("Jailed", "Removed") if name in tx.events] == ([event] if event else [])


def test_reaches_stake_that_began_to_leave_when_the_epoch_began(market):
    market.staking.unbond(300 * STAKE, {"from": market.small})
    slash_id = proposed(market, 6)
    market.wait(7)
    assert execute(market, slash_id).return_value == 40 * STAKE
    market.wait(121)
    assert market.staking.withdrawable(market.small) == 260 * STAKE


def test_takes_what_is_left_when_that_is_less(market):
    market.staking.unbond(290 * STAKE, {"from": market.small})
    market.wait(121)
    slash_id = proposed(market, 6)
    market.wait(7)
    tx = execute(market, slash_id)
    assert tx.return_value == 10 * STAKE and market.court.slash(slash_id)["amount"] == 40 * STAKE
    assert market.staking.withdrawable(market.small) == 290 * STAKE


def test_closes_a_slash_of_nothing_without_moving_tokens(market):
    market.staking.unbond(300 * STAKE, {"from": market.small})
    market.wait(121)
    slash_id = proposed(market, 6, [market.alice], [1])
    market.wait(7)
    tx = execute(market, slash_id, [market.alice], [1])
    assert tx.return_value == 0 and market.court.slash(slash_id)["executedAt"] == tx.timestamp
    assert market.staking.provider(market.small)["status"] == 3


def test_tells_its_links(market):
    court = market.court
    assert court.stakeToken() == market.stake_token and court.staking() == market.staking
    assert court.escrow() == market.escrow and court.epochLedger() == market.ledger and court.challengeSeconds() == 6

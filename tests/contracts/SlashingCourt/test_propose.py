"""propose: which leaves open a slash, of what size, against which bond."""

from dataclasses import replace

import pytest
from brownie import accounts
from eth_utils import keccak

from tests.contracts.SlashingCourt.acts import (
    BOND,
    CHALLENGE,
    DAY,
    NOBODY,
    OPEN,
    REQUIRED,
    Purses,
    opened,
    settled,
)
from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf, plain

HARMED = keccak(text="pages")
H100 = 5


def refusal(market, report, provider=None, sender=None):
    arguments = market.slash_arguments(report, provider or market.small)
    return refused(market.court.propose, *arguments, sender=sender or market.stranger)


def test_refuses_while_the_market_is_paused(market):
    report = settled(market, 4)
    market.pause()
    assert refusal(market, report) == ("StillPaused", market.guardian.pausedUntil())


def test_refuses_a_report_that_is_not_activated(market):
    report = market.submitted([make_leaf(market.small, level=4)])
    assert refusal(market, report) == ("NotActivated", 0)


def test_refuses_a_report_that_does_not_exist(market):
    report = settled(market, 4)
    _, leaf, proof = market.slash_arguments(report, market.small)
    assert refused(market.court.propose, 7, leaf, proof, sender=market.stranger) == ("NotActivated", 7)


@pytest.mark.parametrize(
    "lie", [{"slash_level": 6}, {"provider": NOBODY}, {"uptime_ppm": 1}, {"cumulative_fees": 1}, {"measured": False}]
)
def test_refuses_a_leaf_that_the_report_does_not_hold(market, lie):
    report = settled(market, 2)
    leaf, proof = market.proof(report, market.small)
    found = refused(market.court.propose, 0, plain(replace(leaf, **lie)), proof, sender=market.stranger)
    assert found == ("NotInRoot", 0, lie.get("provider", market.small.address.lower()))


def test_refuses_a_leaf_replayed_from_another_epoch(market):
    first = settled(market, 4)
    settled(market, 0)
    _, leaf, proof = market.slash_arguments(first, market.small)
    found = refused(market.court.propose, 1, leaf, proof, sender=market.stranger)
    assert found == ("NotInRoot", 1, market.small.address.lower())


@pytest.mark.parametrize("level", [0, 1])
def test_refuses_levels_that_cost_no_stake(market, level):
    assert refusal(market, settled(market, level)) == ("NothingToSlash", level, 2)


@pytest.mark.parametrize("level", [9, 255])
def test_refuses_levels_that_no_leaf_has(market, level):
    """Nine is the code of two receipts, which needs a proof: no report may claim it."""
    assert refusal(market, settled(market, level)) == ("UnknownCode", level, 8)


def test_refuses_a_second_for_the_same_provider_and_epoch(market):
    report = settled(market, 3)
    market.propose(report, market.small)
    assert refusal(market, report) == ("AlreadyProposed", 1)


def test_refuses_a_second_after_the_first_was_cancelled(market, as_challenges):
    report = settled(market, 3)
    slash_id = market.propose(report, market.small)
    market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    assert refusal(market, report) == ("AlreadyProposed", 1)


def test_refuses_to_slash_somebody_who_never_registered(market):
    report = market.settle([make_leaf(market.fresh, level=4)])
    assert refusal(market, report, market.fresh) == ("NotRegistered", market.fresh.address.lower())


def test_refuses_after_the_statute_and_not_a_second_before(market):
    report = settled(market, 3)
    deadline = market.ledger.record(0)["activatesAt"] + 28 * DAY
    market.wait_until(deadline)
    assert market.court.propose.call(*market.slash_arguments(report, market.small), {"from": market.stranger}) == 1
    market.wait_until(deadline + 1)
    assert refusal(market, report) == ("OutOfStatute", deadline, deadline + 1)


def test_refuses_a_proposer_without_a_bond(market):
    report = settled(market, 3)
    found = refusal(market, report, sender=accounts[12])
    assert found == ("ERC20InsufficientAllowance", market.court.address.lower(), 0, BOND)


@pytest.mark.parametrize(("level", "percent"), [(2, 1), (3, 2), (4, 4), (5, 10), (6, 20), (7, 10), (8, 10)])
def test_sizes_are_those_of_the_matrix(market, level, percent):
    report = settled(market, level, harms={market.small: HARMED})
    purses = Purses(market, market.fresh)
    tx = market.court.propose(*market.slash_arguments(report, market.small), {"from": market.fresh})
    amount = REQUIRED * percent // 100
    assert market.court.codePpm(level) == percent * 10_000
    assert tx.return_value == 1 == market.court.slashCount() == market.court.slashOf(market.small, 0)
    assert purses.moved() == {str(market.fresh): -BOND, "bonds": BOND}
    told = {
        "provider": market.small,
        "epoch": 0,
        "code": level,
        "amount": amount,
        "executableAt": tx.timestamp + CHALLENGE,
        "proposer": market.fresh,
        "bond": BOND,
        "harmed": "0x" + HARMED.hex(),
        "queued": False,
    }
    assert dict(tx.events["SlashProposed"]) == told | {"id": 1}
    assert "SlashCut" not in tx.events
    rest = {"stage": OPEN, "proposedAt": tx.timestamp, "ruleBy": 0, "contestant": NOBODY}
    rest |= {"taken": 0, "harmedPart": 0, "harmedGiven": 0, "pagesGiven": 0}
    assert market.court.slash(1).dict() == told | rest


def test_what_nobody_proposed_is_all_zero(market):
    assert market.court.slash(1)["stage"] == 0 and market.court.slashOf(market.small, 0) == 0


def test_codes_below_two_have_no_size_and_above_nine_none_exists(market):
    assert [market.court.codePpm(code) for code in (0, 1, 9)] == [0, 0, 250_000]
    assert refused(market.court.codePpm, 10, sender=market.stranger) == ("UnknownCode", 10, 9)


def test_the_bond_is_one_percent_of_a_large_amount(market):
    """One hundredth from a thousand stake tokens on; here twenty per cent of two hundred million."""
    market.register(market.fresh, H100, 10_000)
    market.staking.stake(300_000_000 * STAKE, {"from": market.fresh})
    report = market.settle([make_leaf(market.fresh, level=6)])
    slash_id = market.propose(report, market.fresh)
    amount = market.court.slash(slash_id)["amount"]
    assert amount == market.staking.requiredStake(H100, 10_000) // 5
    assert market.court.slash(slash_id)["bond"] == amount // 100 > BOND
    assert [market.court.bondFor(a) for a in (0, 1000 * STAKE, 1000 * STAKE + 100)] == [BOND, BOND, BOND + 1]


def test_availability_is_capped_at_ten_percent_in_thirty_days(market):
    """4 + 4 + 4: the third is cut to 2, a fourth to nothing; an outage beside them is not. After 30 days all is new."""
    amounts, cuts, first = [], [], None
    for level in (4, 4, 4, 2, 5):
        report = settled(market, level)
        tx = market.court.propose(*market.slash_arguments(report, market.small), {"from": market.stranger})
        first = tx if first is None else first
        amounts.append(tx.events["SlashProposed"]["amount"] * 100 // REQUIRED)
        cuts += [(cut["full"], cut["amount"]) for cut in tx.events["SlashCut"]] if "SlashCut" in tx.events else []
    assert amounts == [4, 4, 2, 0, 10]
    percent = REQUIRED // 100
    assert cuts == [(4 * percent, 2 * percent), (percent, 0)]
    assert market.court.availabilityLeftPpm(market.small) == 0
    assert market.court.availabilityLeftPpm(market.large) == 100_000, "a window of its own"
    market.wait_until(first.timestamp + 30 * DAY - 1)
    assert market.court.availabilityLeftPpm(market.small) == 0
    market.wait_until(first.timestamp + 30 * DAY)
    assert market.court.availabilityLeftPpm(market.small) == 40_000
    market.wait(600)
    assert market.court.availabilityLeftPpm(market.small) == 100_000


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_a_cancelled_slash_gives_its_share_of_the_window_back(market, as_challenges, cancelled):
    """Of 4, 4 and the remaining 2 one is cancelled, the first, a middle or the last."""
    ids = [opened(market, 4) for _ in range(3)]
    assert market.court.availabilityLeftPpm(market.small) == 0
    market.court.cancel(ids[cancelled], market.bob, {"from": as_challenges})
    assert market.court.availabilityLeftPpm(market.small) == (40_000, 40_000, 20_000)[cancelled]
    others = [slash_id for slash_id in ids if slash_id != ids[cancelled]]
    for slash_id in others:
        market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    assert market.court.availabilityLeftPpm(market.small) == 100_000


def test_a_slash_cancelled_after_its_window_passed_gives_nothing_back(market, as_challenges):
    slash_id = opened(market, 4)
    market.wait(30 * DAY)
    later = opened(market, 3)
    market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    assert market.court.availabilityLeftPpm(market.small) == 80_000
    market.court.cancel(later, market.bob, {"from": as_challenges})
    assert market.court.availabilityLeftPpm(market.small) == 100_000


def test_cancelling_an_outage_leaves_the_window_alone(market, as_challenges):
    opened(market, 4)
    slash_id = opened(market, 5)
    market.court.cancel(slash_id, market.bob, {"from": as_challenges})
    assert market.court.availabilityLeftPpm(market.small) == 60_000


def test_a_slash_leaves_claims_alone(market):
    report = market.settle([make_leaf(market.small, 9 * PAY, level=4)], charges={market.alice: 10 * PAY})
    market.propose(report, market.small)
    balance = market.payment_token.balanceOf(market.small)
    market.ledger.claim(*market.claim_arguments(report, market.small), {"from": market.small})
    assert market.payment_token.balanceOf(market.small) == balance + 9 * PAY

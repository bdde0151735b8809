"""commitDays: a verifier binds itself to its measurements before anybody shows theirs."""

import pytest
from eth_utils import keccak

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

COMMITMENT = keccak(b"attestation")


@pytest.fixture
def patient(market, built):
    """Deploy operators on a clock whose reports wait eleven seconds; returns clock, operators, a member."""
    sender = {"from": market.admin}
    rules, limits = tuple(market.clock.rules()), tuple(market.clock.limits())
    clock = built.EpochClock.deploy(market.authority, (1, 60, 4, 11), rules, limits, sender)
    links = (market.stake_token, clock, market.court, market.guardian)
    them = built.BondedOperators.deploy(*links, (STAKE, 3, 1, 1, 120), sender)
    market.stake_token.approve(them, STAKE, {"from": market.fresh})
    them.join("http://x", {"from": market.fresh})
    return clock, them, market.fresh


def test_refuses_strangers_and_nothing(market):
    found = refused(market.verifiers.commitDays, 0, COMMITMENT, sender=market.stranger)
    assert found == ("NotMember", market.stranger.address.lower())
    verifier = market.verifier_accounts[0]
    assert refused(market.verifiers.commitDays, 0, bytes(32), sender=verifier) == ("ZeroCommitment",)


def test_refuses_before_anybody_knows_when_the_epoch_ends(unopened):
    found = refused(unopened.verifiers.commitDays, 0, COMMITMENT, sender=unopened.verifier_accounts[0])
    assert found == ("NotOpen",)


def test_takes_it_from_the_end_of_the_epoch_to_half_of_the_report_delay_to_the_second(market, patient):
    clock, them, member = patient
    clock.open(market.now() + 5, {"from": market.admin})
    end = clock.epochEnd(0)
    market.wait_until(end - 1)
    found = refused(them.commitDays, 0, COMMITMENT, sender=member)
    assert found == ("OutsideCommitWindow", 0, end, end + 5, end - 1)
    market.wait_until(end)
    assert them.commitDays.call(0, COMMITMENT, {"from": member}) == ()
    market.wait_until(end + 5)
    assert them.commitDays.call(0, COMMITMENT, {"from": member}) == ()
    found = refused(them.commitDays, 1, COMMITMENT, sender=member)
    assert found == ("OutsideCommitWindow", 1, end + 60, end + 65, end + 5)
    market.wait_until(end + 6)
    found = refused(them.commitDays, 0, COMMITMENT, sender=member)
    assert found == ("OutsideCommitWindow", 0, end, end + 5, end + 6)


def test_keeps_the_first_commitment_for_each_epoch(market, patient):
    clock, them, member = patient
    clock.open(market.now() + 5, {"from": market.admin})
    market.wait_until(clock.epochEnd(0))
    tx = them.commitDays(0, COMMITMENT, {"from": member})
    assert tx.events["DaysCommitted"] == {"operator": member, "epoch": 0, "commitment": "0x" + COMMITMENT.hex()}
    assert them.daysCommitment(member, 0) == "0x" + COMMITMENT.hex()
    assert them.daysCommitment(member, 1) == "0x" + "00" * 32
    assert them.seedCommitment(member, 0) == "0x" + "00" * 32, "plans and measurements are two things"
    found = refused(them.commitDays, 0, keccak(b"better"), sender=member)
    assert found == ("DaysAlreadyCommitted", member.address.lower(), 0)
    market.wait_until(clock.epochEnd(1))
    them.commitDays(1, keccak(b"next"), {"from": member})


def test_a_clock_without_report_delay_leaves_a_single_second(market):
    verifier, end = market.verifier_accounts[0], market.clock.epochEnd(0)
    market.wait_until(end - 5)
    market.next_block_at(end)
    market.verifiers.commitDays(0, COMMITMENT, {"from": verifier})
    assert market.verifiers.daysCommitment(verifier, 0) == "0x" + COMMITMENT.hex()
    found = refused(market.verifiers.commitDays, 1, COMMITMENT, sender=verifier)
    assert found[:4] == ("OutsideCommitWindow", 1, end + 60, end + 60)

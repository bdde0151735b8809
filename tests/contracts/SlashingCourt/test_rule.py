"""rule: the arbitrator upholds or overturns, in time, and may blame those who signed, all of them."""

import pytest
from eth_abi import encode
from eth_utils import keccak

from tests.contracts.SlashingCourt.acts import (
    BOND,
    CANCELLED,
    NOBODY,
    OPEN,
    UPHELD,
    VERIFIER_BOND,
    Purses,
    bond_events,
    contested,
    opened,
    shares,
    stage,
)
from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf


def rule(market, slash_id, upheld, blamed=()):
    return market.court.rule(slash_id, upheld, list(blamed), {"from": market.admin})


def refusal(market, slash_id, upheld=True, blamed=(), sender=None):
    return refused(market.court.rule, slash_id, upheld, list(blamed), sender=sender or market.admin)


def signers_hash(people):
    return keccak(encode(["address[]"], [list(people)]))


def test_refuses_everybody_but_the_arbitrator(market):
    slash_id = contested(market)
    for person in (market.stranger, market.small, market.fresh, market.verifier_accounts[0]):
        found = refusal(market, slash_id, sender=person)
        assert found == ("AccessManagedUnauthorized", person.address.lower())


def test_refuses_what_was_never_proposed(market):
    assert refusal(market, 1) == ("UnknownSlash", 1)


def test_refuses_what_nobody_contested(market):
    slash_id = opened(market)
    assert refusal(market, slash_id) == ("WrongStage", slash_id, OPEN)


def test_refuses_a_second_ruling(market):
    slash_id = contested(market)
    rule(market, slash_id, True)
    assert refusal(market, slash_id, False) == ("WrongStage", slash_id, UPHELD)


@pytest.mark.parametrize("upheld", [True, False])
def test_refuses_a_late_ruling_and_not_a_second_before(market, upheld):
    slash_id = contested(market)
    until = market.court.slash(slash_id)["ruleBy"]
    market.wait_until(until - 1)
    market.court.rule.call(slash_id, upheld, [], {"from": market.admin})
    market.wait_until(until)
    assert refusal(market, slash_id, upheld) == ("RulingLate", slash_id, until, until)


def test_refuses_to_uphold_and_blame_at_once(market):
    slash_id = contested(market)
    blamed = market.signers()
    assert refusal(market, slash_id, True, blamed) == ("WrongSigners", signers_hash(blamed), signers_hash([]))


@pytest.mark.parametrize("wrong", ["one of them", "another order", "somebody else", "more"])
def test_refuses_to_blame_anybody_but_all_who_signed(market, wrong):
    slash_id = contested(market)
    right = market.signers()
    lists = {
        "one of them": right[:1],
        "another order": right[::-1],
        "somebody else": [right[0], market.stranger.address],
        "more": market.signers((0, 1, 2)),
    }
    found = refusal(market, slash_id, False, lists[wrong])
    assert found == ("WrongSigners", signers_hash(lists[wrong]), signers_hash(right))


def test_upheld_the_contestant_pays_half_to_the_proposer_and_half_to_the_fire(market):
    slash_id = contested(market)
    purses = Purses(market, market.fresh, market.small)
    tx = rule(market, slash_id, True)
    assert purses.moved() == {str(market.fresh): BOND // 2, "fire": BOND // 2, "bonds": -BOND}
    assert dict(tx.events["SlashRuled"]) == {"id": slash_id, "upheld": True}
    assert bond_events(tx) == [(market.small, 0, market.fresh, BOND // 2, BOND // 2)]
    assert stage(market, slash_id) == UPHELD and "SlashCancelled" not in tx.events


def test_upheld_it_is_carried_out_when_its_challenge_window_is_over(market):
    slash_id = contested(market)
    rule(market, slash_id, True)
    at = market.court.slash(slash_id)["executableAt"]
    found = refused(market.court.execute, slash_id, sender=market.stranger)
    assert found[:3] == ("ChallengeWindowOpen", slash_id, at)
    assert market.execute(slash_id).return_value == 8 * STAKE


def test_overturned_the_proposer_pays_half_to_the_contestant_and_half_to_the_fire(market):
    slash_id = contested(market)
    purses = Purses(market, market.fresh, market.small)
    tx = rule(market, slash_id, False)
    assert purses.moved() == {str(market.small): BOND + BOND // 2, "fire": BOND // 2, "bonds": -2 * BOND}
    assert dict(tx.events["SlashRuled"]) == {"id": slash_id, "upheld": False}
    assert dict(tx.events["SlashCancelled"]) == {"id": slash_id, "by": market.admin}
    assert bond_events(tx) == [
        (market.fresh, 0, market.small, BOND // 2, BOND // 2),
        (market.small, BOND, NOBODY, 0, 0),
    ]
    assert stage(market, slash_id) == CANCELLED and market.staking.provider(market.small)["stake"] == 300 * STAKE
    assert all(market.verifiers.isMember(one) for one in market.verifier_accounts[:3])


def test_vindicated_is_paid_from_the_bonds_of_those_who_signed(market):
    """A tenth of two bonds of 5,000 is 1,000: 8 to the provider, of the rest 30 % to the fire and 70 % to the fund."""
    slash_id = contested(market)
    purses = Purses(market, market.small, market.admin, *market.verifier_accounts)
    tx = rule(market, slash_id, False, market.signers())
    taken, lost = 2 * VERIFIER_BOND // 10, 8 * STAKE
    (burned,) = shares(taken - lost, 300_000)
    assert purses.moved() == {
        str(market.small): BOND + BOND // 2 + lost,
        "fire": BOND // 2 + burned,
        "fund": taken - lost - burned,
        "bonds": -2 * BOND,
        "verifiers": -taken,
    }
    assert [(e["verifier"], e["epoch"], e["taken"]) for e in tx.events["VerifierSlashed"]] == [
        (signer, 0, VERIFIER_BOND // 10) for signer in market.signers()
    ]
    assert dict(tx.events["VerifierSlashSplit"]) == {
        "epoch": 0,
        "vindicated": market.small,
        "toVindicated": lost,
        "prover": NOBODY,
        "toProver": 0,
        "toSlaFund": taken - lost - burned,
        "burned": burned,
    }
    assert [market.verifiers.isMember(one) for one in market.verifier_accounts[:3]] == [False, False, True]


def test_those_who_signed_pay_once_for_a_report_however_many_slashes_of_it_are_overturned(market):
    report = market.settle([make_leaf(market.small, level=3), make_leaf(market.large, level=2)])
    ids = [market.propose(report, who, proposer=market.fresh) for who in (market.small, market.large)]
    for slash_id in ids:
        market.court.contest(slash_id, bytes(32), {"from": market.bob})
        rule(market, slash_id, False, market.signers())
    assert market.verifiers.totalBonds() == 3 * VERIFIER_BOND - 2 * VERIFIER_BOND // 10

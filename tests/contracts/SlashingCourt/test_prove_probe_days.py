"""proveProbeDays: a verifier that says two things of one provider and epoch loses its whole bond."""

import pytest
from eth_abi import encode
from eth_utils import keccak

from tests.contracts.ChallengeCourt.attested import FULL, malleated, probe_day, sign_day
from tests.contracts.SlashingCourt.acts import NOBODY, VERIFIER_BOND, Purses, shares
from tests.contracts.support.market import VERIFIER_KEYS
from tests.contracts.support.refusals import refused

NUMBER = 0
"""Of the verifier that signs."""


def shown(market, a, b, keys=(VERIFIER_KEYS[NUMBER],) * 2, grounds=None):
    ground_a, ground_b = grounds or [market.ground] * 2
    return a, sign_day(ground_a, keys[0], a), b, sign_day(ground_b, keys[1], b)


def pair(market, number=NUMBER, provider=None, epoch=0):
    provider = provider or market.small
    days = probe_day(provider, epoch, FULL), probe_day(provider, epoch, FULL & ~1)
    return shown(market, *days, (VERIFIER_KEYS[number],) * 2)


def prove(market, arguments):
    return market.court.proveProbeDays(*arguments, {"from": market.stranger})


def refusal(market, arguments):
    return refused(market.court.proveProbeDays, *arguments, sender=market.stranger)


def test_refuses_days_of_two_providers_or_epochs(market):
    a = probe_day(market.small, 0, FULL)
    for b in (probe_day(market.large, 0, FULL & ~1), probe_day(market.small, 1, FULL & ~1)):
        assert refusal(market, shown(market, a, b)) == ("NotEquivocal",)


def test_refuses_one_day_shown_twice_in_whatever_form(market):
    one = probe_day(market.small, 0, FULL)
    signature = sign_day(market.ground, VERIFIER_KEYS[NUMBER], one)
    assert refusal(market, (one, signature, one, signature)) == ("NotEquivocal",)
    assert refusal(market, (one, signature, one, malleated(signature))) == ("NotEquivocal",)


def test_refuses_days_by_two_verifiers(market):
    a, b = probe_day(market.small, 0, FULL), probe_day(market.small, 0, FULL & ~1)
    found = refusal(market, shown(market, a, b, VERIFIER_KEYS[:2]))
    first, second = (market.verifier_accounts[i].address.lower() for i in (0, 1))
    assert found == ("WrongSigner", second, first)


@pytest.mark.parametrize("which", [1, 3])
def test_refuses_signatures_that_are_none(market, which):
    arguments = list(pair(market))
    right = arguments[which]
    for wrong in (malleated(right), right[:64], b"", bytes(65)):
        arguments[which] = wrong
        assert refusal(market, arguments)[0] == "WrongSigner"


def test_refuses_two_signatures_by_nobody(market):
    a, _, b, _ = pair(market)
    assert refusal(market, (a, bytes(65), b, bytes(65))) == ("WrongSigner", NOBODY, NOBODY)


@pytest.mark.parametrize("change", ["chain", "contract"])
def test_refuses_days_of_another_chain_or_deployment(market, change):
    chain_id, ledger = market.ground
    elsewhere = {"chain": (chain_id + 1, ledger), "contract": (chain_id, market.staking.address)}[change]
    a, b = probe_day(market.small, 0, FULL), probe_day(market.small, 0, FULL & ~1)
    assert refusal(market, shown(market, a, b, grounds=[market.ground, elsewhere]))[0] == "WrongSigner"


def test_refuses_somebody_without_a_bond_and_does_not_use_the_proof_up(market):
    """Otherwise one could have oneself convicted first, join then, and say two things for nothing."""
    arguments = pair(market, 3)
    outsider = market.verifier_accounts[3]
    assert refusal(market, arguments) == ("NothingBonded", outsider.address.lower())
    market.verifiers.leave({"from": market.verifier_accounts[2]})
    market.verifiers.join("http://late", {"from": outsider})
    assert prove(market, arguments).events["VerifierSlashed"]["taken"] == VERIFIER_BOND


def test_refuses_what_was_shown_before_though_the_verifier_has_joined_again(market):
    arguments, verifier = pair(market), market.verifier_accounts[NUMBER]
    prove(market, arguments)
    market.verifiers.join("http://again", {"from": verifier})
    key = keccak(
        encode(["string", "address", "address", "uint64"], ["ProbeDay", verifier.address, market.small.address, 0])
    )
    assert refusal(market, arguments) == ("AlreadyPunished", key)
    other = probe_day(market.small, 0, FULL & ~2)
    third = (*arguments[:2], other, sign_day(market.ground, VERIFIER_KEYS[NUMBER], other))
    assert refusal(market, third) == ("AlreadyPunished", key), "a third day is the same offence"
    assert prove(market, pair(market, provider=market.large)).events["VerifierSlashed"]["taken"] == VERIFIER_BOND


def test_takes_the_whole_bond(market):
    arguments, verifier = pair(market), market.verifier_accounts[NUMBER]
    purses = Purses(market, market.stranger, verifier, market.small, market.court)
    tx = prove(market, arguments)
    to_prover, burned = shares(VERIFIER_BOND, 200_000, 300_000)
    to_fund = VERIFIER_BOND - to_prover - burned
    assert purses.moved() == {
        str(market.stranger): to_prover,
        "fire": burned,
        "fund": to_fund,
        "verifiers": -VERIFIER_BOND,
    }
    assert dict(tx.events["DaysEquivocated"]) == {
        "verifier": verifier,
        "provider": market.small,
        "epoch": 0,
        "prover": market.stranger,
    }
    assert dict(tx.events["VerifierSlashed"]) == {"verifier": verifier, "epoch": 0, "taken": VERIFIER_BOND}
    assert dict(tx.events["VerifierSlashSplit"]) == {
        "epoch": 0,
        "vindicated": NOBODY,
        "toVindicated": 0,
        "prover": market.stranger,
        "toProver": to_prover,
        "toSlaFund": to_fund,
        "burned": burned,
    }
    assert not market.verifiers.isMember(verifier)


def test_a_different_histogram_is_a_different_day(market):
    a, b = probe_day(market.small, 0, FULL, 1), probe_day(market.small, 0, FULL, 2)
    assert prove(market, shown(market, a, b)).events["VerifierSlashed"]["taken"] == VERIFIER_BOND


def test_reaches_a_verifier_that_has_left_until_its_bond_is_its_own(market):
    verifier = market.verifier_accounts[NUMBER]
    market.verifiers.leave({"from": verifier})
    release = market.verifiers.member(verifier)["releaseAt"]
    market.wait_until(release - 1)
    assert market.court.proveProbeDays.call(*pair(market), {"from": market.stranger}) in (None, ())
    market.wait_until(release)
    assert refusal(market, pair(market)) == ("NothingBonded", verifier.address.lower())


def test_is_possible_while_the_market_is_paused(market):
    market.pause()
    prove(market, pair(market))

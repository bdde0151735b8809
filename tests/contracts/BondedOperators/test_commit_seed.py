"""commitSeed: a verifier binds itself before an epoch begins."""

from eth_utils import keccak

from tests.contracts.support.refusals import refused

COMMITMENT = keccak(keccak(text="seed"))


def test_refuses_strangers_and_nothing(market):
    found = refused(market.verifiers.commitSeed, 1, COMMITMENT, sender=market.stranger)
    assert found == ("NotMember", market.stranger.address.lower())
    verifier = market.verifier_accounts[0]
    assert refused(market.verifiers.commitSeed, 1, bytes(32), sender=verifier) == ("ZeroCommitment",)


def test_refuses_before_anybody_knows_when_the_epoch_begins(unopened):
    found = refused(unopened.verifiers.commitSeed, 0, COMMITMENT, sender=unopened.verifier_accounts[0])
    assert found == ("NotOpen",)


def test_refuses_an_epoch_that_has_begun_to_the_second(market):
    verifier, start = market.verifier_accounts[0], market.clock.epochStart(1)
    found = refused(market.verifiers.commitSeed, 0, COMMITMENT, sender=verifier)
    assert found[:2] == ("EpochBegun", 0)
    market.wait_until(start - 1)
    assert market.verifiers.commitSeed.call(1, COMMITMENT, {"from": verifier}) == ()
    market.wait_until(start)
    found = refused(market.verifiers.commitSeed, 1, COMMITMENT, sender=verifier)
    assert found == ("EpochBegun", 1, start, start)


def test_keeps_the_first_commitment_for_each_epoch(market):
    verifier = market.verifier_accounts[0]
    tx = market.verifiers.commitSeed(1, COMMITMENT, {"from": verifier})
    assert tx.events["SeedCommitted"] == {"operator": verifier, "epoch": 1, "commitment": "0x" + COMMITMENT.hex()}
    assert market.verifiers.seedCommitment(verifier, 1) == "0x" + COMMITMENT.hex()
    assert market.verifiers.seedCommitment(verifier, 2) == "0x" + "00" * 32
    found = refused(market.verifiers.commitSeed, 1, keccak(b"better"), sender=verifier)
    assert found == ("SeedAlreadyCommitted", verifier.address.lower(), 1)
    market.verifiers.commitSeed(2, keccak(b"next"), {"from": verifier})


def test_lets_seeds_for_epoch_zero_be_committed_between_opening_and_genesis(unopened):
    genesis = unopened.now() + 100
    unopened.clock.open(genesis, {"from": unopened.admin})
    verifier = unopened.verifier_accounts[0]
    unopened.verifiers.commitSeed(0, COMMITMENT, {"from": verifier})
    assert unopened.verifiers.seedCommitment(verifier, 0) == "0x" + COMMITMENT.hex()

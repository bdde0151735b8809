"""register: who becomes a provider."""

from eth_utils import keccak

from tests.contracts.support.market import CPU, STAKE, T4
from tests.contracts.support.refusals import refused

DIGEST = keccak(text="offer")
ZERO = "0x" + "00" * 20


def arguments(signer, hardware_class=CPU, units=1, digest=DIGEST, region="local", endpoint="http://x"):
    return signer, hardware_class, units, digest, region, endpoint


def test_refuses_a_second_registration(market):
    found = refused(market.staking.register, *arguments(market.bob), sender=market.small)
    assert found == ("AlreadyRegistered", market.small.address.lower())


def test_refuses_a_signer_of_another_provider(market):
    taken = market.staking.signerOf(market.small)
    found = refused(market.staking.register, *arguments(taken), sender=market.fresh)
    assert found == ("SignerTaken", taken.lower(), market.small.address.lower())


def test_refuses_a_signer_that_another_provider_used_once(market):
    old = market.staking.signerOf(market.small)
    market.staking.update(market.bob, DIGEST, "local", "http://x", {"from": market.small})
    found = refused(market.staking.register, *arguments(old), sender=market.fresh)
    assert found == ("SignerTaken", old.lower(), market.small.address.lower())


def test_refuses_what_lies_outside_its_bounds(market):
    def refusal(**changes):
        return refused(market.staking.register, *arguments(market.bob, **changes), sender=market.fresh)

    assert refusal(hardware_class=6) == ("UnknownHardwareClass", 6, 5)
    assert refusal(units=0) == ("OutOfBounds", "units", 0, 1, 10_000)
    assert refusal(units=10_001) == ("OutOfBounds", "units", 10_001, 1, 10_000)
    assert refusal(digest=bytes(32)) == ("ZeroDigest",)
    assert refusal(region="") == ("OutOfBounds", "region bytes", 0, 1, 32)
    assert refusal(region="r" * 33) == ("OutOfBounds", "region bytes", 33, 1, 32)
    assert refusal(endpoint="") == ("OutOfBounds", "endpoint bytes", 0, 1, 200)
    assert refusal(endpoint="e" * 201) == ("OutOfBounds", "endpoint bytes", 201, 1, 200)
    found = refused(market.staking.register, *arguments(ZERO), sender=market.fresh)
    assert found == ("ZeroAddress", "signer")


def test_refuses_while_paused(market):
    market.pause()
    found = refused(market.staking.register, *arguments(market.bob), sender=market.fresh)
    assert found == ("StillPaused", market.guardian.pausedUntil())


def test_makes_the_caller_a_provider_without_work_until_it_has_staked(market):
    count = market.staking.providerCount()
    tx = market.staking.register(*arguments(market.bob, T4, 3), {"from": market.fresh})
    event = tx.events["ProviderRegistered"]
    assert event["provider"] == market.fresh and event["signer"] == market.bob
    assert (event["hardwareClass"], event["units"], event["offerDigest"]) == (T4, 3, "0x" + DIGEST.hex())
    assert (event["region"], event["endpoint"]) == ("local", "http://x")
    view = market.staking.provider(market.fresh).dict()
    assert view["status"] == 1 and view["weight"] == 4 and view["requiredStake"] == 800 * STAKE
    assert view["registeredAt"] == tx.timestamp and view["stake"] == 0
    assert market.staking.providerOfSigner(market.bob) == market.fresh
    assert market.staking.signerOf(market.fresh) == market.bob
    assert not market.staking.isActive(market.fresh)
    assert market.staking.providerCount() == count, "a place in the list costs stake"

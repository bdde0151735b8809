"""update: a provider changes what it said about itself."""

from eth_utils import keccak

from tests.contracts.support.market import CPU, REMOVAL
from tests.contracts.support.refusals import refused

DIGEST = keccak(text="another offer")


def test_refuses_who_is_no_provider(market):
    found = refused(market.staking.update, market.bob, DIGEST, "eu", "http://y", sender=market.fresh)
    assert found == ("NotRegistered", market.fresh.address.lower())


def test_refuses_a_removed_provider(market, as_court):
    market.staking.slash(market.small, 0, REMOVAL, {"from": as_court})
    found = refused(market.staking.update, market.bob, DIGEST, "eu", "http://y", sender=market.small)
    assert found == ("ProviderRemoved", market.small.address.lower())


def test_refuses_the_signer_of_another(market):
    taken = market.staking.signerOf(market.large)
    found = refused(market.staking.update, taken, DIGEST, "eu", "http://y", sender=market.small)
    assert found == ("SignerTaken", taken.lower(), market.large.address.lower())


def test_refuses_an_empty_offer(market):
    found = refused(market.staking.update, market.bob, bytes(32), "eu", "http://y", sender=market.small)
    assert found == ("ZeroDigest",)


def test_changes_signer_offer_region_and_endpoint_and_nothing_else(market):
    before = market.staking.provider(market.small).dict()
    tx = market.staking.update(market.bob, DIGEST, "eu", "http://y", {"from": market.small})
    event = tx.events["ProviderUpdated"]
    assert (event["provider"], event["signer"]) == (market.small, market.bob)
    assert (event["offerDigest"], event["region"], event["endpoint"]) == ("0x" + DIGEST.hex(), "eu", "http://y")
    after = market.staking.provider(market.small).dict()
    changed = {"signer", "offerDigest", "region", "endpoint"}
    assert {name for name in after if after[name] != before[name]} == changed
    assert market.staking.providerOfSigner(before["signer"]) == market.small, "old receipts still find their provider"


def test_lets_a_provider_return_to_a_signer_of_its_own(market):
    old = market.staking.signerOf(market.small)
    market.staking.update(market.bob, DIGEST, "eu", "http://y", {"from": market.small})
    market.staking.update(old, DIGEST, "eu", "http://y", {"from": market.small})
    assert market.staking.signerOf(market.small) == old
    assert market.staking.provider(market.small)["hardwareClass"] == CPU

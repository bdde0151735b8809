"""What is known of the chain: kept when the RPC is down, also across a restart."""

from __future__ import annotations

import dataclasses

import pytest

from marketplace.agent.errors import ChainUnreachable, NotRegistered, OfferDiffers
from marketplace.agent.facts import KnownFacts
from marketplace.agent.run import check_registration
from tests.marketplace.agent.harness import OWNER, SIGNER, STRANGER, facts_for, read_provider_file, write_provider_file


class Source:
    """A reading of the chain that may be switched off."""

    def __init__(self, facts) -> None:
        self.facts = facts
        self.down = False

    async def __call__(self):
        if self.down:
            raise ConnectionError("the RPC is down")
        return self.facts


async def test_facts_stay_in_force_while_the_rpc_is_down_and_across_a_restart(tmp_path, offer):
    source = Source(facts_for(offer, {"0xaa": "http://gateway"}))
    known = KnownFacts(source, tmp_path / "chain.json")
    await known.start(OWNER)
    source.down = True
    with pytest.raises(ConnectionError):
        await known.refresh()
    assert known.current.gateways == {"0xaa": "http://gateway"}
    await known.stop()
    again = KnownFacts(source, tmp_path / "chain.json")
    await again.start(OWNER)
    assert again.current == source.facts
    assert again.failing_since is not None
    source.down = False
    await again.refresh()
    assert again.failing_since is None
    await again.stop()


async def test_nothing_known_and_nobody_to_ask_is_an_error_that_says_what_to_do(tmp_path, offer):
    source = Source(facts_for(offer, {}))
    source.down = True
    with pytest.raises(ChainUnreachable) as caught:
        await KnownFacts(source, tmp_path / "chain.json").start(OWNER)
    assert caught.value.exit_code == 4 and "BONDED_RPC_URLS" in caught.value.mend


async def test_what_was_remembered_for_another_provider_is_not_used(tmp_path, offer):
    source = Source(facts_for(offer, {}))
    known = KnownFacts(source, tmp_path / "chain.json")
    await known.start(OWNER)
    await known.stop()
    source.down = True
    with pytest.raises(ChainUnreachable):
        await KnownFacts(source, tmp_path / "chain.json").start("0x" + "bb" * 20)


async def test_the_background_reading_sees_a_gateway_join(tmp_path, offer):
    import asyncio

    source = Source(facts_for(offer, {}))
    known = KnownFacts(source, tmp_path / "chain.json", every_s=0.01)
    await known.start(OWNER)
    source.facts = dataclasses.replace(source.facts, gateways={"0xaa": "http://gateway"})
    async with asyncio.timeout(5):
        while not known.current.gateways:
            await asyncio.sleep(0.01)
    await known.stop()


@pytest.mark.parametrize(
    ("changes", "error", "mend"),
    [
        ({"status": 0}, NotRegistered, "bonded provider register"),
        ({"signer": STRANGER.address}, NotRegistered, "keystore"),
        ({"offer_digest": "0x" + "00" * 32}, OfferDiffers, "bonded provider update"),
    ],
)
def test_serving_is_refused_when_the_registration_does_not_fit(tmp_path, offer, changes, error, mend):
    config = read_provider_file(write_provider_file(tmp_path))
    facts = dataclasses.replace(facts_for(offer, {}), **changes)
    with pytest.raises(error) as caught:
        check_registration(config, offer, SIGNER, facts)
    assert mend in caught.value.mend
    check_registration(config, offer, SIGNER, facts_for(offer, {}))

"""The directory: who gets into the market, who does not and why, and what stays when chain or agents are away."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace

import openai
import pytest

from contracts.errors import ChainUnavailable
from contracts.types import ProviderStatus
from marketplace.gateway.offers import BadOffer, read_offer
from rewards.canonical import canonical_json

MODEL = "mock-model"
HELLO = [{"role": "user", "content": "Say hello."}]


def problem(town, provider) -> str:
    return next(line["problem"] for line in town.directory.snapshot() if line["provider"] == provider.owner)


async def serve(town) -> None:
    await town.client().chat.completions.create(model=MODEL, messages=HELLO)


async def test_rpc_being_down_empties_nothing(town) -> None:
    await town.add()
    town.chain.down = True
    for _ in range(3):
        with pytest.raises(ChainUnavailable):
            await town.directory.refresh()
        await serve(town)
    assert town.directory.provider_count == 1
    town.chain.down = False
    await town.directory.refresh()
    await serve(town)


async def test_the_background_outlives_a_chain_that_is_down(town) -> None:
    await town.add()
    town.directory._every_s = 0.01
    task = asyncio.create_task(town.directory.run())
    town.chain.down = True
    seen = town.chain.reads
    while town.chain.reads < seen + 3:
        await asyncio.sleep(0.01)
    town.chain.down = False
    provider = await town.add()
    assert not task.done()
    assert problem(town, provider) == ""
    task.cancel()


async def test_an_agent_that_is_away_keeps_its_offer(town) -> None:
    provider = await town.add()
    await provider.stop()
    await town.directory.refresh()
    assert town.directory.lane(provider.owner, MODEL) is not None
    await provider.start()
    await serve(town)


async def test_an_agent_that_was_never_reached_is_not_matched(town) -> None:
    provider = await town.add()
    stranger = replace(provider, owner="0x" + "77" * 20, port=1)
    town.chain.register(stranger)
    await town.directory.refresh()
    assert "no connection" in problem(town, stranger)
    assert town.directory.provider_count == 1


async def test_an_offer_that_is_not_the_one_on_chain_is_not_used(town) -> None:
    provider = await town.add()
    town.chain.register(provider, offer_digest=bytes(32))
    await town.directory.refresh()
    assert "not the one registered on chain" in problem(town, provider)
    with pytest.raises(openai.NotFoundError):
        await serve(town)
    town.chain.register(provider)
    await town.directory.refresh()
    await serve(town)


async def test_changed_prices_count_from_their_registration(town) -> None:
    provider = await town.add()
    provider.prices = (7_000, 7_000, 9_000)
    await town.directory.refresh()
    assert town.directory.lane(provider.owner, MODEL).terms.price_in_atto == 2_000
    town.chain.register(provider)
    await town.directory.refresh()
    await serve(town)
    [attempt] = town.books.posted
    receipt = attempt.receipt
    assert receipt.charge_atto == receipt.input_tokens * 7_000 + receipt.output_tokens * 9_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": int(ProviderStatus.JAILED)}, "jailed"),
        ({"status": int(ProviderStatus.REMOVED)}, "removed"),
        ({"stake": 199}, "below the required"),
        ({"endpoint": "http://10.0.0.1:8000"}, "10.0.0.1"),
        ({"endpoint": "http://user@127.0.0.1:8000"}, "user information"),
        ({"endpoint": "ftp://127.0.0.1"}, "scheme"),
        ({"endpoint": ""}, "form"),
    ],
)
async def test_a_provider_that_may_not_serve_is_taken_out_at_once(town, change, words: str) -> None:
    provider = await town.add()
    spare = await town.add()
    town.chain.register(provider, **change)
    if "endpoint" in change:
        town.chain.register(provider, **change, offer_digest=bytes(32))
    await town.directory.refresh()
    assert words in problem(town, provider)
    await serve(town)
    assert provider.tickets == []
    assert len(spare.tickets) == 1


async def test_a_bad_endpoint_of_one_provider_does_not_stop_the_others(town) -> None:
    provider = await town.add()
    spare = await town.add()
    town.chain.register(provider, endpoint="http://169.254.169.254:80/latest")
    await town.directory.refresh()
    assert problem(town, provider) != ""
    assert problem(town, spare) == ""


async def test_a_provider_that_left_the_chain_is_taken_out(town) -> None:
    provider = await town.add()
    await town.add()
    del town.chain.records[provider.owner]
    await town.directory.refresh()
    assert town.directory.lane(provider.owner, MODEL) is None
    await serve(town)
    assert provider.tickets == []


async def test_the_stake_bounds_what_is_in_flight(town) -> None:
    provider = await town.add(prices=(10**15, 10**15, 10**15))
    town.books.purse.put_in = 10**24
    town.books.purse.caps = (type(town.books.purse.caps[0])(10**24, 0),)
    with pytest.raises(openai.APIStatusError):
        await serve(town)
    assert provider.tickets == []


GOOD = {
    "hardware_class": "CPU",
    "models": [
        {
            "context_length": 2048,
            "features": ["chat"],
            "id": "smollm2-135m-instruct",
            "price_cached_atto": 1,
            "price_in_atto": 2,
            "price_out_atto": 3,
            "slots": 2,
            "template_digest": "0x" + "00" * 32,
            "weights_digest": "0x" + "11" * 32,
        }
    ],
    "provider": "0x" + "aa" * 20,
    "region": "local",
    "units": 1,
    "version": 1,
}


def test_an_offer_is_read() -> None:
    offer = read_offer(canonical_json(GOOD), GOOD["provider"])
    [model] = offer.models
    assert (model.id, model.context_length, model.params_m) == ("smollm2-135m-instruct", 2048, 135)
    assert model.weights_digest == b"\x11" * 32


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"provider": "0x" + "bb" * 20},
        {"region": "Über all"},
        {"models": []},
        {"models": [{}]},
        {"models": [GOOD["models"][0]] * 2},
        {"models": [GOOD["models"][0] | {"id": "a\r\nx-evil: 1"}]},
        {"models": [GOOD["models"][0] | {"price_in_atto": -1}]},
        {"models": [GOOD["models"][0] | {"price_in_atto": True}]},
        {"models": [GOOD["models"][0] | {"price_out_atto": 2**100}]},
        {"models": [GOOD["models"][0] | {"slots": 0}]},
        {"models": [GOOD["models"][0] | {"weights_digest": "0x12"}]},
        {"models": [GOOD["models"][0] | {"features": "chat"}]},
    ],
)
def test_a_bad_offer_is_refused(change) -> None:
    with pytest.raises(BadOffer):
        read_offer(canonical_json(GOOD | change), GOOD["provider"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"version":1.0}', b'{"version":1,"version":1}', b"\xff"])
def test_an_unreadable_offer_is_refused(body: bytes) -> None:
    with pytest.raises(BadOffer):
        read_offer(body, GOOD["provider"])


def test_the_digest_is_over_the_bytes_as_served() -> None:
    pretty = json.dumps(GOOD, indent=1).encode()
    assert hashlib.sha256(pretty).digest() != hashlib.sha256(canonical_json(GOOD)).digest()
    assert read_offer(pretty, GOOD["provider"]) == read_offer(canonical_json(GOOD), GOOD["provider"])


@pytest.mark.parametrize(("standing", "weight_ppm"), [(0, 1_000_000), (1, 500_000), (2, 250_000)])
async def test_standing_in_the_last_report_weighs_the_traffic(town, standing: int, weight_ppm: int) -> None:
    provider = await town.add()
    town.chain.standings = {provider.owner: standing}
    await town.directory.refresh()
    assert town.market.lane(provider.owner, MODEL).offer.weight_ppm == weight_ppm
    assert town.directory.snapshot()[0]["standing"] == standing
    await serve(town)


async def test_a_provider_without_a_report_has_its_whole_weight(town) -> None:
    provider = await town.add()
    assert town.market.lane(provider.owner, MODEL).offer.weight_ppm == 1_000_000

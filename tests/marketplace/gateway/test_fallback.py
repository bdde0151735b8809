"""The operator's own engine: it serves when nobody is left, for nothing, and says so."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from contracts.messages import Receipt, Status
from marketplace.gateway.addresses import AddressRefused
from marketplace.gateway.fallback import Fallback, make_fallback
from marketplace.gateway.testing import MockProvider
from marketplace.settings import GatewaySettings
from tests.marketplace.gateway.conftest import DOMAIN, GATEWAY, KEY, Town, statuses

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "mock-model", "messages": [{"role": "user", "content": "Count."}], "max_tokens": 3}


@pytest.fixture
async def engine(town: Town) -> AsyncIterator[MockProvider]:
    """A plain engine of the operator's, without tickets and receipts."""
    engine = MockProvider("0x" + "00" * 20, GATEWAY, DOMAIN, bare=True, word="own")
    await engine.start()
    town.desk.fallback = Fallback(engine.endpoint, frozenset({"mock-model"}), 4)
    yield engine
    town.desk.fallback.close()
    await engine.stop()


async def post(town: Town, **more: Any) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=20) as client:
        answer = await client.post(f"{town.url}{CHAT}", json=ASKED | more, headers={"authorization": f"Bearer {KEY}"})
    await town.settled()
    return answer


def check(value: dict[str, Any], town: Town, body: bytes | None) -> None:
    """The receipt is signed by the gateway, names it as the provider and charges nothing."""
    receipt = Receipt.from_json(value["receipt"])
    assert receipt.signed_by(DOMAIN.separator(), bytes.fromhex(value["signature"][2:])) == GATEWAY.address
    assert (receipt.provider, receipt.charge_atto, receipt.status) == (GATEWAY.address, 0, Status.SERVED)
    assert (receipt.output_tokens, value["fallback"]) == (3, True)
    if body is not None:
        assert receipt.response_digest == hashlib.sha256(bytes.fromhex(value["salt"][2:]) + body).digest()
    assert town.books.charged_atto == 0


async def test_a_model_that_nobody_offers_is_served_by_the_own_engine(town, engine) -> None:
    answer = await post(town)
    assert answer.json()["choices"][0]["message"]["content"].split() == ["word0", "word1", "word2"]
    assert answer.headers["x-bonded-fallback"] == "true"
    raw = answer.headers["x-bonded-receipt"]
    check(json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))), town, answer.content)
    assert town.books.holds == []


async def test_when_all_fail_it_serves_the_stream_and_its_receipt_is_a_comment(town, engine) -> None:
    for _ in range(3):
        await town.add(behaviour="error_500")
    answer = await post(town, stream=True)
    assert answer.headers["x-bonded-fallback"] == "true"
    assert "x-bonded-receipt" not in answer.headers
    *events, comment, done = [event for event in answer.content.split(b"\n\n") if event]
    assert (done, comment[:2]) == (b"data: [DONE]", b": ")
    text = "".join(json.loads(event[6:])["choices"][0]["delta"].get("content", "") for event in events)
    assert text.split() == ["own0", "own1", "own2"]
    check(json.loads(comment[2:]), town, None)
    assert statuses(town) == ["provider_error"] * 3
    assert [hold.resolution for hold in town.books.holds] == ["voided"]


async def test_a_market_that_serves_is_not_bypassed(town, engine) -> None:
    await town.add()
    answer = await post(town)
    assert "x-bonded-fallback" not in answer.headers
    assert statuses(town) == ["served"]


async def test_who_has_no_money_gets_nothing_for_nothing(town, engine) -> None:
    await town.add()
    town.books.purse.put_in = 0
    answer = await post(town)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")


async def test_a_model_that_it_does_not_serve_stays_refused(town, engine) -> None:
    answer = await post(town, model="other-model")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_more_than_its_places_are_refused(town, engine) -> None:
    town.desk.fallback._places = 0
    assert (await post(town)).status_code == 404


@pytest.mark.parametrize("behaviour", ["error_500", "garbage", "close_early"])
async def test_when_it_fails_too_the_refusal_stands(town, engine, behaviour: str) -> None:
    engine.behaviour = behaviour
    assert (await post(town, stream=behaviour != "garbage")).status_code == 404
    assert town.desk.fallback._places == 4


def test_it_is_made_from_the_settings_or_not_at_all(tmp_path) -> None:
    assert make_fallback(GatewaySettings(data_folder=tmp_path)) is None
    (tmp_path / "key").write_text("secret\n")
    made = make_fallback(
        GatewaySettings(
            data_folder=tmp_path,
            fallback_engine="http://127.0.0.1:8000",
            fallback_models="a, b",
            fallback_key_file=tmp_path / "key",
        )
    )
    assert made is not None
    assert made._models == {"a", "b"}
    assert "Bearer secret" in made._key
    with pytest.raises(AddressRefused, match="nothing may follow"):
        make_fallback(GatewaySettings(data_folder=tmp_path, fallback_engine="http://127.0.0.1:8000/v1"))

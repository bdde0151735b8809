"""A key's limits a minute hold on both ways in, and clients are told in OpenAI's headers how much is left."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx2
import pytest

from marketplace.accounts import Account
from marketplace.gateway.errors import ApiError
from marketplace.gateway.inquiry import CHAT
from marketplace.gateway.meters import Meter, Meters
from marketplace.rates import BadRates, Rates, read_rates
from tests.marketplace.gateway.conftest import CUSTOMER, KEY, Town

HELLO: dict[str, Any] = {"model": "mock-model", "messages": [{"role": "user", "content": "Say hello."}]}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def give_key(town: Town, requests: int = 0, tokens: int = 0) -> str:
    """Make a key with limits; the gateway's clock for them stands still until a test moves it."""
    key = f"sk-bonded-{requests}-{tokens}"
    account = Account(CUSTOMER, len(town.books._keys) + 1, key, rates=Rates(requests, tokens))
    town.books._keys[hashlib.sha256(key.encode()).digest()] = account
    return key


def stop_clock(town: Town) -> Clock:
    clock = Clock()
    town.inference.meters = Meters(clock)
    return clock


async def ask(town: Town, key: str, path: str = CHAT, body: Any = None, **more: Any) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        headers = {"authorization": f"Bearer {key}"}
        return await client.post(town.url + path, json=body or {**HELLO, "max_tokens": 5, **more}, headers=headers)


def left(answer: httpx2.Response, kind: str) -> tuple[str, str, str]:
    return tuple(answer.headers[f"x-ratelimit-{name}-{kind}"] for name in ("limit", "remaining", "reset"))  # type: ignore[return-value]


async def test_a_key_without_limits_gets_no_headers_of_them(town: Town) -> None:
    await town.add()
    answer = await ask(town, KEY)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_requests_beyond_the_limit_are_told_when_to_come_again(town: Town) -> None:
    await town.add()
    clock, key = stop_clock(town), give_key(town, requests=2)
    first, second, third = [await ask(town, key) for _ in range(3)]
    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert [left(one, "requests") for one in (first, second)] == [("2", "1", "30s"), ("2", "0", "1m0s")]
    assert third.json()["error"]["code"] == "rate_limit_exceeded"
    assert third.headers["retry-after-ms"] == "30000" and third.headers["retry-after"] == "30"
    clock.now += 30
    assert (await ask(town, key)).status_code == 200
    assert (await ask(town, key)).status_code == 429
    assert (await ask(town, KEY)).status_code == 200, "another key is not concerned"


async def test_a_stream_tells_what_is_left_too(town: Town) -> None:
    await town.add()
    stop_clock(town)
    answer = await ask(town, give_key(town, requests=2), stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert left(answer, "requests") == ("2", "1", "30s")


async def test_tokens_are_taken_as_ordered_and_given_back_as_billed(town: Town) -> None:
    provider = await town.add(words=5)
    stop_clock(town)
    key = give_key(town, tokens=1_060)
    for _ in range(20):  # each orders 1,024 and comes to far less
        answer = await ask(town, key, body=HELLO)
        if answer.status_code != 200:
            break
    assert answer.status_code == 429, "what was billed is gone until the minute is over"
    receipts = [attempt.receipt for attempt in town.books.posted]
    billed = sum(receipt.input_tokens + receipt.output_tokens for receipt in receipts)
    assert len(provider.bodies) == len(receipts) > 1
    assert left(answer, "tokens")[1] == str(1_060 - billed)


async def test_a_request_larger_than_a_minute_is_refused_before_a_provider_is_asked(town: Town) -> None:
    provider = await town.add()
    answer = await ask(town, give_key(town, tokens=100), max_tokens=200)
    assert answer.status_code == 429 and answer.headers["x-should-retry"] == "false"
    assert "lower max_tokens" in answer.json()["error"]["message"]
    assert not provider.bodies and not town.books.holds


async def test_who_leaves_gets_no_tokens_back(town: Town) -> None:
    provider = await town.add(gate=asyncio.Event())
    stop_clock(town)
    key = give_key(town, tokens=1_000)
    waiting = asyncio.create_task(ask(town, key, max_tokens=900))
    while not provider.bodies:
        await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait([waiting])
    await town.settled()
    assert (await ask(town, key, max_tokens=900)).status_code == 429


async def test_tickets_count_as_requests(town: Town) -> None:
    provider = await town.add()
    stop_clock(town)
    key = give_key(town, requests=3)
    wanted = {"provider": provider.owner, "model": provider.model, "max_input_tokens": 5, "max_output_tokens": 5}
    tickets = {"requests": [wanted | {"request_digest": "0x" + "00" * 32}] * 2}
    assert (await ask(town, key, "/v1/tickets", tickets)).status_code == 200
    answer = await ask(town, key, "/v1/tickets", tickets)
    assert answer.status_code == 429 and answer.headers["retry-after-ms"] == "20000"


def test_a_bucket_never_gives_more_than_two_minutes_worth_in_one() -> None:
    clock = Clock()
    meter = Meter(Rates(requests=60), clock)
    given = 0
    for _ in range(600):
        try:
            meter.ask()
            given += 1
        except ApiError:
            clock.now += 0.1
    assert 60 <= given <= 120 and clock.now - 1_000 <= 60


def test_what_is_used_beyond_the_order_is_owed() -> None:
    clock = Clock()
    meter = Meter(Rates(tokens=100), clock)
    meter.settle(meter.order(100), 160)
    with pytest.raises(ApiError) as refused:
        meter.order(1)
    assert refused.value.retry_after_ms == 36_600
    assert (b"x-ratelimit-remaining-tokens", b"0") in meter.headers()


def test_a_key_that_comes_back_with_other_limits_begins_anew() -> None:
    meters = Meters(Clock())
    first = meters.of(Account(CUSTOMER, 7, "x", rates=Rates(1, 0)))
    assert first is meters.of(Account(CUSTOMER, 7, "x", rates=Rates(1, 0)))
    assert first is not meters.of(Account(CUSTOMER, 7, "x", rates=Rates(2, 0)))
    assert meters.of(Account(CUSTOMER, 7, "x")) is None


@pytest.mark.parametrize("value", [0, -5, 2**53 + 1])
def test_limits_are_whole_numbers_from_one_on(value: int) -> None:
    for pair in ((value, None), (None, value)):
        with pytest.raises(BadRates):
            read_rates(*pair)

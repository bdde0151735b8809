"""While the guardian pauses the market the gateway takes no work and says until when; what runs is finished."""

from __future__ import annotations

import asyncio
import time

import httpx2
import openai
import pytest

from tests.marketplace.gateway.conftest import KEY

MODEL = "mock-model"
HELLO = [{"role": "user", "content": "Say hello."}]


async def paused(town, seconds: int) -> int:
    """Let the chain say that the market is paused; returns until when."""
    town.chain.paused_until = int(time.time()) + seconds
    await town.directory.refresh()
    return town.chain.paused_until


async def test_work_is_refused_with_503_and_the_time_at_which_the_pause_ends(town) -> None:
    await town.add()
    until = await paused(town, 3_600)
    with pytest.raises(openai.InternalServerError) as refused:
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    error = refused.value
    assert error.status_code == 503 and error.code == "market_paused"
    assert time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(until)) in error.message
    assert 3_500 <= int(error.response.headers["retry-after"]) <= 3_600
    assert town.books.holds == [], "nothing was held for it"


async def test_tickets_are_refused_too_and_the_gateway_is_not_ready(town) -> None:
    provider = await town.add()
    async with httpx2.AsyncClient(trust_env=False) as http:
        await refuses_tickets(town, provider, http)


async def refuses_tickets(town, provider, http: httpx2.AsyncClient) -> None:
    ready = await http.get(f"{town.url}/ready")
    assert ready.status_code == 200 and ready.json()["paused_until"] == 0
    until = await paused(town, 600)
    asked = {
        "provider": provider.owner,
        "model": MODEL,
        "max_input_tokens": 5,
        "max_output_tokens": 5,
        "request_digest": "0x" + "11" * 32,
    }
    answer = await http.post(
        f"{town.url}/v1/tickets", json={"requests": [asked]}, headers={"authorization": f"Bearer {KEY}"}
    )
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "market_paused"
    ready = await http.get(f"{town.url}/ready")
    assert ready.status_code == 503 and ready.json()["paused_until"] == until


async def test_what_runs_when_the_pause_begins_is_finished_and_paid(town) -> None:
    await town.add(gap_s=0.05)
    answer = await town.client().chat.completions.create(model=MODEL, messages=HELLO, stream=True, max_tokens=8)
    events = aiter(answer)
    await anext(events)
    await paused(town, 600)
    rest = [event async for event in events]
    assert rest[-1].choices[0].finish_reason
    await town.check_books()
    assert len(town.books.posted) == 1


async def test_work_is_taken_again_once_the_pause_is_over_or_was_ended(town) -> None:
    await town.add()
    await paused(town, 600)
    with pytest.raises(openai.InternalServerError):
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    town.chain.paused_until = 0
    await town.directory.refresh()
    await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    await paused(town, 1)
    await asyncio.sleep(1.1)
    await town.client().chat.completions.create(model=MODEL, messages=HELLO)

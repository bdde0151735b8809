"""Every refusal comes before engine work.

Most of these agents have an engine nobody can reach, so asking it would show as a 502.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from contracts.messages import Domain
from tests.marketplace.agent.harness import GATEWAY, STRANGER, chat, make_call, start_agent, write_provider_file

UNREACHABLE = 'kind = "openai"\nbase_url = "http://127.0.0.1:1/v1"'


@pytest_asyncio.fixture
async def deaf(tmp_path, gateway):
    """An agent whose engine cannot be reached."""
    async with AsyncExitStack() as stack:
        yield await start_agent(
            stack, write_provider_file(tmp_path, engine=UNREACHABLE), {GATEWAY.address: gateway.url}
        )


async def refused(agent, call, status: int, code: str, path: str = "/v1/chat/completions", **headers: str) -> str:
    """Send a call, check that it is refused so and in OpenAI's shape, and return the message."""
    answer = await agent.post(call, path, **headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    assert set(error) == {"message", "type", "param", "code"}
    assert "x-bonded-receipt" not in answer.headers, "a refusal is no attempt"
    return error["message"]


async def test_a_ticket_signed_by_a_stranger_is_refused(deaf):
    call = make_call(deaf.offer, chat())
    call.signer = STRANGER
    assert STRANGER.address in await refused(deaf, call, 401, "bad_ticket")


async def test_a_ticket_of_another_deployment_is_refused(deaf):
    call = make_call(deaf.offer, chat())
    call.domain = Domain(1, "0x" + "e9" * 20)
    await refused(deaf, call, 401, "bad_ticket")


async def test_a_ticket_changed_after_signing_is_refused(deaf):
    call = make_call(deaf.offer, chat())
    headers = call.headers()
    call.ticket = dataclasses.replace(call.ticket, max_output_tokens=60_000)
    forged = call.headers()["x-bonded-ticket"]
    import base64

    value = json.loads(base64.urlsafe_b64decode(forged + "=" * (-len(forged) % 4)))
    good = json.loads(
        base64.urlsafe_b64decode(headers["x-bonded-ticket"] + "=" * (-len(headers["x-bonded-ticket"]) % 4))
    )
    value["signature"] = good["signature"]
    mixed = base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    await refused(deaf, call, 401, "bad_ticket", **{"x-bonded-ticket": mixed})


async def test_a_ticket_for_another_provider_is_refused(deaf):
    await refused(deaf, make_call(deaf.offer, chat(), provider="0x" + "b2" * 20), 401, "bad_ticket")


async def test_an_expired_ticket_is_refused(deaf):
    assert "expired" in await refused(
        deaf, make_call(deaf.offer, chat(), expires_at=int(time.time()) - 1), 401, "bad_ticket"
    )


async def test_a_body_that_is_not_the_signed_one_is_refused(deaf):
    call = make_call(deaf.offer, chat())
    call.body += b" "
    assert "digest" in await refused(deaf, call, 401, "bad_ticket")


async def test_another_salt_is_refused(deaf):
    await refused(deaf, make_call(deaf.offer, chat()), 401, "bad_ticket", **{"x-bonded-salt": os.urandom(32).hex()})


async def test_a_ticket_priced_below_the_offer_is_refused(deaf):
    assert "below the offer" in await refused(deaf, make_call(deaf.offer, chat(), price_out_atto=10), 401, "bad_ticket")


@pytest.mark.parametrize("header", ["", "%%%", "e30", "W10", "x" * 9000, "bnVsbA"])
async def test_a_ticket_that_cannot_be_read_is_refused(deaf, header):
    await refused(deaf, make_call(deaf.offer, chat()), 401, "bad_ticket", **{"x-bonded-ticket": header})


@pytest.mark.parametrize("salt", ["", "00", "zz" * 32, "0x" + "00" * 31])
async def test_a_salt_that_is_not_32_bytes_is_refused(deaf, salt):
    await refused(deaf, make_call(deaf.offer, chat()), 401, "bad_ticket", **{"x-bonded-salt": salt})


async def test_weights_that_are_not_offered_are_refused(deaf):
    await refused(deaf, make_call(deaf.offer, chat(), model=b"\x01" * 32), 404, "model_not_found")


async def test_a_route_the_model_is_not_offered_for_is_refused(deaf):
    call = make_call(deaf.offer, {"model": "smollm2-135m-instruct", "input": "hello"})
    await refused(deaf, call, 404, "model_not_found", "/v1/embeddings")


async def test_a_used_ticket_is_refused_even_when_signed_anew_with_another_body(deaf):
    call = make_call(deaf.offer, chat())
    assert (await deaf.post(call)).status_code == 502, "the ticket was accepted and the engine asked"
    await refused(deaf, call, 409, "ticket_used")
    again = make_call(deaf.offer, chat("something else"), job=call.ticket.job, attempt=0)
    await refused(deaf, again, 409, "ticket_used")
    next_attempt = make_call(deaf.offer, chat(), job=call.ticket.job, attempt=1)
    assert (await deaf.post(next_attempt)).status_code == 502


async def test_a_ticket_sent_twice_at_once_is_worked_on_once(deaf):
    call = make_call(deaf.offer, chat())
    answers = await asyncio.gather(deaf.post(call), deaf.post(call))
    assert sorted(answer.status_code for answer in answers) == [409, 502]


async def test_a_refusal_leaves_the_ticket_usable(deaf):
    call = make_call(deaf.offer, b"{not json")
    await refused(deaf, call, 400, "invalid_json")
    await refused(deaf, call, 400, "invalid_json")


@pytest.mark.parametrize(
    ("request_body", "code"),
    [
        (b"[]", "invalid_json"),
        (b"", "invalid_json"),
        (chat(stream="yes"), "invalid_value"),
        (chat(stream=1), "invalid_value"),
        (chat(max_tokens=0), "invalid_value"),
        (chat(max_tokens="ten"), "invalid_value"),
        (chat(n=0), "invalid_value"),
        (chat(n=65), "invalid_value"),
        (chat(stream=True, stream_options=[]), "invalid_value"),
        (chat(stream=True, bonded_delivered=["I am "]), "unsupported_content"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/"}}]}
                ]
            },
            "unsupported_content",
        ),
    ],
)
async def test_a_request_that_is_not_one_is_refused(deaf, request_body, code):
    await refused(deaf, make_call(deaf.offer, request_body), 400, code)


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read(deaf):
    call = make_call(deaf.offer, b"x" * ((4 << 20) + 1))
    await refused(deaf, call, 413, "request_too_large")


async def test_other_paths_and_methods_are_refused_in_the_same_shape(deaf):
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/health", 404),
    ):
        answer = await deaf.client.request(method, deaf.url + path)
        assert (answer.status_code, set(answer.json()["error"])) == (status, {"message", "type", "param", "code"})


async def test_slots_are_enforced_and_freed(tmp_path, gateway):
    async with AsyncExitStack() as stack:
        path = write_provider_file(
            tmp_path,
            engine=f'{UNREACHABLE}\ninner = "openai"\nfirst_token_delay_s = 1.0'.replace(
                '"openai"', '"testing:slow"', 1
            ),
        )
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url})
        running = [asyncio.create_task(agent.post(make_call(agent.offer, chat()))) for _ in range(2)]
        while agent.app.health()["in_flight"]["smollm2-135m-instruct"] < 2:
            await asyncio.sleep(0.01)
        answer = await agent.post(make_call(agent.offer, chat()))
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "no_free_slot")
        assert answer.headers["retry-after-ms"]
        await asyncio.gather(*running)
        assert (await agent.post(make_call(agent.offer, chat()))).status_code == 502


@pytest.mark.model
async def test_a_prompt_longer_than_the_context_is_refused(agent):
    message = await refused(agent, make_call(agent.offer, chat("word " * 600)), 400, "context_length_exceeded")
    assert "512" in message


@pytest.mark.model
async def test_a_prompt_longer_than_the_ticket_pays_for_is_refused_and_a_short_one_is_not(agent):
    long = chat("word " * 100, max_tokens=1)
    await refused(agent, make_call(agent.offer, long, max_input_tokens=90), 400, "context_length_exceeded")
    assert (await agent.post(make_call(agent.offer, long, max_input_tokens=200))).status_code == 200

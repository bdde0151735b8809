"""Providers that refuse, lie, hang and break: what the customer gets, what is recorded, and who pays nothing."""

from __future__ import annotations

import asyncio

import httpx2
import openai
import pytest

from tests.marketplace.gateway.conftest import KEY, statuses

MODEL = "mock-model"
HELLO = [{"role": "user", "content": "Say hello."}]

BEFORE_ANY_BYTE = {
    "refuse_full": "provider_error",
    "refuse_draining": "provider_error",
    "refuse_long": "provider_error",
    "refuse_odd": "idle",
    "error_500": "provider_error",
    "redirect": "provider_error",
    "garbage": "provider_error",
    "garbage_stream": "provider_error",
    "hang": "timeout",
    "close_early": "provider_error",
    "giant_headers": "provider_error",
    "many_headers": "provider_error",
    "two_lengths": "provider_error",
    "no_length": "provider_error",
    "coded_body": "provider_error",
    "interim_flood": "provider_error",
    "old_http": "provider_error",
    "not_http": "provider_error",
}
AFTER_BYTES = {
    "hang_mid": "timeout",
    "close_mid": "provider_error",
    "clean_end": "provider_error",
    "error_event": "provider_error",
    "endless": "provider_error",
    "long_line": "provider_error",
    "failed_receipt": "provider_error",
}
LIES = (
    "no_receipt",
    "wrong_signature",
    "wrong_digest",
    "wrong_charge",
    "lying_usage",
    "too_many_tokens",
    "abort_receipt",
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behaviour", BEFORE_ANY_BYTE)
async def test_a_fault_before_any_byte_fails_over_and_is_recorded(town, behaviour: str, stream: bool) -> None:
    bad = await town.add(990_000, behaviour=behaviour)
    good = await town.add(900_000)
    answer = await town.client().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=3, stream=stream)
    if stream:
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in answer])
    else:
        text = answer.choices[0].message.content
    assert text.split() == ["word0", "word1", "word2"]
    assert statuses(town) == [BEFORE_ANY_BYTE[behaviour], "served"]
    [failure], [served] = town.books.recorded, town.books.posted
    assert (failure.receipt.provider, failure.receipt.attempt, failure.provider_signature) == (bad.owner, 0, b"")
    assert (served.receipt.provider, served.receipt.attempt) == (good.owner, 1)
    assert failure.receipt.job == served.receipt.job
    assert [hold.resolution for hold in town.books.holds] == ["posted"]


@pytest.mark.parametrize("behaviour", ["error_500", "hang", "not_http", "redirect", "garbage"])
async def test_when_every_provider_fails_the_customer_gets_a_clear_error_and_pays_nothing(town, behaviour: str) -> None:
    for _ in range(4):
        await town.add(behaviour=behaviour)
    with pytest.raises(openai.InternalServerError) as failed:
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert failed.value.code == "provider_unavailable"
    assert len(town.books.recorded) == 3, "the best and two more"
    assert [hold.resolution for hold in town.books.holds] == ["voided"]
    assert town.books.charged_atto == 0


async def test_when_all_are_full_the_customer_is_told_when_to_come_back(town) -> None:
    await town.add(behaviour="refuse_full")
    with pytest.raises(openai.RateLimitError) as failed:
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert int(failed.value.response.headers["retry-after-ms"]) > 0


async def test_a_provider_that_cannot_be_connected_is_passed_over(town) -> None:
    dead = await town.add(990_000)
    await dead.stop()
    await town.add()
    await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert statuses(town) == ["provider_error", "served"]


async def test_a_prompt_that_the_provider_counts_as_too_long_is_the_customers_mistake(town) -> None:
    provider = await town.add(990_000, behaviour="refuse_long", context_length=600)
    await town.add(context_length=600)
    long = [{"role": "user", "content": "word " * 300}]
    with pytest.raises(openai.BadRequestError) as refused:
        await town.client().chat.completions.create(model=MODEL, messages=long, max_tokens=50)
    assert refused.value.code == "context_length_exceeded"
    assert len(provider.tickets) == 1, "no other provider is bothered"
    assert statuses(town) == ["idle"]


async def test_what_every_engine_refuses_is_told_to_the_customer(town) -> None:
    await town.add(behaviour="refuse_odd")
    await town.add(behaviour="refuse_odd")
    with pytest.raises(openai.BadRequestError, match="odd"):
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert statuses(town) == ["idle", "idle"]


@pytest.mark.parametrize("behaviour", AFTER_BYTES)
async def test_a_stream_that_breaks_ends_in_an_error_and_is_not_paid(town, behaviour: str) -> None:
    await town.add(990_000, behaviour=behaviour, gap_s=0.0 if behaviour == "endless" else 0.02)
    spare = await town.add()
    heard = ""
    with pytest.raises(openai.APIError) as broken:
        stream = await town.client().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=5, stream=True)
        async for chunk in stream:
            heard += chunk.choices[0].delta.content or ""
    assert heard.startswith("word0 ")
    assert broken.value.code == "stream_broken"
    assert spare.tickets == [], "nothing was started twice"
    await town.settled()
    assert statuses(town) == [AFTER_BYTES[behaviour]]
    assert [hold.resolution for hold in town.books.holds] == ["voided"]


@pytest.mark.parametrize("behaviour", ["close_mid", "clean_end", "endless"])
async def test_a_broken_stream_never_ends_politely_on_the_wire(town, behaviour: str) -> None:
    await town.add(behaviour=behaviour)
    reader, writer = await asyncio.open_connection("127.0.0.1", town.server.port)
    body = b'{"model":"mock-model","messages":[{"role":"user","content":"x"}],"max_tokens":5,"stream":true}'
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
        % (KEY.encode(), len(body), body)
    )
    heard = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert b'"code":"stream_broken"' in heard
    assert b"[DONE]" not in heard
    assert not heard.endswith(b"0\r\n\r\n"), "the chunked body has no end"


async def test_an_endless_stream_is_stopped_near_what_was_ordered(town) -> None:
    provider = await town.add(behaviour="endless")
    with pytest.raises(openai.APIError):
        stream = await town.client().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=5, stream=True)
        count = 0
        async for _ in stream:
            count += 1
    assert 5 <= count <= 5 * 2 + 64
    await asyncio.sleep(0.05)
    assert provider.left, "its connection was closed"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behaviour", LIES)
async def test_an_answer_whose_receipt_lies_is_delivered_free_of_charge(town, behaviour: str, stream: bool) -> None:
    await town.add(behaviour=behaviour)
    options = {"stream_options": {"include_usage": True}} if stream else {}
    answer = await town.client().chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=3, stream=stream, **options
    )
    if stream:
        text = "".join([choice.delta.content or "" async for chunk in answer for choice in chunk.choices])
    else:
        text = answer.choices[0].message.content
    assert text.split() == ["word0", "word1", "word2"]
    await town.settled()
    assert statuses(town) == ["provider_error"]
    assert [hold.resolution for hold in town.books.holds] == ["voided"]
    assert town.books.charged_atto == 0


async def test_lines_that_are_no_data_do_not_reach_the_customer(town) -> None:
    await town.add(behaviour="noisy_lines")
    async with httpx2.AsyncClient() as client:
        answer = await client.post(
            f"{town.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {KEY}"},
            json={"model": MODEL, "messages": HELLO, "stream": True, "max_tokens": 3},
        )
    lines = answer.text.split("\n")
    assert all(line == "" or line.startswith("data: ") for line in lines)
    assert "bonded.receipt" not in answer.text
    assert lines[-3:] == ["data: [DONE]", "", ""]
    assert statuses(town) == ["served"]


@pytest.mark.parametrize("stream", [False, True])
async def test_bytes_after_the_body_condemn_the_connection_and_never_reach_a_customer(town, stream: bool) -> None:
    provider = await town.add(behaviour="bytes_after_body")
    before = provider.connections
    for _ in range(3):
        answer = await town.client().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=3, stream=stream)
        if stream:
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in answer])
        else:
            text = answer.choices[0].message.content
        assert text.split() == ["word0", "word1", "word2"]
    assert provider.connections - before >= 2, "no connection is used again"
    assert statuses(town) == ["served"] * 3


async def test_redirects_are_never_followed(town) -> None:
    secret = await asyncio.start_server(lambda r, w: pytest.fail("followed"), "127.0.0.1", 0)
    await town.add(behaviour="redirect")
    with pytest.raises(openai.InternalServerError):
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    secret.close()


async def test_the_proxy_of_the_environment_is_not_used(town, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    await town.add()
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{town.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {KEY}"},
            json={"model": MODEL, "messages": HELLO},
        )
    assert answer.status_code == 200


async def test_failover_stops_when_the_retry_budget_is_spent(town) -> None:
    await town.add(990_000, behaviour="error_500")
    await town.add()
    town.desk.retries._left = 0.5
    with pytest.raises(openai.InternalServerError):
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    town.desk.retries._left = 1.5
    await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert statuses(town) == ["provider_error", "provider_error", "served"]


async def test_a_client_that_retries_itself_costs_the_budget_twice(town) -> None:
    await town.add(990_000, behaviour="error_500")
    await town.add()
    town.desk.retries._left = 1.5
    with pytest.raises(openai.InternalServerError):
        await town.client().chat.completions.create(
            model=MODEL, messages=HELLO, extra_headers={"x-stainless-retry-count": "1"}
        )


async def test_a_provider_that_keeps_failing_is_not_asked_again_at_once(town) -> None:
    bad = await town.add(990_000, behaviour="error_500")
    await town.add()
    for _ in range(6):
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert 1 <= len(bad.tickets) <= 3, "its chances fall, and at the third failure its breaker opens"

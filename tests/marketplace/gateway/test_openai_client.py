"""The unmodified `openai` client against a gateway on a socket."""

from __future__ import annotations

import asyncio
import threading

import openai
import pytest

MODEL = "mock-model"
HELLO = [{"role": "user", "content": "Say hello."}]


async def test_a_wrong_key_is_refused(town) -> None:
    await town.add()
    with pytest.raises(openai.AuthenticationError) as refused:
        await town.client("sk-bonded-wrong").chat.completions.create(model=MODEL, messages=HELLO)
    assert refused.value.code == "invalid_api_key"
    assert town.books.holds == []


async def test_a_missing_balance_is_refused_as_openai_does(town) -> None:
    await town.add()
    town.books.purse.put_in = 0
    with pytest.raises(openai.RateLimitError) as refused:
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert refused.value.code == "insufficient_quota"
    assert refused.value.response.headers["x-should-retry"] == "false"


async def test_an_unknown_model_is_refused(town) -> None:
    await town.add()
    with pytest.raises(openai.NotFoundError) as refused:
        await town.client().chat.completions.create(model="gpt-4", messages=HELLO)
    assert refused.value.code == "model_not_found"


async def test_a_context_too_long_is_refused(town) -> None:
    await town.add(context_length=1000)
    with pytest.raises(openai.BadRequestError) as refused:
        await town.client().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 2000}])
    assert refused.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as refused:
        await town.client().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1001)
    assert refused.value.code == "context_length_exceeded"


async def test_a_chat_answer_comes_whole_and_is_charged_by_its_receipt(town) -> None:
    provider = await town.add()
    raw = await town.client().chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, max_tokens=4)
    answer = raw.parse()
    assert answer.choices[0].message.content == "word0 word1 word2 word3"
    assert raw.headers["x-request-id"].startswith("req_")
    [attempt] = town.books.posted
    assert raw.headers["x-bonded-job"] == "0x" + attempt.receipt.job.hex()
    assert attempt.receipt.output_tokens == answer.usage.completion_tokens == 4
    assert attempt.receipt.charge_atto == answer.usage.prompt_tokens * 2_000 + 4 * 5_000
    assert attempt.gateway != attempt.receipt.provider == provider.owner
    assert town.books.held_atto == 0


async def test_a_chat_answer_is_streamed(town) -> None:
    await town.add()
    stream = await town.client().chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=6, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.split() == [f"word{n}" for n in range(6)]
    assert chunks[-1].usage.completion_tokens == 6
    [attempt] = town.books.posted
    assert attempt.receipt.output_tokens == 6


async def test_the_body_reaches_the_provider_byte_for_byte_and_nothing_else_does(town) -> None:
    provider = await town.add()
    client = town.client()
    await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Grüße ✓ \u2028"}], extra_body={"odd": {"z": 1, "a": [1.50]}}
    )
    assert b'"odd":{"z":1,"a":[1.5]}' in provider.bodies[0]
    heard = provider.heads[0]
    assert b"authorization" not in heard
    assert set(heard) == {
        b"host", b"content-type", b"accept", b"accept-encoding", b"user-agent", b"x-bonded-ticket", b"x-bonded-salt",
        b"content-length",
    }  # fmt: skip


async def test_completions_embeddings_and_models_are_served(town) -> None:
    await town.add()
    client = town.client()
    answer = await client.completions.create(model=MODEL, prompt="Once", max_tokens=3)
    assert answer.choices[0].text == "word0 word1 word2"
    stream = await client.completions.create(model=MODEL, prompt="Once", max_tokens=3, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]).split() == ["word0", "word1", "word2"]
    vectors = await client.embeddings.create(model=MODEL, input=["a", "b"], encoding_format="float")
    assert vectors.data[0].embedding == [0.5, 0.25]
    assert [model.id async for model in client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).id == MODEL
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nothing")
    assert len(town.books.posted) == 3


async def test_the_synchronous_client_works_too(town) -> None:
    await town.add()
    url = town.url
    heard: list[str] = []

    def use() -> None:
        with openai.OpenAI(api_key="sk-bonded-test", base_url=f"{url}/v1", max_retries=0) as client:
            whole = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2)
            heard.append(whole.choices[0].message.content)
            stream = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2, stream=True)
            heard.append("".join(c.choices[0].delta.content or "" for c in stream).strip())

    thread = threading.Thread(target=use)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.01)
    assert heard == ["word0 word1", "word0 word1"]


async def test_connections_to_providers_are_kept(town) -> None:
    provider = await town.add()
    client = town.client()
    before = provider.connections
    for _ in range(5):
        await client.chat.completions.create(model=MODEL, messages=HELLO)
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        async for _ in stream:
            pass
    assert provider.connections - before <= 1


async def test_a_kept_connection_that_the_provider_closed_is_replaced_unnoticed(town) -> None:
    provider = await town.add()
    client = town.client()
    await client.chat.completions.create(model=MODEL, messages=HELLO)
    for connection in list(provider._open):
        connection.transport.abort()
    await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert town.books.recorded == []
    assert len(town.books.posted) == 2


async def test_a_provider_that_the_balance_does_not_cover_is_passed_over(town) -> None:
    dear = await town.add(990_000, prices=(10**9, 10**9, 10**9))
    cheap = await town.add(900_000)
    town.books.purse.put_in = 10**8
    await town.client().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=4)
    assert dear.tickets == []
    assert len(cheap.tickets) == 1


async def test_a_cap_that_is_reached_is_refused(town) -> None:
    await town.add()
    town.books.purse.caps = ()
    with pytest.raises(openai.RateLimitError) as refused:
        await town.client().chat.completions.create(model=MODEL, messages=HELLO)
    assert refused.value.code == "insufficient_quota"

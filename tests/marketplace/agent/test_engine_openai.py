"""The openai engine against servers that speak the protocol well and badly, over real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from contracts.messages import Status
from marketplace.agent.engines.base import CHAT, COMPLETIONS, EMBEDDINGS
from marketplace.agent.engines.openai import OpenAIEngine
from marketplace.agent.errors import EngineFailed, EngineRefused, EngineTimedOut
from tests.marketplace.agent.harness import (
    GATEWAY,
    chat,
    check_receipt,
    make_call,
    read_receipt,
    run_app,
    start_agent,
    write_provider_file,
)

CHUNK = b'{"choices":[{"index":0,"delta":{"content":"a"}}]}'


class Server:
    """An engine's server that answers from a table of scripts by path and keeps what it was asked."""

    def __init__(self, scripts) -> None:
        self.scripts = scripts
        self.asked: list[tuple[str, bytes, dict[bytes, bytes]]] = []
        self.left = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked.append((scope["path"], raw, dict(scope["headers"])))
        status, parts = self.scripts.get(scope["path"], (404, [b"{}"]))
        await send({"type": "http.response.start", "status": status, "headers": []})
        for part in parts:
            if part is None:
                # wait until the caller is gone
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.left.set()
                return
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def engine_on(scripts, **options):
    server = Server(
        {f"/v1/{path}": script for path, script in scripts.items()} | {k: v for k, v in scripts.items() if k[0] == "/"}
    )
    running = await run_app(server)
    engine = OpenAIEngine(f"{running.url}/v1", **options)
    try:
        yield engine, server
    finally:
        await engine.stop()
        await running.stop()


async def collect(engine, route=CHAT, request=None) -> list[bytes]:
    return [payload async for payload in engine.stream(route, request or {"model": "m"})]


async def test_payloads_come_whole_however_the_bytes_are_cut():
    text = (
        b": ping\n\nevent: x\nid: 3\ndata: " + CHUNK + b"\r\n\r\ndata:" + CHUNK + b"\n\ndata: [DONE]\n\ndata: late\n\n"
    )
    for size in (1, 7, 1000):
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        async with engine_on({CHAT: (200, parts)}) as (engine, _):
            assert await collect(engine) == [CHUNK, CHUNK]


async def test_usage_is_always_asked_for_and_other_stream_options_are_kept():
    async with engine_on({CHAT: (200, [b"data: [DONE]\n\n"])}) as (engine, server):
        await collect(engine, request={"model": "m", "stream_options": {"include_usage": False, "extra": 1}})
        asked = json.loads(server.asked[0][1])
        assert asked["stream"] is True and asked["stream_options"] == {"include_usage": True, "extra": 1}
        await asyncio.sleep(0)


async def test_the_key_is_sent_and_compression_is_not_asked_for():
    async with engine_on({"models": (200, [b"{}"])}, api_key="s3cret") as (engine, server):
        await engine.check()
        assert server.asked[0][2][b"authorization"] == b"Bearer s3cret"
        assert server.asked[0][2][b"accept-encoding"] == b"identity"


GONE_ON = {"model": "m", "messages": [{"role": "user", "content": "count"}], "max_tokens": 8}


async def test_a_server_that_is_not_llamacpp_goes_on_behind_the_last_message():
    async with engine_on({CHAT: (200, [b"data: " + CHUNK + b"\n\ndata: [DONE]\n\n"])}) as (engine, server):
        assert [one async for one in engine.resume(CHAT, GONE_ON, ["one, ", "two"])] == [CHUNK]
        asked = json.loads(server.asked[-1][1])
    assert asked["messages"][-1] == {"role": "assistant", "content": "one, two"}
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)


async def test_a_plain_completion_goes_on_behind_its_prompt():
    async with engine_on({COMPLETIONS: (200, [b"data: " + CHUNK + b"\n\ndata: [DONE]\n\n"])}) as (engine, server):
        request = {"model": "m", "prompt": "count: ", "max_tokens": 8}
        assert [one async for one in engine.resume(COMPLETIONS, request, ["one, ", "two"])] == [CHUNK]
        assert json.loads(server.asked[-1][1])["prompt"] == "count: one, two"
        with pytest.raises(EngineFailed, match="token numbers"):
            [one async for one in engine.resume(COMPLETIONS, request | {"prompt": [1, 2]}, ["one"])]


def llamacpp(tokens: list[int], spelled: str):
    """Return scripts of a llama.cpp server whose tokenizer always gives these tokens, which spell that text."""
    return {
        "/props": (200, [b'{"default_generation_settings":{}}']),
        "/apply-template": (200, [b'{"prompt":"<user>count<assistant>"}']),
        "/tokenize": (200, [json.dumps({"tokens": tokens}).encode()]),
        "/detokenize": (200, [json.dumps({"content": spelled}).encode()]),
        COMPLETIONS: (
            200,
            [b'data: {"choices":[{"index":0,"text":" three","finish_reason":null}]}\n\ndata: [DONE]\n\n'],
        ),
    }


async def test_llamacpp_goes_on_behind_the_numbers_of_the_tokens_and_answers_as_a_chat():
    async with engine_on(llamacpp([5, 6, 7], "one, two")) as (engine, server):
        [event] = [json.loads(one) async for one in engine.resume(CHAT, GONE_ON, ["one, ", "two"])]
        asked = json.loads(server.asked[-1][1])
    assert event["choices"] == [{"index": 0, "delta": {"content": " three"}, "finish_reason": None}]
    assert asked["prompt"] == [5, 6, 7] * 2 and "messages" not in asked
    assert asked["max_tokens"] == 7, "two pieces were three tokens"


async def test_an_answer_of_its_full_length_ends_without_asking_for_more():
    async with engine_on(llamacpp([5, 6, 7], "one, two")) as (engine, server):
        [event] = [json.loads(one) async for one in engine.resume(CHAT, GONE_ON | {"max_tokens": 1}, ["one, ", "two"])]
    assert event["choices"][0]["finish_reason"] == "length"
    assert all("completions" not in path for path, *_ in server.asked)


async def test_a_tokenizer_that_does_not_give_the_text_back_is_not_gone_on_behind():
    async with engine_on(llamacpp([5, 6], " one,  two")) as (engine, _):
        with pytest.raises(EngineFailed, match="does not give the delivered text back"):
            [one async for one in engine.resume(CHAT, GONE_ON, ["one, ", "two"])]


async def test_a_stream_that_closes_before_done_is_a_failure():
    async with engine_on({CHAT: (200, [b"data: " + CHUNK + b"\n\n"])}) as (engine, _):
        with pytest.raises(EngineFailed, match="before its end"):
            await collect(engine)


async def test_a_line_without_end_is_a_failure():
    async with engine_on({CHAT: (200, [b"data: " + b"x" * (1 << 20)] * 6)}) as (engine, _):
        with pytest.raises(EngineFailed, match="without end"):
            await collect(engine)


async def test_silence_before_and_between_tokens_is_a_timeout():
    for parts, waits in (([None], {"first_token_s": 0.2}), ([b"data: " + CHUNK + b"\n\n", None], {"gap_s": 0.2})):
        async with engine_on({CHAT: (200, parts)}, **waits) as (engine, _):
            with pytest.raises(EngineTimedOut):
                await collect(engine)


async def test_a_whole_answer_that_does_not_come_is_a_timeout():
    async with engine_on({CHAT: (200, [None])}, first_token_s=0.2) as (engine, _):
        with pytest.raises(EngineTimedOut):
            await engine.complete(CHAT, {"model": "m"})


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, EngineRefused), (422, EngineRefused), (500, EngineFailed), (404, EngineFailed), (302, EngineFailed)],
)
async def test_statuses_are_told_apart_and_the_reason_is_kept(status, error):
    async with engine_on({CHAT: (status, [b'{"error":{"message":"no such thing"}}'])}) as (engine, _):
        with pytest.raises(error, match="no such thing"):
            await collect(engine)
        with pytest.raises(error, match="no such thing"):
            await engine.complete(CHAT, {"model": "m"})


async def test_nobody_listening_is_a_failure_that_says_what_to_do():
    engine = OpenAIEngine("http://127.0.0.1:1/v1")
    with pytest.raises(EngineFailed) as caught:
        await engine.check()
    assert "base_url" in caught.value.mend
    with pytest.raises(EngineFailed):
        await collect(engine)
    with pytest.raises(EngineFailed):
        await engine.complete(CHAT, {"model": "m"})
    await engine.stop()


@pytest.mark.parametrize(("status", "word"), [(401, "key"), (404, "404")])
async def test_a_check_tells_a_wrong_key_from_a_wrong_address(status, word):
    async with engine_on({"models": (status, [b"{}"])}) as (engine, _):
        with pytest.raises(EngineFailed, match=word):
            await engine.check()


async def test_closing_a_stream_closes_the_connection_to_the_engine():
    async with engine_on({CHAT: (200, [b"data: " + CHUNK + b"\n\n", None])}) as (engine, server):
        stream = engine.stream(CHAT, {"model": "m"})
        assert await anext(stream) == CHUNK
        await stream.aclose()
        await asyncio.wait_for(server.left.wait(), 5)


async def test_cancelling_a_whole_answer_closes_the_connection_to_the_engine():
    async with engine_on({CHAT: (200, [None])}) as (engine, server):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.complete(CHAT, {"model": "m"}), 0.3)
        await asyncio.wait_for(server.left.wait(), 5)


async def test_prompts_are_counted_by_llama_cpps_tokenizer():
    scripts = {"/apply-template": (200, [b'{"prompt":"<s>hi"}']), "/tokenize": (200, [b'{"tokens":[1,2,3]}'])}
    async with engine_on(scripts) as (engine, _):
        assert await engine.count_input(CHAT, {"model": "m", "messages": []}) == 3
        assert await engine.count_input(COMPLETIONS, {"model": "m", "prompt": ["a", "b"]}) == 6
        assert await engine.count_input(COMPLETIONS, {"model": "m", "prompt": [5, 6]}) == 2
        assert await engine.count_input(EMBEDDINGS, {"model": "m", "input": "a"}) == 3


async def test_prompts_are_counted_by_vllms_tokenizer():
    async with engine_on({"/tokenize": (200, [b'{"count":7,"tokens":[]}'])}) as (engine, _):
        assert await engine.count_input(CHAT, {"model": "m", "messages": []}) == 7


async def test_an_engine_without_tokenizer_cannot_tell_and_is_not_asked_again():
    async with engine_on({}) as (engine, server):
        assert await engine.count_input(COMPLETIONS, {"model": "m", "prompt": "a"}) is None
        asked = len(server.asked)
        assert await engine.count_input(COMPLETIONS, {"model": "m", "prompt": "a"}) is None
        assert len(server.asked) == asked


async def test_a_caller_that_takes_no_bytes_is_treated_as_one_that_left(tmp_path, gateway):
    big = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 100_000 + b'"}}]}\n\n'
    server = await run_app(Server({"/v1/chat/completions": (200, [big] * 200)}))
    path = write_provider_file(tmp_path, engine=f'kind = "openai"\nbase_url = "{server.url}/v1"')
    async with AsyncExitStack() as stack:
        agent = await start_agent(stack, path, {GATEWAY.address: gateway.url}, stall_s=0.3)
        call = make_call(agent.offer, chat(stream=True))
        host, port = agent.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1024)
        head = "".join(f"{name}: {value}\r\n" for name, value in call.headers().items())
        request = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(call.body)}\r\n{head}\r\n"
        writer.write(request.encode() + call.body)
        await asyncio.wait_for(gateway.arrived.wait(), 20)
        receipt = check_receipt(*read_receipt(gateway.posted[0]), call, None)
        assert receipt.status == Status.CUSTOMER_ABORT and 0 < receipt.output_tokens <= 64
        assert agent.app.health()["in_flight"] == {"smollm2-135m-instruct": 0}
        writer.close()
    await server.stop()

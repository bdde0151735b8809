"""What programs written for OpenAI rely on besides plain answers: tools, schemas, retries, timeouts and errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.marketplace.gateway.conftest import Town, statuses

MODEL = "mock-model"
HELLO = [{"role": "user", "content": "What is the weather in Rome?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Look it up.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}


class City(BaseModel):
    """What is asked for by schema."""

    city: str


def call(arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


async def until(true: Callable[[], bool]) -> None:
    """Wait for something; the test's own limit bounds it."""
    while not true():
        await asyncio.sleep(0.005)


async def test_tools_go_to_the_engine_as_they_are_and_its_calls_come_back(town: Town) -> None:
    whole = {"content": None, "tool_calls": [CALL | {"function": {"name": "weather", "arguments": '{"city":"Rome"}'}}]}
    provider = await town.add(deltas=(whole,))
    answer = await town.client().chat.completions.create(
        model=MODEL, messages=HELLO, tools=[WEATHER], tool_choice="auto", parallel_tool_calls=False
    )
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    [made] = choice.message.tool_calls
    assert (made.id, made.function.name, json.loads(made.function.arguments)) == ("call_1", "weather", {"city": "Rome"})
    sent = json.loads(provider.bodies[0])
    assert (sent["tools"], sent["tool_choice"], sent["parallel_tool_calls"]) == ([WEATHER], "auto", False)
    answered = [*HELLO, choice.message, {"role": "tool", "tool_call_id": made.id, "content": "sunny"}]
    await town.client().chat.completions.create(model=MODEL, messages=answered, tools=[WEATHER])
    assert json.loads(provider.bodies[1])["messages"][2]["tool_call_id"] == "call_1"
    assert statuses(town) == ["served", "served"]


async def test_a_streamed_call_is_put_together_by_the_client(town: Town) -> None:
    pieces = ('{"ci', 'ty": "R', 'ome"}')
    await town.add(deltas=({"role": "assistant", "tool_calls": [CALL]}, *map(call, pieces)))
    async with town.client().chat.completions.stream(model=MODEL, messages=HELLO, tools=[WEATHER]) as stream:
        kinds = [event.type async for event in stream]
        done = await stream.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.delta") == 1 + len(pieces), "the first opens the call"
    [made] = done.choices[0].message.tool_calls
    assert json.loads(made.function.arguments) == {"city": "Rome"}
    assert done.choices[0].finish_reason == "tool_calls"
    assert statuses(town) == ["served"]


async def test_an_answer_by_schema_is_parsed(town: Town) -> None:
    provider = await town.add(deltas=({"content": '{"city": "Rome"}'},))
    answer = await town.client().chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(city="Rome")
    assert json.loads(provider.bodies[0])["response_format"]["json_schema"]["name"] == "City"


@pytest.mark.parametrize("behaviour", ["refuse_full", "refuse_draining", "error_500"])
async def test_the_client_retries_by_itself_and_gets_its_answer_once(town: Town, behaviour: str) -> None:
    provider = await town.add(behaviour=behaviour)
    asking = asyncio.create_task(
        town.client(retries=4).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2)
    )
    await until(lambda: bool(provider.tickets))
    provider.behaviour = "ok"
    answer = await asking
    assert answer.choices[0].message.content == "word0 word1"
    assert len(town.books.posted) == 1


async def test_a_refusal_that_no_retry_would_help_is_not_retried(town: Town) -> None:
    provider = await town.add(behaviour="refuse_odd")
    with pytest.raises(openai.BadRequestError) as refused:
        await town.client(retries=4).chat.completions.create(model=MODEL, messages=HELLO)
    assert refused.value.type == "invalid_request_error"
    assert len(provider.tickets) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_whose_patience_ends_stops_the_work(town: Town, stream: bool) -> None:
    provider = await town.add(gap_s=0.2, words=50)
    with pytest.raises(openai.APITimeoutError):
        answer = (
            await town.client()
            .with_options(timeout=0.1)
            .chat.completions.create(model=MODEL, messages=HELLO, stream=stream, max_tokens=50)
        )
        async for _ in answer:
            pass
    await until(lambda: bool(provider.left))
    await town.settled()
    assert not town.books.posted


async def test_a_task_that_is_cancelled_stops_the_work(town: Town) -> None:
    provider = await town.add(gap_s=0.05, words=1_000)
    heard: list[str] = []

    async def listen() -> None:
        stream = await town.client().chat.completions.create(model=MODEL, messages=HELLO, stream=True, max_tokens=1_000)
        async for chunk in stream:
            heard.append(chunk.choices[0].delta.content or "")

    listening = asyncio.create_task(listen())
    await until(lambda: len(heard) >= 2)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await until(lambda: bool(provider.left))
    await town.settled()


async def test_a_broken_stream_is_an_error_of_the_client_not_an_end(town: Town) -> None:
    await town.add(behaviour="close_mid", deltas=({"tool_calls": [CALL]}, call("{"), call("}")))
    heard = []
    with pytest.raises(openai.APIError):
        stream = await town.client().chat.completions.create(model=MODEL, messages=HELLO, stream=True, tools=[WEATHER])
        async for chunk in stream:
            heard.append(chunk)
    assert heard and all(choice.finish_reason is None for chunk in heard for choice in chunk.choices)


@pytest.mark.parametrize(
    ("path", "body", "error", "code"),
    [
        ("chat/completions", {"model": MODEL}, openai.BadRequestError, "missing_messages"),
        ("chat/completions", {"messages": HELLO}, openai.BadRequestError, "missing_model"),
        ("chat/completions", {"model": "none", "messages": HELLO}, openai.NotFoundError, "model_not_found"),
        ("images/generations", {"prompt": "x"}, openai.NotFoundError, "not_found"),
        ("responses", {"model": MODEL, "input": "x"}, openai.NotFoundError, "not_found"),
    ],
)
async def test_errors_are_the_clients_own_with_code_and_request_id(
    town: Town, path: str, body: dict[str, Any], error: type[openai.APIStatusError], code: str
) -> None:
    await town.add()
    with pytest.raises(error) as refused:
        await town.client().post(f"/{path}", body=body, cast_to=dict[str, Any])
    assert (refused.value.code, refused.value.type) == (code, "invalid_request_error")
    assert refused.value.message and refused.value.body["message"]
    if path == "chat/completions":
        assert refused.value.request_id.startswith("req_")


async def test_raw_lines_of_a_stream_can_be_read(town: Town) -> None:
    await town.add()
    async with town.client().chat.completions.with_streaming_response.create(
        model=MODEL, messages=HELLO, max_tokens=2, stream=True
    ) as answer:
        lines = [line async for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]" and all(line.startswith("data: ") for line in lines)
    assert answer.headers["content-type"].startswith("text/event-stream")

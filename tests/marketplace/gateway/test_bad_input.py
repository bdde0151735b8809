"""Requests that cannot be served: each gets a clear error in OpenAI's shape, and nothing is held for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from marketplace.gateway.inference import Bounds
from tests.marketplace.gateway.conftest import KEY, REVOKED, Town

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hi"}]
GOOD: dict[str, Any] = {"model": "mock-model", "messages": HELLO}


async def send(town: Town, path: str, body: Any, key: str | None = KEY, **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    async with httpx2.AsyncClient(timeout=20) as client:
        return await client.post(town.url + path, content=content, headers=headers)


def error(answer: httpx2.Response) -> tuple[int, str]:
    """Return status and code, after checking the shape."""
    value = answer.json()
    assert set(value) == {"error"}
    assert set(value["error"]) == {"message", "type", "param", "code"}
    assert value["error"]["message"]
    return answer.status_code, value["error"]["code"]


@pytest.fixture(autouse=True)
async def nothing_was_held(town: Town) -> Any:
    await town.add()
    yield
    assert town.books.holds == []


@pytest.mark.parametrize("key", [None, "sk-bonded-wrong", "sk-proj-whatever", "sk bonded test"])
async def test_a_wrong_key_is_401(town, key: str | None) -> None:
    answer = await send(town, CHAT, GOOD, key=key)
    assert error(answer) == (401, "invalid_api_key")
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_key_of_strange_bytes_is_401(town) -> None:
    for value in (b"Bearer", b"Bearer \xff\xfe", b"\xd0\xba"):
        async with httpx2.AsyncClient() as client:
            answer = await client.post(town.url + CHAT, json=GOOD, headers={b"authorization": value})
        assert error(answer) == (401, "invalid_api_key")


async def test_a_revoked_key_is_401(town) -> None:
    answer = await send(town, CHAT, GOOD, key=REVOKED)
    assert error(answer) == (401, "invalid_api_key")
    assert "revoked" in answer.json()["error"]["message"]


async def test_another_scheme_than_bearer_is_401(town) -> None:
    assert error(await send(town, CHAT, GOOD, key=None, authorization="Basic abc")) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"model":"mock-model",}', b"[" * 100_000]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
async def test_malformed_json_is_400(town, path: str, body: bytes) -> None:
    assert error(await send(town, path, body)) == (400, "invalid_json")


BAD_FIELDS: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"model": None}, "model"),
    (CHAT, {"model": 5}, "model"),
    (CHAT, {"model": ""}, "model"),
    (CHAT, {"model": "x" * 1000}, "model"),
    (CHAT, {"messages": None}, "messages"),
    (CHAT, {"messages": []}, "messages"),
    (CHAT, {"messages": "hi"}, "messages"),
    (CHAT, {"messages": ["hi"]}, "messages"),
    (CHAT, {"messages": [{"content": "hi"}]}, "messages"),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, "messages"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages"),
    (CHAT, {"messages": [{"role": "user", "content": ["hi"]}]}, "messages"),
    (CHAT, {"stream": "yes"}, "stream"),
    (CHAT, {"stream": 1}, "stream"),
    (CHAT, {"stream_options": True}, "stream_options"),
    (CHAT, {"stream_options": {"include_usage": "yes"}}, "stream_options"),
    (CHAT, {"n": 2}, "n"),
    (CHAT, {"n": True}, "n"),
    (CHAT, {"max_tokens": 0}, "max_tokens"),
    (CHAT, {"max_tokens": -1}, "max_tokens"),
    (CHAT, {"max_tokens": 1.5}, "max_tokens"),
    (CHAT, {"max_tokens": "5"}, "max_tokens"),
    (CHAT, {"max_tokens": True}, "max_tokens"),
    (CHAT, {"max_tokens": 10**30}, "max_tokens"),
    (CHAT, {"max_completion_tokens": 0}, "max_completion_tokens"),
    (CHAT, {"temperature": "hot"}, "temperature"),
    (CHAT, {"temperature": 3}, "temperature"),
    (CHAT, {"top_p": 2}, "top_p"),
    (CHAT, {"tools": {}}, "tools"),
    ("/v1/completions", {"prompt": None}, "prompt"),
    ("/v1/completions", {"prompt": ["a", "b"]}, "prompt"),
    ("/v1/completions", {"prompt": "a", "best_of": 3}, "best_of"),
    ("/v1/embeddings", {"input": None}, "input"),
    ("/v1/embeddings", {"input": ""}, "input"),
    ("/v1/embeddings", {"input": [1, "a"]}, "input"),
]


@pytest.mark.parametrize(("path", "change", "param"), BAD_FIELDS)
async def test_a_bad_field_is_400_and_named(town, path: str, change: dict[str, Any], param: str) -> None:
    answer = await send(town, path, GOOD | change)
    assert answer.status_code == 400
    assert error(answer)[0] == 400
    assert answer.json()["error"]["param"] == param


async def test_a_feature_that_nobody_offers_is_400(town) -> None:
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    answer = await send(town, CHAT, GOOD | {"messages": [{"role": "user", "content": picture}]})
    assert error(answer) == (400, "unsupported_feature")


async def test_a_body_above_ten_megabytes_is_413(town) -> None:
    body = json.dumps(GOOD | {"user": "x" * (10 * 1024 * 1024)}).encode()
    assert error(await send(town, CHAT, body)) == (413, "request_too_large")


async def test_a_body_above_ten_megabytes_in_pieces_is_413_and_never_kept(town) -> None:
    async def pieces() -> Any:
        for _ in range(12):
            yield b"x" * 1024 * 1024

    async with httpx2.AsyncClient(timeout=20) as client:
        answer = await client.post(town.url + CHAT, content=pieces(), headers={"authorization": f"Bearer {KEY}"})
    assert error(answer) == (413, "request_too_large")


async def test_a_coded_body_is_415(town) -> None:
    assert error(await send(town, CHAT, GOOD, **{"content-encoding": "gzip"})) == (415, "unsupported_encoding")


async def test_a_client_that_leaves_during_its_request_costs_nothing(town) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", town.server.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: 100\r\n\r\n{"
        % KEY.encode()
    )
    await asyncio.sleep(0.05)
    assert town.inference.active == 1
    writer.close()
    await town.settled()


async def test_other_paths_and_methods_get_openais_shape(town) -> None:
    async with httpx2.AsyncClient() as client:
        assert error(await client.get(town.url + "/v1/nothing")) == (404, "not_found")
        assert error(await client.get(town.url + CHAT)) == (405, "method_not_allowed")
        assert error(await client.post(town.url + "/v1/models")) == (405, "method_not_allowed")


@pytest.mark.parametrize("bounds", [Bounds(body_s=0.1)])
async def test_a_body_that_does_not_come_to_its_end_is_refused_and_gives_its_place_back(town) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", town.server.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: 100\r\n\r\n{"
        % KEY.encode()
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ") and b'"code":"request_timeout"' in body
    assert town.inference.active == 0
    writer.close()
    await town.settled()


@pytest.mark.parametrize("bounds", [Bounds(active_per_key=2)])
async def test_a_key_has_a_bound_of_running_requests(town) -> None:
    waiting = []
    for _ in range(2):
        reader_writer = await asyncio.open_connection("127.0.0.1", town.server.port)
        reader_writer[1].write(
            b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: 9\r\n\r\n"
            % KEY.encode()
        )
        waiting.append(reader_writer[1])
    await asyncio.sleep(0.05)
    answer = await send(town, CHAT, GOOD)
    assert error(answer) == (429, "rate_limit_exceeded")
    assert int(answer.headers["retry-after-ms"]) > 0
    for writer in waiting:
        writer.close()


async def test_a_draining_gateway_sends_new_requests_away(town) -> None:
    town.inference.draining = True
    answer = await send(town, CHAT, GOOD)
    assert error(answer) == (503, "draining")
    assert answer.headers["retry-after-ms"] == "1000"
    async with httpx2.AsyncClient() as client:
        assert (await client.get(town.url + "/ready")).status_code == 503
        assert (await client.get(town.url + "/health")).status_code == 200


async def test_metrics_bear_standard_names(town) -> None:
    await send(town, CHAT, b"{")
    async with httpx2.AsyncClient() as client:
        text = (await client.get(town.url + "/metrics")).text
        ready = await client.get(town.url + "/ready")
    assert 'bonded_gateway_requests_total{path="/v1/chat/completions",status="400"} 1.0' in text
    assert "gen_ai_server_request_duration_seconds_count" in text
    assert ready.json()["providers"] == 1

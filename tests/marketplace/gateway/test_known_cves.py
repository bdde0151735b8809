"""The holes that other gateways of this market had, tried here: a name a hole (docs/trust.md lists them)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contracts.messages import Ticket
from marketplace.agent.config import ModelConfig
from marketplace.agent.offer import OfferedModel
from marketplace.agent.requests import read_request
from marketplace.gateway.addresses import parse_endpoint
from marketplace.gateway.connection import Limits, UpstreamFailed
from marketplace.gateway.upstream import Upstream
from tests.marketplace.gateway.conftest import KEY, Town, statuses

MODEL = "mock-model"
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Say hello."}]
ROOT = Path(__file__).resolve().parents[3]


class Trap:
    """A server to which nothing may ever connect."""

    def __init__(self) -> None:
        self.visits: list[bytes] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._visit, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits.append(await reader.read(65_536))
        writer.close()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    trap = Trap()
    await trap.start()
    yield trap
    trap.close()
    assert trap.visits == []


async def ask(town: Town, body: dict[str, Any], path: str = CHAT, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(
            f"{town.url}{path}", headers={"authorization": f"Bearer {KEY}"} | headers, json={"model": MODEL} | body
        )


def check_nothing_leaked(town: Town) -> None:
    """The provider got the request and neither the customer's key nor its headers."""
    for provider in town.providers:
        for head, body in zip(provider.heads, provider.bodies, strict=True):
            heard = b"".join(name + value for name, value in head.items()) + body
            assert KEY.encode() not in heard and b"authorization" not in head


@pytest.mark.parametrize(("path", "question"), [(CHAT, {"messages": HELLO}), ("/v1/completions", {"prompt": "x"})])
async def test_cve_2024_6587_an_api_base_in_a_request_sends_it_nowhere(
    town: Town, trap: Trap, path: str, question: dict[str, Any]
) -> None:
    await town.add()
    fields = {"api_base": trap.url, "base_url": trap.url, "api_key": "x", "custom_llm_provider": "openai"}
    answer = await ask(town, question | fields, path, **{"x-api-base": trap.url, "x-forwarded-host": trap.url[7:]})
    assert answer.status_code == 200 and statuses(town) == ["served"]
    check_nothing_leaked(town)


@pytest.mark.parametrize(
    "nested",
    [
        {"user_config": {"model_list": [{"model_name": MODEL, "litellm_params": {"api_base": "{url}"}}]}},
        {"metadata": {"api_base": "{url}"}, "litellm_params": {"api_base": "{url}"}},
        {"fallbacks": [{MODEL: ["{url}"]}], "router_settings": {"api_base": "{url}"}},
        {"extra_body": {"api_base": "{url}"}, "extra_headers": {"host": "{url}"}, "proxy": "{url}"},
    ],
)
async def test_pysec_2026_4070_nor_does_one_that_is_nested(town: Town, trap: Trap, nested: dict[str, Any]) -> None:
    await town.add()
    fields = json.loads(json.dumps(nested).replace("{url}", trap.url))
    answer = await ask(town, {"messages": HELLO} | fields)
    assert answer.status_code == 200 and statuses(town) == ["served"]
    check_nothing_leaked(town)


async def test_pysec_2026_4070_a_picture_by_address_is_fetched_by_nobody_here(town: Town, trap: Trap) -> None:
    await town.add(features=("chat", "vision"))
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"{trap.url}/x.png"}}]}]
    assert (await ask(town, {"messages": picture})).status_code == 200


@pytest.mark.parametrize(
    "field",
    ["api_base", "base_url", "api_key", "user_config", "model_list", "fallbacks", "extra_headers", "chat_template"],
)
def test_cve_2024_6587_an_engine_that_is_a_gateway_itself_never_sees_where_to_go(field: str) -> None:
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 3, field: "http://127.0.0.1:1"}
    assert field not in read_request("chat/completions", json.dumps(body).encode(), TICKET, OFFERED).body


def test_cve_2026_42203_a_request_brings_no_template_of_its_own() -> None:
    kwargs = {"chat_template": "{{ ''.__class__.__mro__ }}", "tokenize": True, "enable_thinking": False}
    body = {"model": MODEL, "messages": HELLO, "chat_template": "{{ 7 * 7 }}", "chat_template_kwargs": kwargs}
    asked = read_request("chat/completions", json.dumps(body).encode(), TICKET, OFFERED).body
    assert "chat_template" not in asked and asked["chat_template_kwargs"] == {"enable_thinking": False}


async def test_cve_2026_42203_what_looks_like_a_template_is_text(town: Town) -> None:
    provider = await town.add()
    spell = "{{ ''.__class__.__mro__[1].__subclasses__() }}{% for x in range(9) %}{{ x }}{% endfor %}${7*7}"
    answer = await ask(town, {"messages": [{"role": "user", "content": spell}], "user": spell})
    assert answer.status_code == 200 and json.loads(provider.bodies[0])["messages"][0]["content"] == spell
    refused = await ask(town, {"messages": HELLO, "model": spell})
    assert refused.status_code == 404 and "__subclasses__() }}" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "holds"),
    [
        (b"2\r\n{}\r\n0\r\n\r\n", True),
        (b"2\r\n{}XX0\r\n\r\n", False),
        (b"2\r\n{}\n0\r\n\r\n", False),
        (b"+2\r\n{}\r\n0\r\n\r\n", False),
        (b"0x2\r\n{}\r\n0\r\n\r\n", False),
        (b"2 2\r\n{}\r\n0\r\n\r\n", False),
    ],
)
async def test_cve_2025_43859_a_chunk_that_does_not_end_as_it_must_ends_the_answer(body: bytes, holds: bool) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    endpoint = parse_endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", devnet=True)
    upstream = Upstream(devnet=True)
    try:
        limits = Limits(first_byte_s=5, gap_s=5, total_s=5, body_bytes=100)
        connection = await upstream.send(endpoint, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", limits)
        if holds:
            assert await connection.read_all(100) == b"{}"
        else:
            with pytest.raises(UpstreamFailed):
                await connection.read_all(100)
        connection.finish()
    finally:
        upstream.close()
        server.close()


async def test_cve_2026_114612_no_field_of_a_request_makes_a_customer_more_than_it_is(town: Town) -> None:
    await town.add()
    rich = {"user_role": "proxy_admin", "customer": "0x" + "ee" * 20, "budget": 10**30, "service_class": "realtime"}
    headers = {"x-bonded-customer": "0x" + "ee" * 20, "x-user-role": "admin", "x-bonded-ticket": "e30"}
    answer = await ask(town, {"messages": HELLO} | rich, **headers)
    assert answer.status_code == 200
    [attempt] = town.books.posted
    assert attempt.countersignature.customer in town.customers


def test_the_compromised_litellm_is_nowhere_and_every_pin_has_its_hash() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        assert not re.search(r"^litellm==1\.82\.[78]\b", text, re.M), path.name
        pins = re.split(r"^(?=[a-z0-9])", text, flags=re.I | re.M)[1:]
        bare = [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin and not pin.startswith("#")]
        assert bare == [], path.name
    assert "litellm" not in (ROOT / "requirements/server.txt").read_text()


OFFERED = OfferedModel(
    ModelConfig(MODEL, 4096, 1, ("chat", "completions"), 1, 1, 1, "", bytes(32), bytes(32), MODEL), bytes(32), bytes(32)
)
TICKET = Ticket(bytes(32), 0, "0x" + "01" * 20, bytes(32), 1_000, 100, 1, 1, 1, 0, bytes(32))

"""The road to providers: what is refused before a socket is made, and every way in which an answer can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from marketplace.gateway.addresses import parse_endpoint
from marketplace.gateway.connection import Limits
from marketplace.gateway.lanes import Lane
from marketplace.gateway.testing import MockProvider
from marketplace.gateway.testing_faults import BEFORE_ANSWER
from marketplace.gateway.tickets import Terms
from marketplace.gateway.upstream import Upstream
from marketplace.verifier import road as road_module
from marketplace.verifier.road import CheckedRoad
from tests.marketplace.gateway.conftest import DOMAIN, GATEWAY

QUICK = Limits(first_byte_s=0.3, gap_s=0.3, total_s=1.0, body_bytes=10_000)
HEADERS = {"content-type": "application/json", "x-bonded-ticket": "dGlja2V0", "x-bonded-salt": "ab" * 32}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a probe give up soon."""
    monkeypatch.setattr(road_module, "_LIMITS", QUICK)


@asynccontextmanager
async def answering(
    *parts: bytes,
    then: Callable[[asyncio.StreamWriter], object] = lambda writer: writer.close(),
    gone: asyncio.Event | None = None,
):
    """Listen, and answer any request with these bytes; gives the address and what was asked.

    `gone` is set when the other side has left.
    """
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
            await writer.drain()
        then(writer)
        if gone is not None:
            await reader.read()
            gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        server.close()


@pytest.fixture
async def road() -> AsyncIterator[CheckedRoad]:
    upstream = Upstream(devnet=True)
    yield CheckedRoad(upstream, devnet=True)
    upstream.close()


async def post(road: CheckedRoad, url: str) -> tuple[int, bytes]:
    """Post and read the whole answer."""
    async with road.post(url + "/v1/chat/completions", HEADERS, b"{}") as answer:
        return answer.status, b"".join([chunk async for chunk in answer.chunks()])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9", "http://localhost:9", "http://10.0.0.1:9", "http://169.254.169.254", "http://[::1]:9",
        "https://127.0.0.1:9", "https://192.168.0.1", "https://[fe80::1]:9", "https://[::ffff:127.0.0.1]:9",
    ],
)  # fmt: skip
async def test_outside_of_a_devnet_no_private_address_is_reached(url: str) -> None:
    dialled: list[str] = []

    async def never(connection: object, address: str, *_: object) -> None:
        dialled.append(address)
        raise OSError("a socket was asked for")

    upstream = Upstream(devnet=False, connect=never)  # type: ignore[arg-type]
    road = CheckedRoad(upstream, devnet=False)
    with pytest.raises(OSError):
        await post(road, url)
    with pytest.raises(OSError):
        await road.offer(url)
    assert dialled == []
    upstream.close()


async def test_a_name_that_resolves_inwards_is_refused() -> None:
    async def inwards(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "127.0.0.1"]

    upstream = Upstream(devnet=False, resolve=inwards)
    with pytest.raises(ConnectionError):
        await CheckedRoad(upstream, devnet=False).offer("https://provider.example")
    upstream.close()


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x", "http://", "http://a b", "http://u:p@h", "http://h:0"])
async def test_what_is_no_endpoint_is_an_os_error(road: CheckedRoad, url: str) -> None:
    with pytest.raises(OSError):
        await road.offer(url)
    with pytest.raises(OSError):
        await post(road, url)


async def test_a_closed_port_is_a_connection_error(road: CheckedRoad) -> None:
    with pytest.raises(ConnectionError):
        await post(road, "http://127.0.0.1:1")


async def test_silence_and_a_stall_are_timeouts(road: CheckedRoad) -> None:
    async with answering(then=lambda writer: None) as (url, _):
        with pytest.raises(TimeoutError):
            await post(road, url)
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with answering(head, then=lambda writer: None) as (url, _):
        with pytest.raises(TimeoutError):
            await post(road, url)


async def test_a_drip_is_cut_off_after_the_whole_time(road: CheckedRoad) -> None:
    dripping: set[asyncio.Task[None]] = set()

    def drip(writer: asyncio.StreamWriter) -> None:
        async def forever() -> None:
            while True:
                writer.write(b"1\r\nx\r\n")
                await asyncio.sleep(0.05)

        dripping.add(asyncio.create_task(forever()))

    async with answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", then=drip) as (url, _):
        with pytest.raises(TimeoutError):
            await post(road, url)
    for task in dripping:
        task.cancel()


@pytest.mark.parametrize("name", sorted(set(BEFORE_ANSWER) - {"error_500", "redirect", "garbage", "garbage_stream"}))
async def test_what_is_not_acceptable_as_http_is_an_os_error(road: CheckedRoad, name: str) -> None:
    async with answering(BEFORE_ANSWER[name]) as (url, _):
        with pytest.raises(OSError):
            await post(road, url)


async def test_a_body_that_ends_early_or_is_too_large_is_an_os_error(road: CheckedRoad) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort") as (url, _):
        with pytest.raises(OSError):
            await post(road, url)
    large = b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + b"x" * 20_000
    async with answering(large) as (url, _):
        with pytest.raises(OSError):
            await post(road, url)


async def test_a_redirect_is_an_answer_and_not_followed(road: CheckedRoad) -> None:
    async with answering(BEFORE_ANSWER["redirect"]) as (url, asked):
        assert (await post(road, url))[0] == 307
        assert len(asked) == 1
        with pytest.raises(OSError, match="answered 307"):
            await road.offer(url)


async def test_a_good_answer_comes_whole_and_the_request_is_what_it_says(road: CheckedRoad) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", then=lambda writer: None) as (
        url,
        asked,
    ):
        assert await post(road, url) == (200, b"hello")
        head = asked[0].decode()
        assert head.startswith("POST /v1/chat/completions HTTP/1.1\r\n") and f"host: {url[7:]}\r\n" in head
        assert "content-type: application/json\r\n" in head and "content-length: 2\r\n" in head


async def test_a_probe_is_byte_for_byte_what_a_gateway_would_send(road: CheckedRoad) -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with answering(whole, then=lambda writer: None) as (url, asked):
        await post(road, url)
        lane = Lane(
            provider="0x" + "11" * 20, model="m", endpoint=parse_endpoint(url, True), signers=frozenset(),
            terms=Terms("0x" + "11" * 20, bytes(32), 1, 1, 1), context_length=9, slots=1,
        )  # fmt: skip
        relayed = lane.request("/v1/chat/completions", b"{}", b"dGlja2V0", b"\xab" * 32)
        assert asked[0] + b"{}" == relayed


async def test_an_offer_is_fetched_from_a_real_provider(road: CheckedRoad) -> None:
    provider = MockProvider("0x" + "11" * 20, GATEWAY, DOMAIN)
    await provider.start()
    try:
        assert await road.offer(provider.endpoint) == provider.offer()
        assert await road.offer(provider.endpoint + "/") == provider.offer()
    finally:
        await provider.stop()


async def test_a_probe_that_is_given_up_closes_its_connection(road: CheckedRoad) -> None:
    gone = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with answering(head, then=lambda writer: None, gone=gone) as (url, _):
        with pytest.raises(RuntimeError, match="enough"):
            async with road.post(url + "/v1/chat/completions", HEADERS, b"{}") as answer:
                async for _ in answer.chunks():
                    raise RuntimeError("enough")
        async with asyncio.timeout(5):
            await gone.wait()

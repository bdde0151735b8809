"""Customers' connections that are hostile or merely unusual: framing, pipelining, slowness, half a goodbye."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from marketplace.gateway.desk import Patience
from marketplace.gateway.front import HEAD_BYTES_MOST
from marketplace.gateway.inference import Bounds
from tests.marketplace.gateway.conftest import KEY, Town, statuses
from tests.marketplace.gateway.test_leaving import until

CHAT = b"/v1/chat/completions"
AUTHORIZED = b"authorization: Bearer " + KEY.encode() + b"\r\n"
SECRET = b'{"model":"mock-model","messages":[{"role":"user","content":"smuggled"}],"max_tokens":3}'


def body(stream: bool = False, tokens: int = 5, model: str = "mock-model") -> bytes:
    asked = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": tokens}
    return json.dumps(asked | ({"stream": True} if stream else {})).encode()


def request(content: bytes = b"", more: bytes = b"", path: bytes = CHAT) -> bytes:
    content = content or body()
    return b"POST %b HTTP/1.1\r\nhost: x\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
        path,
        AUTHORIZED,
        more,
        len(content),
        content,
    )


class Client:
    """A raw connection that reads one answer at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, town: Town) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", town.server.port))

    async def answer(self) -> tuple[int, bytes]:
        """Read one answer: status and body, its framing taken off."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head[:-4].lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:])
        assert len(headers) == len(lines) - 1, "a header came twice"
        status = int(lines[0].split()[1])
        if b"content-length" in headers:
            return status, await self.reader.readexactly(int(headers[b"content-length"]))
        parts = []
        while size := int(await self.reader.readline(), 16):
            parts.append((await self.reader.readexactly(size + 2))[:-2])
        assert await self.reader.readline() == b"\r\n"
        return status, b"".join(parts)

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        self.writer.write(data)
        return await self.answer()

    async def ended(self) -> bytes:
        """Read what comes until the gateway closes."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""


@pytest.fixture
async def client(town: Town) -> Any:
    client = await Client.open(town)
    yield client
    client.writer.close()


async def still_serves(town: Town) -> None:
    other = await Client.open(town)
    assert (await other.ask(request()))[0] == 200
    other.writer.close()


# pipelining


async def test_pipelined_requests_are_answered_in_their_order(town, client) -> None:
    await town.add()
    asked = [body(tokens=n) for n in (1, 4, 2, 3)]
    client.writer.write(b"".join(map(request, asked)))
    for n in (1, 4, 2, 3):
        status, answer = await client.answer()
        assert (status, json.loads(answer)["usage"]["completion_tokens"]) == (200, n)


async def test_a_request_of_another_route_between_two_of_ours_keeps_its_place(town, client) -> None:
    await town.add()
    client.writer.write(request(body(True)) + b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n" + request())
    status, streamed = await client.answer()
    assert status == 200 and streamed.endswith(b"data: [DONE]\n\n")
    assert json.loads((await client.answer())[1])["object"] == "list"
    assert json.loads((await client.answer())[1])["object"] == "chat.completion"


async def test_a_request_behind_one_of_another_route_is_answered_after_it(town, client) -> None:
    await town.add()
    client.writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + request())
    assert json.loads((await client.answer())[1]) == {"status": "alive"}
    assert (await client.answer())[0] == 200


async def test_a_thousand_pipelined_requests_with_a_wrong_key_are_all_refused(town, client) -> None:
    await town.add()
    wrong = request().replace(KEY.encode(), b"sk-bonded-wrong")
    client.writer.write(wrong * 1_000 + request())
    for _ in range(1_000):
        assert (await client.answer())[0] == 401
    assert (await client.answer())[0] == 200


async def test_a_large_body_behind_a_running_answer_waits_its_turn(town, client) -> None:
    await town.add(gap_s=0.01)
    padded = json.dumps(json.loads(body()) | {"user": "x" * 500_000}).encode()
    client.writer.write(request(body(True)) + request(padded) + request())
    assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("patience", [Patience(first_byte_s=30, gap_floor_s=30, gap_times_itl=0)])
async def test_who_leaves_with_requests_waiting_stops_all_of_them(town, client) -> None:
    provider = await town.add(behaviour="hang")
    client.writer.write(request() * 3)
    await until(lambda: provider.tickets)
    client.writer.close()
    await until(lambda: provider.left)
    await town.settled()
    assert len(town.books.holds) == 1, "those that waited were never begun"


# framing that two parsers may read in two ways


AMBIGUOUS = {
    "both lengths": b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other order": b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 4\r\ncontent-length: 90\r\n\r\nabcd",
    "the same length twice": b"content-length: 4\r\ncontent-length: 4\r\n\r\nabcd",
    "two lengths in one header": b"content-length: 4, 4\r\n\r\nabcd",
    "a negative length": b"content-length: -1\r\n\r\n",
    "a length with a sign": b"content-length: +4\r\n\r\nabcd",
    "a length in hexadecimal": b"content-length: 0x4\r\n\r\nabcd",
    "a length that overflows": b"content-length: 18446744073709551620\r\n\r\nabcd",
    "another coding": b"transfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "chunked behind another coding": b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked before another coding": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a coding that only looks like chunked": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"content-length : 4\r\n\r\nabcd",
    "a folded header": b"x-folded: one\r\n two\r\ncontent-length: 4\r\n\r\nabcd",
    "a folded coding": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"x-one: 1\ncontent-length: 4\r\n\r\nabcd",
    "a bare carriage return": b"x-one: 1\rcontent-length: 4\r\n\r\nabcd",
    "a zero byte": b"x-one: a\0b\r\ncontent-length: 4\r\n\r\nabcd",
    "a header without a name": b": nothing\r\ncontent-length: 4\r\n\r\nabcd",
    "a header without a colon": b"nothing\r\ncontent-length: 4\r\n\r\nabcd",
    "a chunk size that is no number": b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "a chunk size with a sign": b"transfer-encoding: chunked\r\n\r\n-1\r\n",
    "a chunk size that overflows": b"transfer-encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n",
    "a chunk longer than its size": b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "a chunk ended by a line feed": b"transfer-encoding: chunked\r\n\r\n1\na\n0\n\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_behind_it_is_served(town, client, name) -> None:
    await town.add()
    head = b"POST %b HTTP/1.1\r\nhost: x\r\n%b" % (CHAT, AUTHORIZED)
    client.writer.write(head + AMBIGUOUS[name] + request(SECRET))
    answer = await client.ended()
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer and json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert town.books.holds == []
    await still_serves(town)


@pytest.mark.parametrize(
    "line",
    [
        b"POST /v1/chat/completions\r\n",
        b"POST  /v1/chat/completions HTTP/1.1\r\n",
        b"POST /v1/chat/completions HTTP/1.1\n",
        b"POST /v1/chat/completions HTTP/9.9\r\n",
        b"POST\x00/v1/chat/completions HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"NONSENSE\r\n",
    ],
)
async def test_a_request_line_that_is_none_is_refused(town, client, line: bytes) -> None:
    await town.add()
    client.writer.write(line + b"host: x\r\n" + AUTHORIZED + b"content-length: 2\r\n\r\n{}")
    assert (await client.ended()).startswith(b"HTTP/1.1 400 ")
    await still_serves(town)


async def test_garbage_behind_a_request_does_not_disturb_its_answer_and_ends_the_connection(town, client) -> None:
    await town.add(gap_s=0.01)
    client.writer.write(request(body(True)) + b"\x00garbage\r\n\r\n" + request(SECRET))
    status, streamed = await client.answer()
    assert status == 200 and streamed.endswith(b"data: [DONE]\n\n")
    assert await client.ended() == b""
    assert len(town.books.holds) == 1


async def test_garbage_in_a_chunked_body_is_refused_once(town, client) -> None:
    await town.add()
    head = b"POST %b HTTP/1.1\r\nhost: x\r\n%btransfer-encoding: chunked\r\n\r\n5\r\n" % (CHAT, AUTHORIZED)
    client.writer.write(head)
    await until(lambda: town.inference.active)
    client.writer.write(b"abcdeXX\r\n")
    answer = await client.ended()
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    assert town.inference.active == 0


async def test_garbage_in_the_body_of_another_route_ends_it(town, client) -> None:
    head = b"POST /v1/tickets HTTP/1.1\r\nhost: x\r\n%btransfer-encoding: chunked\r\n\r\n5\r\n" % AUTHORIZED
    client.writer.write(head + b"abcdeXX\r\n")
    assert (await client.ended()).count(b"HTTP/1.1 ") <= 1
    await town.settled()


# bounds


@pytest.mark.parametrize(
    "head",
    [
        b"x-long: " + b"a" * HEAD_BYTES_MOST + b"\r\n",
        b"x-many: a\r\n" * (HEAD_BYTES_MOST // 6),
        b"x-long: " + b"a" * (4 * HEAD_BYTES_MOST),
        b"a" * (4 * HEAD_BYTES_MOST),
    ],
    ids=["one header", "many headers", "a header without end", "a name without end"],
)
async def test_headers_above_their_bound_are_refused(town, client, head: bytes) -> None:
    client.writer.write(b"POST %b HTTP/1.1\r\nhost: x\r\n" % CHAT + head)
    assert (await client.ended()).startswith(b"HTTP/1.1 431 ")


async def test_a_target_above_the_bound_is_refused(town, client) -> None:
    client.writer.write(b"GET /" + b"a" * (2 * HEAD_BYTES_MOST))
    assert (await client.ended()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("bounds", [Bounds(head_s=0.1)])
async def test_headers_that_do_not_come_to_their_end_are_refused(town, client) -> None:
    client.writer.write(b"POST %b HTTP/1.1\r\nhost: x\r\nx-slow: a" % CHAT)
    assert (await client.ended()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("bounds", [Bounds(head_s=0.1)])
async def test_headers_that_come_byte_by_byte_are_refused_all_the_same(town, client) -> None:
    async def trickle() -> None:
        client.writer.write(b"POST %b HTTP/1.1\r\nx-slow: " % CHAT)
        while True:
            client.writer.write(b"a")
            await asyncio.sleep(0.005)

    trickling = asyncio.create_task(trickle())
    assert (await client.reader.read(12)) == b"HTTP/1.1 408"
    trickling.cancel()


@pytest.mark.parametrize("bounds", [Bounds(head_s=0.1)])
async def test_an_idle_connection_is_closed(town, client) -> None:
    await town.add()
    assert (await client.ask(request()))[0] == 200
    assert await client.ended() == b""


@pytest.mark.parametrize("bounds", [Bounds(head_s=0.1)])
async def test_an_answer_that_takes_longer_than_a_connection_may_be_idle_is_not_cut(town, client) -> None:
    await town.add(gap_s=0.06)
    status, streamed = await client.ask(request(body(True)))
    assert status == 200 and streamed.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("bounds", [Bounds(body_most=1_000)])
async def test_a_body_that_goes_on_after_its_refusal_is_cut_off(town, client) -> None:
    head = b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\ncontent-length: 1000000\r\n\r\n" % CHAT
    assert (await client.ask(head))[0] == 401
    client.writer.write(b"a" * 100_000)
    assert await client.ended() == b""


# correct, if unusual


async def test_a_body_in_chunks_with_a_trailer_is_served(town, client) -> None:
    provider = await town.add()
    asked = body()
    pieces = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in (asked[:7], asked[7:]))
    head = b"POST %b HTTP/1.1\r\nhost: x\r\n%btransfer-encoding: chunked\r\n\r\n" % (CHAT, AUTHORIZED)
    status, _ = await client.ask(head + pieces + b"0\r\nx-trailer: 1\r\n\r\n")
    assert status == 200 and provider.bodies == [asked]
    assert (await client.ask(request()))[0] == 200, "the connection goes on"


async def test_a_client_that_expects_to_be_told_to_continue_is(town, client) -> None:
    await town.add()
    head, _, content = request(more=b"expect: 100-continue\r\n").partition(b"\r\n\r\n")
    client.writer.write(head + b"\r\n\r\n")
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.ask(content))[0] == 200


async def test_a_client_that_expects_to_be_told_to_continue_is_refused_instead_when_its_key_is_wrong(
    town, client
) -> None:
    head, _, _ = request(more=b"expect: 100-continue\r\n").partition(b"\r\n\r\n")
    assert (await client.ask(head.replace(KEY.encode(), b"wrong") + b"\r\n\r\n"))[0] == 401


async def test_an_upgrade_is_refused(town, client) -> None:
    await town.add()
    client.writer.write(request(more=b"connection: upgrade\r\nupgrade: h2c\r\n"))
    assert (await client.ended()).startswith(b"HTTP/1.1 400 ")
    assert town.books.holds == []


async def test_a_client_of_http_1_0_gets_its_answer_and_the_end_of_the_connection(town, client) -> None:
    await town.add()
    client.writer.write(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    answer = await client.ended()
    assert answer.startswith(b"HTTP/1.1 200 ") and b"chat.completion" in answer


async def test_a_client_that_asks_for_it_gets_the_end_of_the_connection(town, client) -> None:
    await town.add()
    client.writer.write(request(body(True), b"connection: close\r\n") + request(SECRET))
    answer = await client.ended()
    assert b"connection: close\r\n" in answer and answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert len(town.books.holds) == 1


async def test_a_request_that_comes_byte_by_byte_is_served(town, client) -> None:
    await town.add()
    for byte in request():
        client.writer.write(bytes((byte,)))
        await client.writer.drain()
    assert (await client.answer())[0] == 200


@pytest.mark.parametrize("patience", [Patience(first_byte_s=30, gap_floor_s=30, gap_times_itl=0)])
async def test_a_client_that_closes_its_sending_half_has_left(town, client) -> None:
    provider = await town.add(behaviour="hang_mid")
    client.writer.write(request(body(True, tokens=200)))
    await client.reader.readuntil(b"word0")
    client.writer.write_eof()
    await until(lambda: provider.left)
    await town.settled()
    assert statuses(town) == [] and len(town.desk.open_tickets) == 1, "the hold waits for the receipt"

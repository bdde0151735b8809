"""What strangers can make a verifier do by asking for signatures: little, and nothing twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
import pytest

from contracts.messages import Domain
from contracts.signing import Signer
from contracts.types import Timing
from marketplace.verifier.server import create_server
from marketplace.verifier.signing import ReportSigner
from marketplace.verifier.surroundings import _chat_model, _ticket
from rewards.errors import EvidenceMissing
from rewards.verifier.service import TicketRefused, Verifier
from rewards.verifier.store import MeasurementStore
from rewards.verifier.testing import MemorySurroundings, SocketTransport

VERIFIER = Signer(b"\x04" * 32)
SEPARATOR = Domain(31337, "0x" + "ee" * 20).separator()


class SlowSource:
    """Evidence that is nowhere to be had, which is said only once the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[bytes] = []

    def open(self, file: str, digest: bytes, most: int) -> BinaryIO:
        self.asked.append(digest)
        assert self.gate.wait(30)
        raise EvidenceMissing(file, digest, "a slow place")


@pytest.fixture
def source() -> SlowSource:
    return SlowSource()


@pytest.fixture
async def client(source: SlowSource, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    surroundings = MemorySurroundings(Timing(1_000, 5, 10), SEPARATOR, 1, [], Signer(b"\x09" * 32))
    verifier = Verifier(VERIFIER, bytes(32), MeasurementStore(tmp_path), surroundings, SocketTransport(), {})
    application = create_server(verifier, ReportSigner(None, VERIFIER, verifier, source))  # type: ignore[arg-type]
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=application), base_url="http://verifier", timeout=60
    ) as opened:
        yield opened
    source.gate.set()


def asking(client: httpx2.AsyncClient, evidence: int) -> asyncio.Task[Any]:
    body = {"epoch": 0, "evidence": "0x" + bytes([evidence] * 32).hex()}
    return asyncio.create_task(client.post("/reports", json=body))


async def test_a_body_that_says_no_length_is_not_read_beyond_the_bound(client: httpx2.AsyncClient):
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1024
            assert sent < 1 << 20
            yield b" " * 1024

    answer = await client.post("/reports", content=endless())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert sent <= 8192


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 4000,
        b'{"epoch":1e400,"evidence":"0x"}',
        b'{"epoch":true,"evidence":"0x' + b"11" * 32 + b'"}',
        b'{"epoch":-1,"evidence":"0x' + b"11" * 32 + b'"}',
        b'{"epoch":0,"evidence":"0x11"}',
        b'{"epoch":0,"evidence":7}',
    ],
)
async def test_what_is_no_request_is_told_so_and_nothing_is_fetched(
    client: httpx2.AsyncClient, source: SlowSource, body: bytes
):
    answer = await client.post("/reports", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed")
    assert source.asked == []


async def test_equal_requests_share_one_computation_and_more_than_two_others_do_not_wait(
    client: httpx2.AsyncClient, source: SlowSource
):
    first = [asking(client, 1) for _ in range(5)]
    while not source.asked:
        await asyncio.sleep(0.01)
    waiting = [asking(client, 2), asking(client, 3)]
    await asyncio.sleep(0.05)
    busy = await asking(client, 4)
    assert (busy.status_code, busy.json()["error"]["code"]) == (503, "busy")
    first[0].cancel()
    source.gate.set()
    answers = await asyncio.gather(*first[1:], *waiting)
    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(409, "EvidenceMissing")}
    assert source.asked == [bytes([number] * 32) for number in (1, 2, 3)]
    assert (await asking(client, 4)).status_code == 409


@pytest.mark.parametrize(
    "body", [b"no json", b"[]", b"{}", b'{"tickets":[]}', b'{"tickets":[{}]}', b'{"tickets":[{"error":7}]}']
)
def test_an_answer_of_the_gateway_that_holds_no_ticket_is_a_refusal(body: bytes):
    with pytest.raises(TicketRefused):
        _ticket(body)


def test_an_offer_nested_too_deep_offers_no_model():
    assert _chat_model(b"[" * 200_000) is None

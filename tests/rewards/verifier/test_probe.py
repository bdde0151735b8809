"""One probe against agents that behave and misbehave, on real loopback sockets."""

import asyncio
import json

import pytest

from contracts.messages import Domain, Receipt, Status, Ticket
from contracts.signing import Signer
from rewards.verifier.probe import Verdict, probe
from rewards.verifier.testing import SocketTransport

SEPARATOR = Domain(31337, "0x" + "ee" * 20).separator()
PROVIDER = Signer(b"\x01" * 32)
GATEWAY = Signer(b"\x02" * 32)
TICKET = Ticket(
    job=b"\x05" * 32,
    attempt=0,
    provider=PROVIDER.address,
    model=b"\x06" * 32,
    max_input_tokens=64,
    max_output_tokens=4,
    price_in_atto=10,
    price_cached_atto=5,
    price_out_atto=20,
    expires_at=2_000_000_000,
    request_digest=b"\x07" * 32,
)
WIRE = TICKET.to_json() | {"signature": "0x" + GATEWAY.sign(TICKET.digest(SEPARATOR)).hex()}


def text_event(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"' + text.encode() + b'"}}]}\n\n'


def receipt_event(by: Signer = PROVIDER, **changes: object) -> bytes:
    fields: dict[str, object] = {
        "job": TICKET.job,
        "attempt": 0,
        "provider": PROVIDER.address,
        "model": TICKET.model,
        "slot": 9,
        "input_tokens": 10,
        "cached_tokens": 0,
        "output_tokens": 2,
        "ttft_ms": 5,
        "itl_us": 100,
        "charge_atto": 140,
        "request_digest": TICKET.request_digest,
        "response_digest": b"\x08" * 32,
        "status": Status.SERVED,
    }
    receipt = Receipt(**(fields | changes))  # type: ignore[arg-type]
    signature = "0x" + by.sign(receipt.digest(SEPARATOR)).hex()
    row = {"object": "bonded.receipt", "receipt": receipt.to_json(), "signature": signature}
    return b"data: " + json.dumps(row, separators=(",", ":")).encode() + b"\n\n"


GOOD = [text_event("Hel"), text_event("lo"), receipt_event(), b"data: [DONE]\n\n"]


async def outcome(parts: list[bytes], status: int = 200, hang: bool = False, timeout_s: float = 5.0):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\n\r\n".encode())
        for part in parts:
            writer.write(part)
            await writer.drain()
        if hang:
            await asyncio.sleep(30)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await probe(
            SocketTransport(),
            f"http://127.0.0.1:{port}",
            PROVIDER.address,
            SEPARATOR,
            WIRE,
            bytes(32),
            b"{}",
            timeout_s,
        )
    finally:
        server.close()


async def test_a_full_answer_with_an_honest_receipt_is_served():
    result = await outcome(GOOD)
    assert result.verdict is Verdict.SERVED
    assert result.text == "Hello"
    assert result.ttft_ms is not None
    assert result.receipt is not None
    assert result.receipt["receipt"]["outputTokens"] == 2


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([], Verdict.BROKEN),
        (GOOD[:2], Verdict.BROKEN),
        ([text_event("x"), b"data: {broken\n\n", b"data: [DONE]\n\n"], Verdict.BROKEN),
        ([*GOOD[:2], b"data: [DONE]\n\n"], Verdict.BAD_RECEIPT),
        ([*GOOD[:2], receipt_event(by=GATEWAY), GOOD[3]], Verdict.BAD_RECEIPT),
        ([*GOOD[:2], receipt_event(charge_atto=141), GOOD[3]], Verdict.BAD_RECEIPT),
        ([*GOOD[:2], receipt_event(output_tokens=5, charge_atto=200), GOOD[3]], Verdict.BAD_RECEIPT),
        ([*GOOD[:2], receipt_event(job=b"\x09" * 32), GOOD[3]], Verdict.BAD_RECEIPT),
        ([b"data: " + b"x" * (2 << 20)], Verdict.BROKEN),
        ([b"data: []\n\n", receipt_event(), GOOD[3]], Verdict.BROKEN),
        ([b'data: {"choices":null}\n\n', receipt_event(), GOOD[3]], Verdict.BROKEN),
        ([b'data: {"choices":[{"delta":null}]}\n\n', receipt_event(), GOOD[3]], Verdict.BROKEN),
        ([b'data: {"choices":[{"delta":{"content":7}}]}\n\n', receipt_event(), GOOD[3]], Verdict.BROKEN),
        ([b"data: " + b"[" * 200_000 + b"\n\n", receipt_event(), GOOD[3]], Verdict.BROKEN),
        (
            [GOOD[0], b'data: {"object":"bonded.receipt","receipt":' + b"[" * 200_000 + b"\n\n", GOOD[3]],
            Verdict.BAD_RECEIPT,
        ),
    ],
)
async def test_an_answer_that_is_cut_or_lies_is_down_and_hands_over_no_receipt(parts: list[bytes], verdict: Verdict):
    result = await outcome(parts)
    assert result.verdict is verdict
    assert result.receipt is None


async def test_busy_is_no_evidence_and_a_refusal_is_down():
    assert (await outcome([], status=429)).verdict is Verdict.BUSY
    assert (await outcome([], status=503)).verdict is Verdict.REFUSED


async def test_an_agent_that_hangs_times_out_and_a_closed_port_is_unreachable():
    assert (await outcome(GOOD[:1], hang=True, timeout_s=0.2)).verdict is Verdict.TIMEOUT
    result = await probe(
        SocketTransport(), "http://127.0.0.1:1", PROVIDER.address, SEPARATOR, WIRE, bytes(32), b"{}", 5.0
    )
    assert result.verdict is Verdict.UNREACHABLE

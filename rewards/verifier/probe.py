"""Make one probe: call a provider's agent with an ordinary ticket, timed on this side, and say what came of it.

How the call reaches a stranger's address is the caller's affair: a `Transport` is passed in (the marketplace passes
its address-checked client).
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from contracts.errors import ContractsError
from contracts.messages import Receipt, Ticket
from contracts.signing import recover
from rewards.verifier.challenge import answer_text

_RECEIPT_EVENT = b'data: {"object":"bonded.receipt"'
_MOST_BYTES = 1 << 20


class Verdict(StrEnum):
    """What a probe came to. SERVED is up; BUSY and UNASKED are no evidence; all others are down."""

    SERVED = "served"
    BUSY = "busy"
    UNASKED = "unasked"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    BROKEN = "broken"
    BAD_RECEIPT = "bad_receipt"

    @property
    def up(self) -> bool | None:
        """True for up, False for down, None for no evidence."""
        if self in (Verdict.BUSY, Verdict.UNASKED):
            return None
        return self is Verdict.SERVED


class Answer(Protocol):
    """An HTTP answer whose body is still arriving."""

    status: int

    def chunks(self) -> AsyncIterator[bytes]: ...


class Transport(Protocol):
    """Open a POST to a provider's registered endpoint.

    Raises OSError or TimeoutError when it cannot be reached or its address is refused.
    """

    def post(self, url: str, headers: dict[str, str], body: bytes) -> AbstractAsyncContextManager[Answer]: ...


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The verdict with what supports it.

    `receipt` is the provider's signed receipt in wire form, to be handed to the gateway.
    """

    verdict: Verdict
    ttft_ms: int | None
    itl_us: int | None
    text: str
    receipt: dict[str, Any] | None


async def probe(
    transport: Transport,
    endpoint: str,
    signer: str,
    separator: bytes,
    ticket: dict[str, Any],
    salt: bytes,
    body: bytes,
    timeout_s: float,
    now: Callable[[], float] = time.perf_counter,
) -> ProbeResult:
    """Send one streamed chat request and judge the answer; never raises for what a provider does.

    `ticket` is the wire form with its signature, `signer` the provider's registered hot key, `separator` the EIP-712
    domain separator.
    """
    headers = {
        "content-type": "application/json",
        "x-bonded-ticket": _base64url(json.dumps(ticket, sort_keys=True, separators=(",", ":")).encode()),
        "x-bonded-salt": salt.hex(),
    }
    arrivals: list[float] = []
    stream = bytearray()
    begun = now()
    try:
        async with asyncio.timeout(timeout_s):
            async with transport.post(endpoint.rstrip("/") + "/v1/chat/completions", headers, body) as answer:
                if answer.status != 200:
                    return _nothing(Verdict.BUSY if answer.status == 429 else Verdict.REFUSED)
                async for chunk in answer.chunks():
                    events = chunk.count(b'"content":"')
                    if events or (not arrivals and b"data: " in chunk):
                        arrivals.append(now())
                    stream += chunk
                    if len(stream) > _MOST_BYTES:
                        return _nothing(Verdict.BROKEN)
    except TimeoutError:
        return _nothing(Verdict.TIMEOUT)
    except OSError:
        return _nothing(Verdict.BROKEN if stream else Verdict.UNREACHABLE)
    return _judge(bytes(stream), begun, arrivals, Ticket.from_json(ticket), signer, separator)


def _judge(
    stream: bytes, begun: float, arrivals: list[float], ticket: Ticket, signer: str, separator: bytes
) -> ProbeResult:
    if not arrivals or b"data: [DONE]" not in stream:
        return _nothing(Verdict.BROKEN)
    ttft_ms = max(0, round((arrivals[0] - begun) * 1000))
    gaps = len(arrivals) - 1
    itl_us = round((arrivals[-1] - arrivals[0]) / gaps * 1e6) if gaps else 0
    try:
        text = answer_text(stream)
    except ValueError:
        return _nothing(Verdict.BROKEN)
    wire = _find_receipt(stream)
    if wire is None or not _is_honest(wire, ticket, signer, separator):
        return ProbeResult(Verdict.BAD_RECEIPT, ttft_ms, itl_us, text, None)
    return ProbeResult(Verdict.SERVED, ttft_ms, itl_us, text, wire)


def _find_receipt(stream: bytes) -> dict[str, Any] | None:
    start = stream.rfind(_RECEIPT_EVENT)
    if start < 0:
        return None
    try:
        found = json.loads(stream[start + 6 : stream.index(b"\n", start)])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_honest(wire: dict[str, Any], ticket: Ticket, signer: str, separator: bytes) -> bool:
    try:
        receipt = Receipt.from_json(wire["receipt"])
        by = recover(receipt.digest(separator), bytes.fromhex(wire["signature"].removeprefix("0x")))
    except (ContractsError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
        return False
    charge = ticket.charge_atto(receipt.input_tokens, receipt.cached_tokens, receipt.output_tokens)
    return (
        by == signer
        and (receipt.job, receipt.attempt, receipt.provider) == (ticket.job, ticket.attempt, ticket.provider)
        and receipt.request_digest == ticket.request_digest
        and receipt.output_tokens <= ticket.max_output_tokens
        and receipt.charge_atto <= charge
    )


def _nothing(verdict: Verdict) -> ProbeResult:
    return ProbeResult(verdict, None, None, "", None)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

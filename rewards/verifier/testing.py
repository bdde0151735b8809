"""Doubles for tests of verifiers: a bare HTTP client, an honest agent, and surroundings without a chain."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from contracts.messages import Receipt, Status, Ticket
from contracts.signing import Signer
from contracts.types import HardwareClass, ProviderRecord, ProviderStatus, Timing
from rewards.verifier.probe import ProbeResult
from rewards.verifier.service import OfferedModel


class SocketTransport:
    """A bare HTTP/1.1 client, enough for one answer per connection."""

    @contextlib.asynccontextmanager
    async def post(self, url: str, headers: dict[str, str], body: bytes) -> AsyncIterator[SocketAnswer]:
        """Open the connection, send the request and yield the answer once its head has arrived."""
        host, port = url.removeprefix("http://").split("/")[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"POST /x HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
            status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
            yield SocketAnswer(status, reader)
        finally:
            writer.close()


class SocketAnswer:
    """Status and body of an answer that ends with its connection."""

    def __init__(self, status: int, reader: asyncio.StreamReader) -> None:
        self.status = status
        self._reader = reader

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        while chunk := await self._reader.read(65536):
            yield chunk


class HonestAgent:
    """An agent on a loopback socket that answers every ticket with a fixed text and an honest receipt."""

    def __init__(self, signer: Signer, separator: bytes, text: str) -> None:
        self._signer = signer
        self._separator = separator
        self._text = text
        self.asked: list[dict[str, Any]] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Yield the agent's endpoint while it serves."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        self.asked.append(json.loads(await reader.readexactly(int(headers["content-length"]))))
        raw = headers["x-bonded-ticket"]
        ticket = Ticket.from_json(json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))))
        receipt = Receipt(
            job=ticket.job,
            attempt=ticket.attempt,
            provider=ticket.provider,
            model=ticket.model,
            slot=0,
            input_tokens=5,
            cached_tokens=0,
            output_tokens=1,
            ttft_ms=1,
            itl_us=0,
            charge_atto=ticket.charge_atto(5, 0, 1),
            request_digest=ticket.request_digest,
            response_digest=bytes(32),
            status=Status.SERVED,
        )
        row = {
            "object": "bonded.receipt",
            "receipt": receipt.to_json(),
            "signature": "0x" + self._signer.sign(receipt.digest(self._separator)).hex(),
        }
        event = {"choices": [{"delta": {"content": self._text}}]}
        parts = [json.dumps(event, separators=(",", ":")), json.dumps(row, separators=(",", ":")), "[DONE]"]
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(f"data: {part}\n\n".encode() for part in parts))
        await writer.drain()
        writer.close()


class MemorySurroundings:
    """Surroundings held in memory: a gateway key that signs every ticket; commitments and receipts are kept."""

    def __init__(
        self, timing: Timing, separator: bytes, gap_slots: int, records: Sequence[ProviderRecord], gateway: Signer
    ) -> None:
        self.timing = timing
        self.separator = separator
        self.gap_slots = gap_slots
        self.committed: dict[int, bytes] = {}
        self.handed_in: list[ProbeResult] = []
        self.out_of_reach: set[str] = set()
        self._records = list(records)
        self._gateway = gateway
        self._jobs = 0

    async def providers(self) -> Sequence[ProviderRecord]:
        """Return the records it was made with."""
        return self._records

    async def model_of(self, provider: ProviderRecord) -> OfferedModel | None:
        """Return one model, the same for all."""
        return OfferedModel("m", b"\x06" * 32)

    async def reachable(self, provider: ProviderRecord) -> bool:
        """Say so unless the provider is in `out_of_reach`."""
        return provider.provider not in self.out_of_reach

    async def commit_seed(self, epoch: int, commitment: bytes) -> None:
        """Keep the first commitment of an epoch, as the contract does."""
        self.committed.setdefault(epoch, commitment)

    async def ticket(
        self, provider: str, model: str, body: bytes, max_output_tokens: int, request_digest: bytes
    ) -> dict[str, Any]:
        """Sign a ticket for anything."""
        self._jobs += 1
        ticket = Ticket(
            job=self._jobs.to_bytes(32),
            attempt=0,
            provider=provider,
            model=b"\x06" * 32,
            max_input_tokens=64,
            max_output_tokens=max_output_tokens,
            price_in_atto=10,
            price_cached_atto=5,
            price_out_atto=20,
            expires_at=4_000_000_000,
            request_digest=request_digest,
        )
        return ticket.to_json() | {"signature": "0x" + self._gateway.sign(ticket.digest(self.separator)).hex()}

    async def hand_in(self, result: ProbeResult) -> None:
        """Keep what was handed in."""
        self.handed_in.append(result)


def record(provider: Signer, endpoint: str) -> ProviderRecord:
    """Return an active provider with one CPU whose owner key is also its hot key."""
    return ProviderRecord(
        provider=provider.address,
        signer=provider.address,
        endpoint=endpoint,
        hardware_class=HardwareClass.CPU,
        units=1,
        weight=1,
        offer_digest=bytes(32),
        status=ProviderStatus.ACTIVE,
        registered_at=0,
        stake=200,
        required_stake=200,
        delegated=0,
        commission_ppm=0,
    )

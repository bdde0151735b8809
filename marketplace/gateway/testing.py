"""A provider for tests and benchmarks: real sockets, tickets really checked, receipts really signed, any bad habit.

`MockProvider` listens on 127.0.0.1 and answers `/v1/*` with numbered words instead of a model's text. Its `behaviour`
says what it does wrong; tests change it between requests. It notes what it saw: tickets, requests, customers who
left, and the receipts that it could not hand over.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from typing import Any

import httptools

from contracts.messages import Domain, Receipt, Status, Ticket
from contracts.signing import Signer
from marketplace.gateway.testing_faults import BEFORE_ANSWER, REFUSALS
from rewards.canonical import canonical_json


@dataclass
class MockProvider:
    """One provider. `words`: how many tokens it answers when not told; `gap_s`: between events, 0 sends all at once.

    With a `gate`, answers that are not streamed wait until it is set. `check_tickets` off spares a benchmark the cost
    of what is not measured; receipts are signed in any case, unless `bare`: then it is a plain engine without tickets
    and receipts. `deltas` are what a chat answer consists of instead of words: each an event, or all one message.
    """

    owner: str
    signer: Signer
    domain: Domain
    gateways: set[str] = field(default_factory=set)
    model: str = "mock-model"
    weights_digest: bytes = bytes(32)
    context_length: int = 4096
    slots: int = 64
    prices: tuple[int, int, int] = (2_000, 1_000, 5_000)
    behaviour: str = "ok"
    word: str = "word"
    words: int = 5
    deltas: tuple[dict[str, Any], ...] = ()
    gap_s: float = 0.0
    gate: asyncio.Event | None = None
    check_tickets: bool = True
    bare: bool = False
    ignore_limit: bool = False
    region: str = "local"
    features: tuple[str, ...] = ("chat", "completions", "embeddings")
    template_digest: bytes = bytes(32)
    port: int = 0
    tickets: list[Ticket] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    heads: list[dict[bytes, bytes]] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    unsent: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    keep_notes: bool = True
    _used: set[tuple[bytes, int]] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _open: set[_MockConnection] = field(default_factory=set)

    async def start(self) -> MockProvider:
        """Listen on a free port of 127.0.0.1."""
        self._separator = self.domain.separator()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _MockConnection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stop listening and close every connection; the port stays known, so that `start` brings it back."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    @property
    def endpoint(self) -> str:
        """Return what would be registered on chain."""
        return f"http://127.0.0.1:{self.port}"

    def offer(self) -> bytes:
        """Return the canonical JSON of the offer."""
        price_in, price_cached, price_out = self.prices
        return canonical_json(
            {
                "hardware_class": "CPU",
                "models": [
                    {
                        "context_length": self.context_length,
                        "features": list(self.features),
                        "id": self.model,
                        "price_cached_atto": price_cached,
                        "price_in_atto": price_in,
                        "price_out_atto": price_out,
                        "slots": self.slots,
                        "template_digest": "0x" + self.template_digest.hex(),
                        "weights_digest": "0x" + self.weights_digest.hex(),
                    }
                ],
                "provider": self.owner,
                "region": self.region,
                "units": 1,
                "version": 1,
            }
        )

    def sign_receipt(self, receipt: Receipt) -> dict[str, Any]:
        """Return the wire form of a signed receipt."""
        signature = self.signer.sign(receipt.digest(self._separator))
        return {"object": "bonded.receipt", "receipt": receipt.to_json(), "signature": "0x" + signature.hex()}

    def read_ticket(self, headers: dict[bytes, bytes], body: bytes) -> tuple[Ticket | None, bytes, str]:
        """Return ticket, salt and "" — or None and the code of the refusal."""
        header, salt = headers.get(b"x-bonded-ticket"), bytes.fromhex(headers.get(b"x-bonded-salt", b"").decode())
        if header is None or len(salt) != 32:
            return None, b"", "bad_ticket"
        value = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
        ticket = Ticket.from_json(value)
        if not self.check_tickets:
            return ticket, salt, ""
        signer = ticket.signed_by(self._separator, bytes.fromhex(value["signature"][2:]))
        fits = (
            signer in self.gateways
            and ticket.provider == self.owner
            and ticket.model == self.weights_digest
            and ticket.expires_at > time.time()
            and ticket.request_digest == hashlib.sha256(salt + body).digest()
        )
        if not fits:
            return None, b"", "bad_ticket"
        if (ticket.job, ticket.attempt) in self._used:
            return None, b"", "ticket_used"
        self._used.add((ticket.job, ticket.attempt))
        return ticket, salt, ""

    def make_receipt(
        self, ticket: Ticket, salt: bytes, sent: bytes, tokens: tuple[int, int], status: Status
    ) -> Receipt:
        """Return the receipt of an answer, with the lie that the behaviour asks for."""
        tokens_in, tokens_out = tokens
        receipt = Receipt(
            job=ticket.job,
            attempt=ticket.attempt,
            provider=self.owner,
            model=ticket.model,
            slot=0,
            input_tokens=tokens_in,
            cached_tokens=0,
            output_tokens=tokens_out,
            ttft_ms=1,
            itl_us=1,
            charge_atto=ticket.charge_atto(tokens_in, 0, tokens_out),
            request_digest=ticket.request_digest,
            response_digest=hashlib.sha256(salt + sent).digest(),
            status=int(status),
        )
        match self.behaviour:
            case "wrong_digest":
                return replace(receipt, response_digest=bytes(32))
            case "wrong_charge":
                return replace(receipt, charge_atto=receipt.charge_atto + 1)
            case "lying_usage":
                more = tokens_out + 1
                return replace(receipt, output_tokens=more, charge_atto=ticket.charge_atto(tokens_in, 0, more))
            case "too_many_tokens":
                more = ticket.max_output_tokens + 1
                return replace(receipt, output_tokens=more, charge_atto=ticket.charge_atto(tokens_in, 0, more))
            case "failed_receipt":
                return replace(receipt, output_tokens=0, charge_atto=0, status=int(Status.PROVIDER_ERROR))
            case "abort_receipt":
                return replace(receipt, status=int(Status.CUSTOMER_ABORT))
        return receipt

    def seal(self, receipt: Receipt) -> bytes:
        """Return the JSON of the signed receipt; a wrong key signs if the behaviour asks for it."""
        if self.behaviour == "wrong_signature":
            forger = replace(self, signer=Signer(b"\x77" * 32))
            forger._separator = self._separator
            return canonical_json(forger.sign_receipt(receipt))
        return canonical_json(self.sign_receipt(receipt))


class _MockConnection(asyncio.Protocol):
    """One connection of a mock provider."""

    def __init__(self, provider: MockProvider) -> None:
        self.provider = provider
        self.parser = httptools.HttpRequestParser(self)
        self.task: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()
        self._reset()

    def _reset(self) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.provider.connections += 1
        self.provider._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.provider._open.discard(self)
        self.closed.set()
        if self.task is not None and not self.task.done():
            self.provider.left.append(time.perf_counter())
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        url, headers, body = self.url, self.headers, b"".join(self.parts)
        self._reset()
        provider = self.provider
        if url == b"/bonded/offer":
            self._whole(200, provider.offer())
        elif not url.startswith(b"/v1/") or self.parser.get_method() == b"GET":
            self._whole(200, b'{"object":"list","data":[]}')
        else:
            self._answer(url.decode(), headers, body)

    def _whole(self, status: int, body: bytes, more: bytes = b"") -> None:
        head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n" % (
            status,
            more,
            len(body),
        )
        self.transport.write(head + body)

    def _refuse(self, status: int, code: str) -> None:
        self._whole(
            status, canonical_json({"error": {"message": code, "type": "refused", "param": None, "code": code}})
        )

    def _answer(self, path: str, headers: dict[bytes, bytes], body: bytes) -> None:
        provider = self.provider
        behaviour = provider.behaviour
        ticket: Ticket | None = None
        salt = b""
        if not provider.bare:
            ticket, salt, refusal = provider.read_ticket(headers, body)
            if ticket is None:
                self._refuse(409 if refusal == "ticket_used" else 401, refusal)
                return
        if provider.keep_notes:
            provider.bodies.append(body)
            provider.heads.append(headers)
            if ticket is not None:
                provider.tickets.append(ticket)
        if behaviour in REFUSALS:
            self._refuse(*REFUSALS[behaviour])
        elif behaviour in BEFORE_ANSWER:
            self.transport.write(BEFORE_ANSWER[behaviour])
        elif behaviour == "close_early":
            self.transport.close()
        elif behaviour == "hang":
            self.task = asyncio.ensure_future(self.closed.wait())  # type: ignore[arg-type]
        else:
            request = json.loads(body)
            if request.get("stream"):
                stream = self._stream(path, request, ticket, salt)
                if provider.gap_s or behaviour in ("hang_mid", "endless"):
                    self.task = asyncio.ensure_future(stream)
                else:
                    _run_through(stream)
            elif provider.gap_s or provider.gate is not None:
                self.task = asyncio.ensure_future(self._late(path, request, ticket, salt))
            else:
                self._reply(path, request, ticket, salt)

    def _counts(self, request: dict[str, Any], ticket: Ticket | None) -> tuple[int, int]:
        provider = self.provider
        ordered = request.get("max_completion_tokens") or request.get("max_tokens") or provider.words
        most = ticket.max_output_tokens if ticket is not None else ordered
        words = provider.words if provider.ignore_limit else min(ordered, most)
        text = request.get("messages") or request.get("prompt") or request.get("input")
        return max(1, len(json.dumps(text)) // 8), words

    async def _late(self, path: str, request: dict[str, Any], ticket: Ticket | None, salt: bytes) -> None:
        await asyncio.sleep(self.provider.gap_s)
        if self.provider.gate is not None:
            await self.provider.gate.wait()
        self._reply(path, request, ticket, salt)

    def _reply(self, path: str, request: dict[str, Any], ticket: Ticket | None, salt: bytes) -> None:
        """Send a whole answer."""
        tokens_in, words = self._counts(request, ticket)
        text = " ".join(f"word{n}" for n in range(words))
        if path == "/v1/embeddings":
            words = 0
            choices: dict[str, Any] = {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
            }
        elif path == "/v1/completions":
            choices = {
                "object": "text_completion",
                "choices": [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}],
            }
        else:
            message: dict[str, Any] = {"role": "assistant", "content": text}
            for delta in self.provider.deltas:
                message |= delta
            finish = "tool_calls" if "tool_calls" in message else "stop"
            choices = {
                "object": "chat.completion",
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            }
        usage = {"prompt_tokens": tokens_in, "completion_tokens": words, "total_tokens": tokens_in + words}
        body = json.dumps({"id": "x", "created": 1, "model": request["model"], "usage": usage} | choices).encode()
        header = b""
        if ticket is not None and self.provider.behaviour != "no_receipt":
            receipt = self.provider.make_receipt(ticket, salt, body, (tokens_in, words), Status.SERVED)
            sealed = base64.urlsafe_b64encode(self.provider.seal(receipt)).rstrip(b"=")
            header = b"x-bonded-receipt: " + sealed + b"\r\n"
        self._whole(200, body, header)
        if self.provider.behaviour == "bytes_after_body":
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")

    async def _stream(self, path: str, request: dict[str, Any], ticket: Ticket | None, salt: bytes) -> None:
        """Send a streamed answer, or what the behaviour makes of it."""
        provider = self.provider
        behaviour = provider.behaviour
        tokens_in, words = self._counts(request, ticket)
        said = len(request.get("bonded_delivered", ()))
        deltas = list(provider.deltas) if path == "/v1/chat/completions" else []
        if said:
            ordered = request.get("max_completion_tokens") or request.get("max_tokens") or provider.words
            tokens_in, words = tokens_in + said, max(0, min(words, ordered - said))
        words = len(deltas) or words
        sent = bytearray()
        count = 0
        write = self.transport.write

        def send(data: bytes) -> None:
            sent.extend(data)
            write(b"%x\r\n%b\r\n" % (len(data), data))

        def event(text: str, finish: str | None, usage: dict[str, int] | None = None) -> bytes:
            choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
            delta = deltas.pop(0) if text and deltas else {"content": text} if text else {}
            choice |= {"text": text} if path == "/v1/completions" else {"delta": delta}
            value: dict[str, Any] = {
                "id": f"x-{provider.owner}",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": request["model"],
                "choices": [choice],
            }
            return b"data: " + json.dumps(value | ({"usage": usage} if usage else {})).encode() + b"\n\n"

        try:
            write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            while count < words or behaviour == "endless":
                if provider.gap_s:
                    await asyncio.sleep(provider.gap_s)
                elif behaviour == "endless":
                    await asyncio.sleep(0)
                if behaviour == "noisy_lines":
                    send(
                        b": a comment\r\nevent: message\r\nid: 7\r\nretry: 1\r\n"
                        + event(f"{provider.word}{said + count} ", None)[:-2]
                        + b"\r\n\r\n"
                    )
                else:
                    send(event(f"{provider.word}{said + count} ", None))
                count += 1
                if count == 2 and behaviour == "hang_mid":
                    await self.closed.wait()
                if count == 2 and behaviour == "close_mid":
                    self.transport.close()
                    return
                if count == 2 and behaviour == "clean_end":
                    write(b"0\r\n\r\n")
                    return
                if count == 2 and behaviour == "error_event":
                    send(b'data: {"error":{"message":"engine died\\r\\nx","type":"server_error","code":null}}\n\n')
                    write(b"0\r\n\r\n")
                    return
                if count == 2 and behaviour == "long_line":
                    for _ in range(64):
                        send(b"data: " + b"a" * 65_536)
            usage = {"prompt_tokens": tokens_in, "completion_tokens": count, "total_tokens": tokens_in + count}
            wants = (request.get("stream_options") or {}).get("include_usage")
            called = any("tool_calls" in delta for delta in provider.deltas)
            send(event("", "tool_calls" if called else "stop", usage if wants else None))
            if behaviour == "close_at_end":
                self.transport.close()
                return
            if ticket is not None and behaviour != "no_receipt":
                receipt = provider.make_receipt(ticket, salt, bytes(sent), (tokens_in, count), Status.SERVED)
                send(b"data: " + provider.seal(receipt) + b"\n\n")
            send(b"data: [DONE]\n\n")
            write(b"0\r\n\r\n")
            if behaviour == "bytes_after_body":
                write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        except asyncio.CancelledError:
            if ticket is not None:
                receipt = provider.make_receipt(ticket, salt, bytes(sent), (tokens_in, count), Status.CUSTOMER_ABORT)
                provider.unsent.append(provider.sign_receipt(receipt))
            raise


def _run_through(coroutine: Any) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("a stream without gaps must not wait")

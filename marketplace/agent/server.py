"""The agent's HTTP surface as one ASGI callable: inference routes behind tickets, the offer, health, metrics.

Order of a request: draining? → whole body within its limits → ticket (tickets.py) → used before? → free slot? →
request (requests.py) → prompt fits? → the pair is marked as used → the engine is asked. Up to the mark every refusal
leaves the ticket usable.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from contracts.messages import Status
from contracts.signing import Signer
from marketplace.agent.attempt import Attempt, CallerStalled
from marketplace.agent.engines.base import CHAT, COMPLETIONS, EMBEDDINGS, Engine
from marketplace.agent.facts import KnownFacts
from marketplace.agent.handover import Handover
from marketplace.agent.meter import Meter, SignedReceipt
from marketplace.agent.metrics import AgentMetrics
from marketplace.agent.offer import Offer
from marketplace.agent.receipts import ReceiptJournal
from marketplace.agent.refusals import Refused
from marketplace.agent.requests import EngineRequest, fit, needs_counting, read_request
from marketplace.agent.tickets import AcceptedTicket, TicketRules, check_ticket
from marketplace.agent.used import UsedTickets

log = structlog.get_logger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_ROUTES = {f"/v1/{route}": route for route in (CHAT, COMPLETIONS, EMBEDDINGS)}
_BODY_S = 30.0
_COUNT_S = 5.0


@dataclass(frozen=True, slots=True)
class AgentParts:
    """What the server is made of. `stall_s`: how long a caller may leave bytes untaken."""

    provider: str
    offer: Offer
    engine: Engine
    signer: Signer
    facts: KnownFacts
    used: UsedTickets
    journal: ReceiptJournal
    handover: Handover
    metrics: AgentMetrics
    max_body_bytes: int
    stall_s: float = 30.0


class AgentServer:
    """The ASGI application of one provider."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._in_flight = {model.config.id: 0 for model in parts.offer.models}
        self._running: dict[asyncio.Task[None], Attempt] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.engine_problem = ""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the agent speaks HTTP only, not {scope['type']}")
        path, method = scope["path"], scope["method"]
        try:
            if path in _ROUTES:
                if method != "POST":
                    raise Refused(405, "method_not_allowed", f"{path} takes POST")
                await self._job(_ROUTES[path], scope, receive, send)
            elif method != "GET":
                raise Refused(404, "not_found", f"there is no {method} {path} here")
            else:
                await self._page(path, send)
        except Refused as refusal:
            self._parts.metrics.refusals.labels(refusal.code).inc()
            await _answer(send, refusal.status, refusal.body(), retry=refusal.status in (429, 503))

    # ---------------------------------------------------------------- draining

    async def drain(self, limit_s: float) -> None:
        """Take no new work, let what runs finish for at most `limit_s`, then end the rest with an error, uncharged."""
        self.draining = True
        self._parts.metrics.draining.set(1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), limit_s)
        for work in list(self._running):
            work.cancel("draining")
        await self._idle.wait()

    # ---------------------------------------------------------------- jobs

    async def _job(self, route: str, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self._refuse_if_draining()
        parts = self._parts
        headers = dict(scope["headers"])
        raw = await self._read_body(headers, receive)
        self._refuse_if_draining()
        facts = parts.facts.current
        separator = facts.domain.separator()
        accepted = check_ticket(
            TicketRules(separator, parts.provider, parts.offer.models),
            facts.gateways,
            headers.get(b"x-bonded-ticket", b""),
            headers.get(b"x-bonded-salt", b""),
            raw,
            time.time(),
        )
        pair = (accepted.ticket.job, accepted.ticket.attempt)
        _refuse_if_used(pair in parts.used)
        with self._slot(accepted):
            request = read_request(route, raw, accepted.ticket, accepted.model)
            await self._check_input(request, raw, accepted)
            self._use(pair)
            await self._attempt(request, accepted, separator, receive, send)
        await parts.journal.sync()

    def _use(self, pair: tuple[bytes, int]) -> None:
        try:
            first = self._parts.used.add(pair, time.time())
        except OSError as error:
            log.error("used_tickets_not_written", error=str(error))
            raise Refused(503, "storage_failed", "this provider cannot write down that it takes this job") from None
        _refuse_if_used(not first)

    def _refuse_if_draining(self) -> None:
        if self.draining:
            raise Refused(503, "draining", "this provider is shutting down and takes no new work")

    async def _read_body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        most = self._parts.max_body_bytes
        too_large = Refused(413, "request_too_large", f"the body is larger than {most} bytes")
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > most:
            raise too_large
        chunks, size = [], 0
        try:
            async with asyncio.timeout(_BODY_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "incomplete_body", "the connection closed before the body's end")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > most:
                        raise too_large
                    if not message.get("more_body"):
                        return b"".join(chunks)
        except TimeoutError:
            raise Refused(400, "incomplete_body", f"the body did not arrive within {_BODY_S:g} s") from None

    @contextlib.contextmanager
    def _slot(self, accepted: AcceptedTicket) -> Any:
        name = accepted.model.config.id
        if self._in_flight[name] >= accepted.model.config.slots:
            raise Refused(429, "no_free_slot", f"all {accepted.model.config.slots} slots of {name} are taken")
        self._in_flight[name] += 1
        gauge = self._parts.metrics.in_flight.labels(name)
        gauge.inc()
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight[name] -= 1
            gauge.dec()
            if not any(self._in_flight.values()):
                self._idle.set()

    async def _check_input(self, request: EngineRequest, raw: bytes, accepted: AcceptedTicket) -> None:
        if not needs_counting(request, raw, accepted.ticket, accepted.model):
            return
        tokens = await self._parts.engine.count_input(request.route, request.body)
        if tokens is not None:
            fit(request, tokens + len(request.delivered), accepted.ticket, accepted.model)

    async def _attempt(
        self, request: EngineRequest, accepted: AcceptedTicket, separator: bytes, receive: Receive, send: Send
    ) -> None:
        parts = self._parts
        meter = Meter(accepted, request.generates)
        number = 0
        # runs beside the engine, so that it costs no time to the first token
        marked = asyncio.create_task(parts.used.kept())

        async def sign(status: Status, input_tokens: int = 0) -> SignedReceipt:
            nonlocal number
            await asyncio.shield(marked)
            first = meter.signed is None
            timing, taken = parts.facts.current.timing, parts.journal.name_taken
            signed = meter.sign(status, parts.signer, separator, timing, input_tokens, taken)
            if first:
                parts.metrics.signed(signed)
                try:
                    number = parts.journal.append(signed)
                except OSError as error:
                    # the caller still gets it, which is how it is paid; only the proof is missing
                    log.error("receipt_not_written", job=signed.receipt.job.hex(), error=str(error))
            return signed

        gone = asyncio.create_task(_gone(receive))
        attempt = Attempt(
            parts.engine,
            request,
            meter,
            sign,
            send,
            still_there=lambda: not gone.done(),
            public_model=accepted.model.config.id,
            stall_s=parts.stall_s,
        )
        work = asyncio.create_task(attempt.run())
        self._running[work] = attempt
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            left = not work.done()
            if left:
                work.cancel()
            await asyncio.wait({work})
            if work.cancelled() and not left and meter.signed is None:
                await asyncio.wait({asyncio.create_task(attempt.fail("this provider is shutting down"))}, timeout=5.0)
            elif not work.cancelled() and work.exception() is not None and not _stalled(work):
                log.error("attempt_failed", job=accepted.ticket.job.hex(), exc_info=work.exception())
                await sign(Status.PROVIDER_ERROR)
            if meter.signed is None:
                tokens = await self._delivered_input(request, meter)
                await sign(Status.CUSTOMER_ABORT, tokens)
        except OSError as error:
            # a pair that a power cut could bring back must have no receipt: a second one would cost the stake
            log.error("used_ticket_not_kept", job=accepted.ticket.job.hex(), error=str(error))
            return
        finally:
            del self._running[work]
            gone.cancel()
        if attempt.handed_over:
            parts.journal.acknowledge(number, "stream")
        else:
            await parts.journal.sync()
            parts.handover.post(number)

    async def _delivered_input(self, request: EngineRequest, meter: Meter) -> int:
        """Count the prompt of an answer that was broken off.

        Without a tokenizer the provider bills the output alone.
        """
        if meter.has_usage or not meter.tokens_seen:
            return 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_COUNT_S):
                tokens = await self._parts.engine.count_input(request.route, request.body)
                return tokens + len(request.delivered) if tokens else 0
        return 0

    # ---------------------------------------------------------------- pages

    async def _page(self, path: str, send: Send) -> None:
        if path == "/bonded/offer":
            await _answer(send, 200, self._parts.offer.body)
        elif path == "/health":
            health = self.health()
            await _answer(send, 200 if health["status"] == "ok" else 503, orjson.dumps(health))
        elif path == "/metrics":
            metrics = self._parts.metrics
            metrics.open_receipts.set(len(self._parts.journal.open))
            metrics.facts_age.set(time.time() - self._parts.facts.current.read_at)
            await _answer(send, 200, metrics.text(), b"text/plain; version=0.0.4; charset=utf-8")
        else:
            raise Refused(404, "not_found", f"there is nothing at {path}")

    def health(self) -> dict[str, Any]:
        """Return what /health says."""
        facts = self._parts.facts
        status = "draining" if self.draining else "engine_failed" if self.engine_problem else "ok"
        return {
            "status": status,
            "provider": self._parts.provider,
            "offer_digest": "0x" + self._parts.offer.digest.hex(),
            "in_flight": self._in_flight,
            "slots": {model.config.id: model.config.slots for model in self._parts.offer.models},
            "open_receipts": len(self._parts.journal.open),
            "gateways": len(facts.current.gateways),
            "chain_reachable": facts.failing_since is None,
            "engine_problem": self.engine_problem,
            "time": time.time(),
        }


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _stalled(work: asyncio.Task[None]) -> bool:
    return isinstance(work.exception(), CallerStalled)


def _refuse_if_used(used: bool) -> None:
    if used:
        raise Refused(409, "ticket_used", "this ticket's job and attempt were worked on before: ask for a new attempt")


async def _answer(
    send: Send, status: int, body: bytes, content_type: bytes = b"application/json", retry: bool = False
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    if retry:
        headers.append((b"retry-after-ms", b"1000"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Run one accepted attempt at the engine and answer its caller, ending in exactly one signed receipt."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import orjson

from contracts.messages import Status
from marketplace.agent.engines.base import EMBEDDINGS, Engine
from marketplace.agent.errors import EngineError, EngineFailed, EngineRefused, EngineTimedOut
from marketplace.agent.meter import Meter, SignedReceipt
from marketplace.agent.refusals import error_body
from marketplace.agent.requests import EngineRequest

Send = Callable[[dict[str, Any]], Awaitable[None]]
Sign = Callable[[Status], Awaitable[SignedReceipt]]

_SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class CallerStalled(Exception):
    """The caller does not take the bytes: it is treated as one that left."""


class Attempt:
    """One attempt: `run` answers; when the caller leaves, the server cancels it and asks `leave` for the receipt.

    `sign` signs, counts and journals in one step, before the receipt reaches anybody; where it raises, the answer is
    left without an end. `still_there` tells whether the caller's connection stands; `handed_over` whether it did when
    the receipt was sent. `public_model` is the name of the offer; an engine's own name for the model is replaced by it.
    """

    def __init__(
        self,
        engine: Engine,
        request: EngineRequest,
        meter: Meter,
        sign: Sign,
        send: Send,
        still_there: Callable[[], bool],
        public_model: str,
        stall_s: float,
    ) -> None:
        self._engine = engine
        self._request = request
        self._meter = meter
        self._sign = sign
        self._send_raw = send
        self._model = public_model
        self._renames = request.body["model"] != public_model
        self._stall_s = stall_s
        self._still_there = still_there
        self.headers_sent = False
        self.handed_over = False

    async def run(self) -> None:
        """Answer the caller; raises nothing but CallerStalled and cancellation."""
        try:
            if self._request.streams and self._request.generates:
                await self._stream()
            else:
                await self._whole()
        except EngineRefused as error:
            await self._fail(400, "invalid_request", str(error), Status.IDLE)
        except EngineTimedOut as error:
            await self._fail(504, "engine_timeout", str(error), Status.TIMEOUT)
        except EngineError as error:
            await self._fail(502, "engine_failed", str(error), Status.PROVIDER_ERROR)

    async def fail(self, message: str) -> None:
        """End the attempt because the provider stops: an error to the caller and a receipt without charge."""
        await self._fail(503, "draining", message, Status.PROVIDER_ERROR)

    async def _stream(self) -> None:
        finished = False
        async with aclosing(self._events()) as payloads:  # type: ignore[type-var]
            async for payload in payloads:
                event, has_token, ends = self._read_event(payload)
                finished = finished or ends
                if event is None:
                    continue
                if not self.headers_sent:
                    await self._headers(200, _SSE_HEADERS)
                await self._body(b"data: " + event + b"\n\n")
                if has_token:
                    self._meter.token()
        if not self.headers_sent or not finished:
            raise EngineFailed("the engine ended its stream without finishing the answer")
        await self._send(_receipt_event(await self._sign(Status.SERVED)))
        await self._notice_leaving()
        await self._send(b"data: [DONE]\n\n", last=True)

    def _events(self) -> AsyncIterator[bytes]:
        asked = self._request
        if asked.delivered:
            return self._engine.resume(asked.route, asked.body, asked.delivered)
        return self._engine.stream(asked.route, asked.body)

    def _read_event(self, payload: bytes) -> tuple[bytes | None, bool, bool]:
        """Return what of an event goes to the caller, whether it carries a token, and whether it ends a choice."""
        try:
            event = orjson.loads(payload)
            choices = event.get("choices")
        except (ValueError, AttributeError):
            raise EngineFailed("the engine sent an event that is not a JSON object") from None
        if not isinstance(choices, list):
            raise EngineFailed(f"the engine broke off: {str(event.get('error', 'no choices in its event'))[:300]}")
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._meter.usage(usage)
        if not choices and not self._request.wants_usage:
            return None, False, False
        changed = False
        if "usage" in event and not self._request.wants_usage:
            del event["usage"]
            changed = True
        if self._renames and "model" in event:
            event["model"] = self._model
            changed = True
        has_token = any(_carries_token(choice) for choice in choices)
        ends = any(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices)
        return (orjson.dumps(event) if changed else payload), has_token, ends

    async def _whole(self) -> None:
        body = await self._engine.complete(self._request.route, self._request.body)
        try:
            answer = orjson.loads(body)
            usage = answer["usage"]
            if not isinstance(usage, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise EngineFailed("the engine's answer is not an OpenAI answer with usage") from None
        if self._renames and "model" in answer:
            answer["model"] = self._model
            body = orjson.dumps(answer)
        if self._request.route == EMBEDDINGS:
            usage = {**usage, "completion_tokens": 0}
        self._meter.usage(usage)
        self._meter.token()
        self._meter.sent(body)
        await self._answer(200, body, await self._sign(Status.SERVED))

    async def _fail(self, status: int, code: str, message: str, how: Status) -> None:
        body = error_body(status, code, message)
        if not self.headers_sent:
            self._meter.sent(body)
            await self._answer(status, body, await self._sign(how))
            return
        await self._body(b"data: " + body + b"\n\n")
        # no [DONE]: a client must not take this for the end of an answer
        await self._send(_receipt_event(await self._sign(how)))
        await self._notice_leaving()
        await self._send(b"", last=True)

    async def _answer(self, status: int, body: bytes, signed: SignedReceipt) -> None:
        receipt = urlsafe_b64encode(_json(signed)).rstrip(b"=")
        headers = [(b"content-type", b"application/json"), (b"x-bonded-receipt", receipt)]
        await self._headers(status, [*headers, (b"content-length", str(len(body)).encode())])
        await self._notice_leaving()
        await self._send(body, last=True)

    async def _notice_leaving(self) -> None:
        """Let the event loop report a closed connection; after the last byte it reports one in any case."""
        await asyncio.sleep(0)
        self.handed_over = self._still_there()

    async def _headers(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.headers_sent = True
        await self._guarded({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, body: bytes) -> None:
        """Send bytes that the receipt's digest covers.

        They count as sent from the moment they are handed to the socket.
        """
        self._meter.sent(body)
        await self._send(body)

    async def _send(self, body: bytes, last: bool = False) -> None:
        await self._guarded({"type": "http.response.body", "body": body, "more_body": not last})

    async def _guarded(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await self._send_raw(message)
        except TimeoutError:
            raise CallerStalled from None


def _receipt_event(signed: SignedReceipt) -> bytes:
    return b"data: " + _json(signed, {"object": "bonded.receipt"}) + b"\n\n"


def _json(signed: SignedReceipt, beside: dict[str, Any] | None = None) -> bytes:
    return json.dumps((beside or {}) | signed.wire(), separators=(",", ":")).encode()


def _carries_token(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    if choice.get("text"):
        return True
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return False
    return bool(delta.get("content") or delta.get("reasoning_content") or delta.get("tool_calls"))

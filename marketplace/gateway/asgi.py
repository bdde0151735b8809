"""Speak ASGI: read a body within its bound, send whole answers, and stream one so that a broken stream looks broken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

import orjson

from marketplace.gateway.errors import ApiError, coded_body, invalid, too_large

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = b"application/json"
DISCARD_TIMES = 8
"""What is read of a body that is too large, in multiples of the bound, so that its sender gets to read the refusal."""


class Disconnected(Exception):
    """The client left before its request was complete."""


async def read_body(receive: Receive, headers: dict[bytes, bytes], most: int) -> bytes:
    """Return the request's body; raises ApiError 413 for one above `most` bytes.

    No more than `most` bytes are ever kept. What is too large is read on and thrown away up to a
    bound, so that the client gets to read the answer.
    """
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise coded_body()
    declared = headers.get(b"content-length", b"")
    parts: list[bytes] = []
    size = 0
    kept = not (declared.isdigit() and int(declared) > most)
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            kept = False
            parts.clear()
        if kept and part:
            parts.append(part)
        if not message.get("more_body", False) or size > DISCARD_TIMES * most:
            break
    if not kept:
        raise too_large(most)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def read_json(receive: Receive, headers: dict[bytes, bytes], most: int) -> dict[str, Any]:
    """Return the request's JSON object; raises ApiError. Integers above 64 bits are for `json.loads`, not for here."""
    body = await read_body(receive, headers, most)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not JSON: {error}.", code="invalid_json") from None
    if type(value) is not dict:
        raise invalid("The body must be a JSON object.", code="invalid_json")
    return value


async def answer(send: Send, status: int, body: bytes, content_type: bytes = JSON_TYPE, more: Headers = []) -> None:  # noqa: B006
    """Send a whole answer."""
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Send, value: Any, status: int = 200, more: Headers = []) -> None:  # noqa: B006
    """Send a value as JSON."""
    await answer(send, status, orjson.dumps(value), more=more)


async def answer_error(send: Send, error: ApiError, more: Headers = []) -> None:  # noqa: B006
    """Send an error in OpenAI's shape."""
    closing = [(b"connection", b"close")] if error.status in (408, 413) else []
    await answer(send, error.status, error.body(), more=[*error.headers(), *closing, *more])


class AsgiSink:
    """The customer's side of an answer over ASGI. `blocked` is set while the customer does not take what was written.

    A stream that breaks off is left incomplete: the server then closes the connection without the body's end, and
    every HTTP client notices.
    """

    __slots__ = ("_chunk", "_headers", "_send", "blocked", "broken", "status", "writes")

    def __init__(self, send: Send, headers: Callable[[], Headers]) -> None:
        self._send = send
        self._headers = headers
        self.blocked = False
        self.broken = False
        self.status = 0
        self.writes = 0

    async def start(self, content_type: bytes, length: int | None = None) -> None:
        """Send status 200 and the headers; without a length the body is streamed."""
        self.status = 200
        headers = [(b"content-type", content_type), *self._headers()]
        if length is None:
            headers.append((b"cache-control", b"no-store"))
            headers.append((b"x-accel-buffering", b"no"))
        else:
            headers.append((b"content-length", b"%d" % length))
        await self._put({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last piece of the body and end it."""
        await self._put({"type": "http.response.body", "body": data, "more_body": False})

    def break_off(self) -> None:
        """Leave the body without its end."""
        self.broken = True

    async def _put(self, message: Message) -> None:
        self.writes += 1
        self.blocked = True
        await self._send(message)
        self.blocked = False


class Blockable(Protocol):
    """A sink that says whether it waits for its reader, and in which of its writes."""

    blocked: bool
    writes: int


class Stalled:
    """Give up on customers who do not read.

    A sweep notes who is blocked; whoever is found blocked at the same write by the next sweep is ended.
    """

    def __init__(self) -> None:
        self._active: dict[asyncio.Task[Any], tuple[Blockable, Callable[[], None]]] = {}
        self._seen: dict[asyncio.Task[Any], int] = {}

    def watch(self, task: asyncio.Task[Any], sink: Blockable, leave: Callable[[], None]) -> None:
        """Watch a request's task."""
        self._active[task] = (sink, leave)

    def forget(self, task: asyncio.Task[Any]) -> None:
        """End watching."""
        self._active.pop(task, None)
        self._seen.pop(task, None)

    def sweep(self) -> int:
        """Look at everybody once; returns how many were given up."""
        ended = 0
        for task, (sink, leave) in list(self._active.items()):
            if not sink.blocked:
                self._seen.pop(task, None)
            elif self._seen.get(task) == sink.writes:
                leave()
                task.cancel()
                ended += 1
            else:
                self._seen[task] = sink.writes
        return ended

"""One request at an inference route, on the customer's own connection: its body is collected, its answer written here.

An `Exchange` is a `Sink` for what serves it, and what uvicorn expects of a cycle for the connection it lies on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import structlog

from marketplace.gateway.asgi import DISCARD_TIMES, JSON_TYPE
from marketplace.gateway.errors import ApiError, failed, shutting_down, too_large, too_slow
from marketplace.gateway.inference import STATUS_CLIENT_LEFT, Visit

if TYPE_CHECKING:
    from marketplace.gateway.front import Front

_REASONS = {
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
}


log = structlog.get_logger("gateway")


class _Unheard:
    """In the place of the event by which uvicorn wakes a cycle: an exchange is told by a call."""

    def set(self) -> None:
        """Do nothing."""


class Exchange:
    """One request and its answer.

    `whole`: the request's body is complete; `turn`: those before it on the connection are answered. A stream that
    breaks off is left without its end and the connection is closed, so that every HTTP client notices.
    """

    __slots__ = (
        "_chunked",
        "_front",
        "_head",
        "_parts",
        "_size",
        "_timer",
        "_visit",
        "blocked",
        "broken",
        "disconnected",
        "keep_alive",
        "response_complete",
        "status",
        "turn",
        "whole",
        "writes",
    )

    message_event = _Unheard()

    def __init__(self, front: Front, visit: Visit, keep_alive: bool) -> None:
        self._front = front
        self._visit = visit
        self._parts: list[bytes] = []
        self._size = 0
        self._head = b""
        self._chunked = False
        self.turn = False
        self._timer: asyncio.TimerHandle | None = None
        self.keep_alive = keep_alive
        self.whole = False
        self.disconnected = False
        self.response_complete = False
        self.blocked = False
        self.broken = False
        self.status = 0
        self.writes = 0

    # the request

    def begin(self) -> None:
        """Take the turn: admit by the headers, and serve if the body is there."""
        front, visit = self._front, self._visit
        self.turn = True
        if self.disconnected:
            return
        try:
            visit.admit()
        except ApiError as error:
            self.refuse(error)
            return
        if self.whole:
            self._serve()
        elif visit.headers.get(b"expect", b"").lower() == b"100-continue":
            front.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def wait(self) -> None:
        """Start the clock of a body that did not come with its head."""
        if self._timer is None and self.turn and not self.response_complete:
            self._timer = self._front.loop.call_later(self._front.inference.bounds.body_s, self._late)

    def take(self, part: bytes) -> None:
        """Keep a piece of the body; one that is too large is not kept, but its sender is heard out for a while."""
        self._size += len(part)
        most = self._front.inference.bounds.body_most
        if self._size > most or self.response_complete:
            self._parts = []
            if self._size > DISCARD_TIMES * most and self.turn:
                self._refuse_and_close(too_large(most))
        else:
            self._parts.append(part)

    def end_body(self) -> None:
        """Note the end of the body; serve it when its turn has come."""
        self.whole = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.turn and not self.response_complete:
            self._serve()

    def _serve(self) -> None:
        front = self._front
        most = front.inference.bounds.body_most
        if self._size > most:
            self._refuse_and_close(too_large(most))
            return
        parts, self._parts = self._parts, []
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        front.tasks.add(front.loop.create_task(self._run(body)))

    async def _run(self, body: bytes) -> None:
        """Serve the request; whatever happens, the visit is closed and the answer complete or visibly broken."""
        status, refusal = STATUS_CLIENT_LEFT, None
        try:
            status = await self._visit.serve(body, self)
        except ApiError as error:
            refusal = error
        except asyncio.CancelledError:  # the server stops and the time for answers is up
            refusal = shutting_down()
        except Exception:
            log.exception("a request failed in the gateway", job=self._visit.job.hex())
            refusal = failed()
        self._front.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        if refusal is not None:
            self.refuse(refusal)
            return
        self._visit.close(status)
        if not self.response_complete:
            transport = self._front.transport
            # who left or does not read would not take the rest; who reads gets the error event before the end
            transport.abort() if status == STATUS_CLIENT_LEFT else transport.close()

    # the answer

    async def start(self, content_type: bytes, length: int | None = None) -> None:
        """Keep the head for the first piece of the body, so that both leave together."""
        self.status = 200
        self._chunked = length is None
        framing = (
            b"cache-control: no-store\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n"
            if length is None
            else b"content-length: %d\r\n" % length
        )
        about = b"".join([b"%b: %b\r\n" % pair for pair in self._visit.about()])
        self._head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%b%b%b\r\n" % (
            content_type,
            about,
            framing,
            b"" if self.keep_alive else b"connection: close\r\n",
        )

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the customer is slow."""
        self.writes += 1
        if self._front.flow.write_paused:
            await self._drain()
        if not self.disconnected:
            self._front.transport.write(self._framed(data))

    def put(self, data: bytes) -> bool:
        """Send a piece of the body at once; False when the customer is slow and the next one should wait."""
        self.writes += 1
        if not self.disconnected:
            self._front.transport.write(self._framed(data))
        return not self._front.flow.write_paused

    async def end(self, data: bytes) -> None:
        """Send the last piece of the body and end the answer."""
        self.writes += 1
        if self._front.flow.write_paused:
            await self._drain()
        if not self.disconnected:
            self._front.transport.write(self._framed(data) + (b"0\r\n\r\n" if self._chunked else b""))
            self._complete()

    def break_off(self) -> None:
        """Leave the body without its end."""
        self.broken = True

    def refuse(self, error: ApiError) -> None:
        """Answer with an error, unless a body is on its way already: then that one is broken off."""
        self._visit.close(error.status)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.disconnected or self.response_complete:
            return
        front = self._front
        if self._head or self.status:
            front.transport.close()
            return
        if error.status == 408:
            self.keep_alive = False
        about = b"".join(b"%b: %b\r\n" % pair for pair in self._visit.about())
        front.transport.write(error_bytes(error, about, close=not self.keep_alive))
        self._complete()

    def lose(self) -> None:
        """Note that the customer is gone."""
        self.disconnected = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._visit.leave()
        if self.turn and not self.whole and not self.response_complete:
            self._visit.close(STATUS_CLIENT_LEFT)
            self.response_complete = True

    # inside

    async def _drain(self) -> None:
        self.blocked = True
        await self._front.flow.drain()
        self.blocked = False

    def _framed(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        if not self._chunked:
            return head + data
        return b"%b%x\r\n%b\r\n" % (head, len(data), data) if data else head

    def _complete(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self._front.transport.close()
        self._front.on_response_complete()

    def _late(self) -> None:
        self._timer = None
        self.refuse(too_slow(self._front.inference.bounds.body_s))

    def _refuse_and_close(self, error: ApiError) -> None:
        self.keep_alive = False
        self.refuse(error)
        self._front.transport.close()


def error_bytes(error: ApiError, about: bytes, close: bool) -> bytes:
    """Return a whole answer in OpenAI's shape."""
    body = error.body()
    more = b"".join(b"%b: %b\r\n" % pair for pair in error.headers())
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b%b\r\n%b" % (
        error.status,
        _REASONS.get(error.status, b"Error"),
        JSON_TYPE,
        len(body),
        about,
        more,
        b"connection: close\r\n" if close else b"",
        body,
    )

"""One connection to a provider: HTTP/1.1 by httptools, every size and time bounded, its framing never passed on.

The other side is a stranger. A response is given up, and the connection with it, when it is not HTTP/1.1, has no
clear length (neither Content-Length nor plain chunked), both lengths, a coded body, too many or too large headers, an
upgrade, a flood of interim answers, a body above its cap, or when a byte comes that nobody asked for. Such a
connection is never used again.

A `Connection` runs one exchange at a time: `send`, then `head`, then `read` until it returns b"". `read` returns
whatever has come since; when the caller is slow, reading from the socket is paused. `abort` closes the socket at
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import cast

import httptools

from marketplace.errors import BondedError

HIGH_WATER = 256 * 1024
LOW_WATER = 64 * 1024
_INTERIM_MOST = 4
_DRAIN_S = 1.0


class Fault(Enum):
    """What went wrong upstream; `late` faults are time-outs, all others the provider's error."""

    CONNECT = "no connection"
    CLOSED = "closed early"
    FIRST_BYTE = "no first byte in time"
    GAP = "too long a gap"
    TOTAL = "took too long"
    FRAMING = "not acceptable as HTTP"
    TOO_LARGE = "sent too much"
    ABANDONED = "given up by the gateway"

    @property
    def late(self) -> bool:
        """Tell whether this is a time-out."""
        return self in (Fault.FIRST_BYTE, Fault.GAP, Fault.TOTAL)


class UpstreamFailed(BondedError):
    """A provider did not give a usable answer; `fault` says in which way."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault.value}: {detail}" if detail else fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one exchange, in seconds and bytes.

    A gap counts only while the gateway is waiting, not while the customer is.
    """

    first_byte_s: float = 60.0
    gap_s: float = 30.0
    total_s: float = 600.0
    header_count: int = 64
    header_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024 * 1024


DEFAULT_LIMITS = Limits()


class Connection(asyncio.Protocol):
    """A connection of the pool. `on_free` is called when it may serve another exchange, `on_gone` when it is closed."""

    def __init__(self, on_free: Callable[[Connection], None], on_gone: Callable[[Connection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_free = on_free
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._limits = DEFAULT_LIMITS
        self._paused = False
        self._take: Callable[[bytes], bool] | None = None
        self._refused: Exception | None = None
        self.served = 0
        self.idle_since = 0.0
        self._begin()
        self._busy = False

    def _begin(self) -> None:
        self.status = 0
        self.sent = False
        self.headers: dict[bytes, bytes] = {}
        self.heard = False
        self._busy = True
        self._draining = False
        self._has_head = False
        self._complete = False
        self._reusable = False
        self._failure: UpstreamFailed | None = None
        self._violation = ""
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._received = 0
        self._header_bytes = 0
        self._header_count = 0
        self._interim = 0

    # what the relay calls

    @property
    def alive(self) -> bool:
        """Tell whether the socket is open and nothing unasked has come."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, limits: Limits) -> None:
        """Write a whole request and start its clocks."""
        self._begin()
        self._limits = limits
        self.sent_at = self._last_at = self._loop.time()
        if not self.alive:
            self._failure = UpstreamFailed(Fault.CLOSED, "before the request was sent")
            return
        self.sent = True
        cast(asyncio.Transport, self._transport).write(request)
        self._timer = self._loop.call_later(min(limits.first_byte_s, limits.total_s), self._on_timer)

    async def head(self) -> int:
        """Wait for the response's headers; returns the status. Raises UpstreamFailed."""
        while not self._has_head:
            if self._failure is not None:
                raise self._failure
            await self._wait()
        return self.status

    async def read(self) -> bytes:
        """Return the body bytes that have come since, b"" at the end; waits for some. Raises UpstreamFailed."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._complete:
                return b""
            if self._paused:
                self._resume()
            await self._wait()
        return self._gather()

    async def pump(self, take: Callable[[bytes], bool]) -> None:
        """Hand body bytes over in the moment they come, without waking the caller for each piece.

        Returns when `take` returned False, or at the body's end or a failure, which `read` then tells. Raises what
        `take` raised.
        """
        self._take = take
        if self._chunks:
            self._hand_over(take)
        if self._paused:
            self._resume()
        try:
            while self._take is not None and self._failure is None and not self._complete:
                await self._wait()
        finally:
            self._take = None
            refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    async def read_all(self, most: int) -> bytes:
        """Return the whole body; raises UpstreamFailed, also for a body of more than `most` bytes."""
        parts: list[bytes] = []
        size = 0
        while data := await self.read():
            size += len(data)
            if size > most:
                self._fail(UpstreamFailed(Fault.TOO_LARGE, f"a body of more than {most} bytes"))
                raise cast(UpstreamFailed, self._failure)
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def finish(self) -> None:
        """Leave the exchange after its last useful byte.

        A complete response frees the connection. One that lacks only its framing's end gets a moment for that;
        anything else closes it. Idempotent.
        """
        if not self._busy:
            return
        if self._complete:
            self._release()
        elif self._failure is None and self.alive and self._has_head and not self._chunks and not self._draining:
            self._draining = True
            self._stop_timer()
            self._timer = self._loop.call_later(_DRAIN_S, self._drop)
            if self._paused:
                self._resume()
        elif not self._draining:
            self.abort()

    def abort(self, reason: UpstreamFailed | None = None) -> None:
        """Close the socket at once; a reader that waits gets `reason`."""
        if self._busy and self._failure is None:
            self._failure = reason or UpstreamFailed(Fault.ABANDONED)
        self._drop()
        self._wake()

    def close(self) -> None:
        """Close an idle connection."""
        self._drop()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a byte outside an exchange closes the connection."""
        if not self._busy:
            self._drop()
            return
        self.heard = True
        self._last_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._violation = self._violation or "an upgrade was not asked for"
        except httptools.HttpParserError as error:
            self._violation = self._violation or str(error)
        if self._take is not None and self._chunks:
            self._hand_over(self._take)
        if self._violation:
            if self._complete:  # the response itself is whole; what follows it condemns the connection alone
                self._reusable = False
                self._drop()
            else:
                self._fail(UpstreamFailed(Fault.FRAMING, self._violation))
        elif self._draining and self._complete:
            self._release()
        elif self._buffered > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._take is None or self._complete:
            self._wake()

    def eof_received(self) -> bool:
        """Close: a response whose length is the connection's end is never accepted."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange in progress, if any."""
        self._transport = None
        self._stop_timer()
        if self._busy and not self._complete and self._failure is None:
            self._failure = UpstreamFailed(Fault.CLOSED, str(exc) if exc else "")
        if self._draining:
            self._busy = False
        self._on_gone(self)
        self._wake()

    # what httptools calls

    def on_message_begin(self) -> None:
        """Note a second response where one was asked for."""
        if self._complete:
            self._violation = "bytes follow the body"

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header within the bounds."""
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        if self._header_count > self._limits.header_count or self._header_bytes > self._limits.header_bytes:
            self._violation = self._violation or "too many or too large headers"
            return
        name = name.lower()
        if self._has_head:
            return  # trailers are counted and dropped
        if name in self.headers:
            self._violation = self._violation or f"the header {name.decode('latin-1')} comes twice"
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        """Judge status and framing before a byte of the body is kept."""
        status = self._parser.get_status_code()
        if status < 200:
            self._interim += 1
            if self._interim > _INTERIM_MOST or status == 101:
                self._violation = self._violation or f"interim answer {status}"
            self.headers = {}
            return
        self.status = status
        headers = self.headers
        coding = headers.get(b"transfer-encoding")
        if self._parser.get_http_version() != "1.1":
            self._violation = self._violation or "HTTP/1.1 was expected"
        elif coding is not None and coding.lower() != b"chunked":
            self._violation = self._violation or f"transfer-encoding {coding!r}"
        elif coding is None and b"content-length" not in headers and status != 204:
            self._violation = self._violation or "the body has no stated length"
        elif coding is not None and b"content-length" in headers:
            self._violation = self._violation or "two statements of the body's length"
        elif headers.get(b"content-encoding", b"identity").lower() != b"identity":
            self._violation = self._violation or "the body is coded although identity was asked for"
        if not self._violation:
            self._has_head = True

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._violation or self._complete:
            return
        if self._draining:
            self._violation = "bytes follow the end of the answer"
            return
        self._received += len(body)
        if self._received > self._limits.body_bytes:
            self._failure = self._failure or UpstreamFailed(
                Fault.TOO_LARGE, f"a body of more than {self._limits.body_bytes} bytes"
            )
            self._violation = "the body is above its cap"
            return
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        """Note the end of the body, or of an interim answer."""
        if not self._has_head or self._complete:
            return
        self._complete = True
        self._reusable = self._parser.should_keep_alive()
        self._stop_timer()

    # inside

    def _gather(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._buffered = 0
        if self._paused:
            self._resume()
        return data

    def _hand_over(self, take: Callable[[bytes], bool]) -> None:
        try:
            if not take(self._gather()):
                self._take = None
        except Exception as error:
            self._refused = error
            self._take = None

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _resume(self) -> None:
        self._paused = False
        self._last_at = self._loop.time()
        if self.alive:
            cast(asyncio.Transport, self._transport).resume_reading()

    def _on_timer(self) -> None:
        limits, now = self._limits, self._loop.time()
        waiting = self._waiter is not None
        if now >= self.sent_at + limits.total_s:
            self._fail(UpstreamFailed(Fault.TOTAL, f"{limits.total_s:g} s"))
            return
        if not self._received:
            due, fault, bound = self.sent_at + limits.first_byte_s, Fault.FIRST_BYTE, limits.first_byte_s
        else:
            due, fault, bound = self._last_at + limits.gap_s, Fault.GAP, limits.gap_s
            if not waiting:
                due = now + limits.gap_s
        if now >= due:
            self._fail(UpstreamFailed(fault, f"{bound:g} s"))
            return
        self._timer = self._loop.call_at(min(due, self.sent_at + limits.total_s), self._on_timer)

    def _fail(self, failure: UpstreamFailed) -> None:
        if self._failure is None:
            self._failure = failure
        self._drop()
        self._wake()

    def _drop(self) -> None:
        self._reusable = False
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        self._busy = False
        self._draining = False
        self._stop_timer()
        self._chunks = []
        if self._reusable and self.alive:
            if self._paused:
                self._resume()
            self.served += 1
            self.idle_since = self._loop.time()
            self._on_free(self)
        else:
            self._drop()

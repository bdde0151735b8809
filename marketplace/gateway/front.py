"""Answer the inference routes on the customer's connection itself; everything else goes on to the ASGI application.

`Front` is uvicorn's protocol on httptools with three things changed. A POST to an inference route becomes an `Exchange`
instead of an ASGI cycle: its body is collected here, its answer is written here, and one task serves it. Every request
is bounded before anything is done for it: size of its headers, time for them, time of an idle connection. And bytes
that are no request end the connection without disturbing the answer that is on its way.

Exchanges take uvicorn's own queue for pipelined requests, so answers leave in the order of their requests whichever
kind they are. A customer who closes its side, even if only its sending half, has left. uvicorn is pinned, because its
protocol's inside is relied upon.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from marketplace.gateway.errors import ApiError, bad_http, head_too_large, head_too_slow
from marketplace.gateway.exchange import Exchange, error_bytes
from marketplace.gateway.inference import Inference, Visit
from marketplace.gateway.inquiry import PATHS

HEAD_BYTES_MOST = 64 * 1024
_AHEAD_BYTES_MOST = 64 * 1024
_AHEAD_MOST = 8
_UNHEARD_BYTES_MOST = 1024 * 1024
_GOODBYE_S = 1.0
_ROUTES = {path.encode(): path for path in PATHS}


class Front(HttpToolsProtocol):
    """One connection of a customer."""

    def __init__(self, inference: Inference, **settings: Any) -> None:
        super().__init__(**settings)
        self.inference = inference
        self._running: Any = None
        self._incoming: Exchange | None = None
        self._in_head = False
        self._head_bytes = 0
        self._head_size = 0
        self._ahead_bytes = 0
        self._ended_one = False
        self._given_up = False
        self._unheard_bytes = 0
        self._since = 0.0
        self._clock: asyncio.TimerHandle | None = None

    # what the loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the transport and start the clock of an idle connection."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._clock = self.loop.call_later(self.inference.bounds.head_s, self._look_at_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody on this connection that the customer is gone."""
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if isinstance(cycle, Exchange):
                cycle.lose()
            elif cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self._incoming = None
        if self._clock is not None:
            self._clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the bounds of a head."""
        if self._given_up:
            self._unheard_bytes += len(data)
            if self._unheard_bytes > _UNHEARD_BYTES_MOST:
                self.transport.abort()
            return
        self._ended_one = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._give_up(bad_http("This connection cannot be upgraded."))
        except httptools.HttpParserError as error:
            refusal = error.__context__ if isinstance(error.__context__, ApiError) else None
            self._give_up(refusal or bad_http("These bytes are not a request of HTTP/1.1."))
        else:
            if self._in_head:
                self._head_bytes += 0 if self._ended_one else len(data)  # else the head began somewhere in these bytes
                if self._head_bytes > HEAD_BYTES_MOST:
                    self._give_up(head_too_large(HEAD_BYTES_MOST))
            elif self._incoming is not None:
                self._incoming.wait()

    # what httptools calls

    def on_message_begin(self) -> None:
        """Begin a head."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._in_head = True
        self._head_size = 0
        self._since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Collect the request's target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; a trailer is dropped."""
        if self._in_head:
            self._head_size += len(name) + len(value)
            if self._head_size > HEAD_BYTES_MOST:
                raise head_too_large(HEAD_BYTES_MOST)
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide who answers."""
        if self.transport.is_closing():
            raise bad_http("This connection is at its end.")  # nothing is served that could not be answered
        self._in_head = False
        self._head_bytes = 0
        headers = dict(self.headers)
        if self._head_size + len(self.url) > HEAD_BYTES_MOST:
            raise head_too_large(HEAD_BYTES_MOST)
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise bad_http("Send the body plain, or with transfer-encoding: chunked and no other.")
        path = _ROUTES.get(self.url)
        parser = self.parser
        if path is None or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            self._pass_on(headers)
            return
        if parser.should_upgrade():
            raise bad_http("This connection cannot be upgraded: send the request without the Upgrade header.")
        before = self.cycle
        exchange = Exchange(self, Visit(self.inference, path, headers), parser.should_keep_alive())
        self.cycle = cast(Any, exchange)
        self._incoming = exchange
        if before is None or before.response_complete:
            self._start_asgi_task(exchange, None)
        else:
            self.pipeline.appendleft((self.cycle, self.app))
            self._bound_ahead()

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of a body."""
        cycle = self.cycle
        if isinstance(cycle, Exchange):
            cycle.take(body)
            if not cycle.turn:
                self._ahead_bytes += len(body)
                self._bound_ahead()
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Hand on the end of a body."""
        self._ended_one = True
        cycle = self.cycle
        if isinstance(cycle, Exchange):
            self._incoming = None
            cycle.end_body()
        else:
            super().on_message_complete()

    # requests in their order

    def _pass_on(self, headers: dict[bytes, bytes]) -> None:
        """Let uvicorn make an ASGI cycle of a request whose head is complete."""
        url, pairs = self.url, self.headers
        super().on_message_begin()
        self._in_head = False
        self.url, self.headers = url, pairs
        self.scope["headers"] = pairs
        self.expect_100_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        super().on_headers_complete()

    def _bound_ahead(self) -> None:
        """Read no further while much is waiting: what is read ahead must be kept."""
        if len(self.pipeline) > _AHEAD_MOST or self._ahead_bytes > _AHEAD_BYTES_MOST:
            self.flow.pause_reading()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start what has its turn; uvicorn calls this too."""
        self._running = cycle
        if isinstance(cycle, Exchange):
            cycle.begin()
        else:
            super()._start_asgi_task(cycle, app)

    def _go_on(self, cycle: Any, app: Any) -> None:
        self._start_asgi_task(cycle, app)
        if self._incoming is cycle and isinstance(cycle, Exchange):
            cycle.wait()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        self.server_state.total_requests += 1
        self._running = None
        self._since = self.loop.time()
        if self._given_up:
            self.transport.close()
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._running, app = self.pipeline.pop()
            if not self.pipeline:
                self._ahead_bytes = 0
                self.flow.resume_reading()
            self.loop.call_soon(self._go_on, self._running, app)  # a thousand refusals need no stack
        else:
            self.flow.resume_reading()

    # bounds

    def _give_up(self, refusal: ApiError) -> None:
        """Read no more from this connection; answer with the refusal unless another answer is on its way."""
        self._given_up = True
        self._incoming = None
        running = self._running
        if running is None:
            self._say_goodbye(refusal)
        elif isinstance(running, Exchange):
            running.keep_alive = False
            if not running.whole:
                running.refuse(refusal)
        else:
            running.keep_alive = False
            if running.more_body:  # the application would wait for the rest for ever
                if not running.response_started:
                    self.transport.write(error_bytes(refusal, b"", close=True))
                self.transport.close()

    def _say_goodbye(self, refusal: ApiError) -> None:
        """Refuse and end our side; read on for a moment, because a client whose bytes are not taken reads no answer."""
        if self.transport.is_closing():
            return
        self.transport.write(error_bytes(refusal, b"", close=True))
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_GOODBYE_S, self.transport.close)

    def _look_at_clock(self) -> None:
        """End a connection that was idle too long or whose head does not come to its end; look again otherwise."""
        most_s = self.inference.bounds.head_s
        left_s = self._since + most_s - self.loop.time()
        if self._given_up or (self._running is not None and not self._in_head):
            left_s = most_s
        elif left_s <= 0:
            if not self._in_head:
                self.transport.close()
                return
            self._give_up(head_too_slow(most_s))
            left_s = most_s
        self._clock = self.loop.call_later(max(left_s, 0.001), self._look_at_clock)

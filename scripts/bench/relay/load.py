"""Load: raw sockets on asyncio, one request at a time per connection, as many as are answered.

Closed loop: a connection sends its next request when the last answer is complete. A run ends after so many seconds or
so many requests, whichever comes first. Acknowledgements are not delayed: a peer that leaves Nagle's algorithm on would
otherwise be measured waiting for this generator's kernel. The generator's own cost stays on its own core.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from dataclasses import dataclass, field

import httptools

PATIENCE_S = 30.0


@dataclass
class Result:
    """What a run came to; times in milliseconds."""

    seconds: float = 0.0
    requests: int = 0
    failures: int = 0
    events: int = 0
    first_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def per_second(self) -> float:
        """Return answered requests per second."""
        return self.requests / self.seconds

    def quantile(self, times: list[float], q: float) -> float:
        """Return a quantile of some times, 0 without any."""
        return sorted(times)[min(len(times) - 1, int(q * len(times)))] if times else 0.0

    def median_first_ms(self) -> float:
        """Return the median time to the first byte of a body."""
        return statistics.median(self.first_ms) if self.first_ms else 0.0

    def fail(self, why: str) -> None:
        """Count a request that was not answered as it should be."""
        self.failures += 1
        self.failure = why


@dataclass
class _Run:
    """What the connections of one run share; `left` requests may still be begun."""

    request: bytes
    result: Result
    until: float
    left: int

    def take(self, now: float) -> bool:
        """Say whether another request may begin, and count it."""
        if now >= self.until or self.left <= 0:
            return False
        self.left -= 1
        return True


class _Client(asyncio.Protocol):
    """One connection, which asks until its run is over."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.socket: socket.socket = transport.get_extra_info("socket")
        self.ask()

    def ask(self) -> None:
        """Send the next request, or end."""
        if not self.run.take(time.perf_counter()):
            if not self.done.done():
                self.done.set_result(None)
            return
        self.parser = httptools.HttpResponseParser(self)
        self.first = 0.0
        self.events = 0
        self.began = time.perf_counter()
        self.transport.write(self.run.request)

    def data_received(self, data: bytes) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if not self.first:
            self.first = time.perf_counter()
        self.events += body.count(b"data: ")

    def on_message_complete(self) -> None:
        now, result = time.perf_counter(), self.run.result
        if self.parser.get_status_code() == 200:
            result.requests += 1
            result.events += self.events
            result.first_ms.append((self.first - self.began) * 1e3)
            result.total_ms.append((now - self.began) * 1e3)
        else:
            result.fail(f"status {self.parser.get_status_code()}")
        asyncio.get_running_loop().call_soon(self.ask)  # the parser is still in its callback

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.run.result.fail(f"connection lost: {exc}")
            self.done.set_result(None)


def make_request(port: int, body: bytes, key: str) -> bytes:
    """Return a chat request."""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (port, key.encode(), len(body), body)
    )


async def press(port: int, body: bytes, key: str, connections: int, seconds: float, most: int = 1_000_000) -> Result:
    """Ask over so many connections, for so long, at most so many times."""
    loop = asyncio.get_running_loop()
    result = Result()
    began = time.perf_counter()
    run = _Run(make_request(port, body, key), result, began + seconds, most)
    clients = [(await loop.create_connection(lambda: _Client(run), "127.0.0.1", port))[1] for _ in range(connections)]
    _, unanswered = await asyncio.wait([client.done for client in clients], timeout=seconds + PATIENCE_S)
    result.seconds = time.perf_counter() - began
    for client in clients:
        if client.done in unanswered:
            result.fail(f"no answer in {PATIENCE_S:.0f} s")
            client.done.set_result(None)
        client.transport.close()
    return result

"""Send a request to a provider and get its response: pooled connections to checked addresses, no redirects, no proxies.

The connection pool is per endpoint. A connection is opened to an address that passed `addresses.checked_addresses` in
the same breath; TLS proves the endpoint's name. Redirects are statuses like any other, and nothing reads proxy
variables. Resolver and connector are arguments, so that tests record what would be connected without opening a
socket.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol

from marketplace.gateway.addresses import AddressRefused, Endpoint, Resolver, checked_addresses, resolve_by_system
from marketplace.gateway.connection import Connection, Fault, Limits, UpstreamFailed

IDLE_S = 4.0
"""Shorter than the five seconds after which common servers close an idle connection."""
_IDLE_MOST = 256


class Connector(Protocol):
    """Open a connection to an address; the only place where a socket is made."""

    async def __call__(
        self, connection: Connection, address: str, port: int, tls: ssl.SSLContext | None, name: str
    ) -> None:
        """Connect; raises OSError."""


async def connect_by_loop(
    connection: Connection, address: str, port: int, tls: ssl.SSLContext | None, name: str
) -> None:
    """Open a TCP (or TLS) connection to a literal address; `name` is what the certificate must bear."""
    loop = asyncio.get_running_loop()
    if tls is None:
        await loop.create_connection(lambda: connection, address, port)
    else:
        await loop.create_connection(lambda: connection, address, port, ssl=tls, server_hostname=name)


def default_tls() -> ssl.SSLContext:
    """Return a context that checks certificates and names and speaks HTTP/1.1."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Upstream:
    """The connections to all providers. `devnet` opens http and loopback."""

    def __init__(
        self,
        devnet: bool = False,
        resolve: Resolver = resolve_by_system,
        connect: Connector = connect_by_loop,
        tls: ssl.SSLContext | None = None,
        connect_s: float = 5.0,
    ) -> None:
        self._devnet = devnet
        self._resolve = resolve
        self._connect = connect
        self._tls = tls
        self._connect_s = connect_s
        self._idle: dict[Endpoint, deque[Connection]] = {}
        self._open: dict[Connection, Endpoint] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(
        self,
        endpoint: Endpoint,
        request: bytes,
        limits: Limits,
        attach: Callable[[Connection], None] = lambda connection: None,
        fresh: bool = False,
    ) -> Connection:
        """Send a request and wait for the response's headers; raises UpstreamFailed.

        `attach` gets the connection before the request is written: whoever aborts it then stops the request. The
        caller ends with `finish` or `abort`. A kept connection that the other side closed before a byte came is no
        answer: the request goes out once more on a new one (its ticket is good for one use, so it cannot run twice).
        """
        connection = None if fresh else self._take(endpoint)
        kept = connection is not None
        if connection is None:
            connection = await self.connect(endpoint)
        attach(connection)
        connection.send(request, limits)
        try:
            await connection.head()
        except UpstreamFailed as failure:
            if not kept or connection.heard or failure.fault is not Fault.CLOSED:
                connection.abort()
                raise
        except BaseException:
            connection.abort()
            raise
        else:
            return connection
        return await self.send(endpoint, request, limits, attach, fresh=True)

    async def connect(self, endpoint: Endpoint) -> Connection:
        """Open a new connection to one of the endpoint's checked addresses.

        Raises UpstreamFailed with fault CONNECT.
        """
        try:
            async with asyncio.timeout(self._connect_s):
                return await self._dial(endpoint)
        except TimeoutError:
            raise UpstreamFailed(Fault.CONNECT, f"{endpoint.host} took longer than {self._connect_s:g} s") from None
        except (OSError, AddressRefused) as error:
            raise UpstreamFailed(Fault.CONNECT, str(error)) from error

    async def _dial(self, endpoint: Endpoint) -> Connection:
        addresses = await checked_addresses(endpoint, self._resolve, self._devnet)
        if endpoint.secure and self._tls is None:
            self._tls = default_tls()
        last: OSError | None = None
        for address in addresses:
            connection = Connection(self._free, self._gone)
            try:
                tls = self._tls if endpoint.secure else None
                await self._connect(connection, address, endpoint.port, tls, endpoint.host)
            except OSError as error:
                last = error
                continue
            self._open[connection] = endpoint
            return connection
        raise last or OSError(f"{endpoint.host} has no address")

    def close(self) -> None:
        """Close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()

    @property
    def open_count(self) -> int:
        """Count the open connections, idle ones included."""
        return len(self._open)

    def _take(self, endpoint: Endpoint) -> Connection | None:
        idle = self._idle.get(endpoint)
        oldest = asyncio.get_running_loop().time() - IDLE_S
        while idle:
            connection = idle.pop()
            if connection.alive and connection.idle_since > oldest:
                return connection
            connection.close()
        return None

    def _free(self, connection: Connection) -> None:
        endpoint = self._open.get(connection)
        if endpoint is None:
            connection.close()
            return
        idle = self._idle.setdefault(endpoint, deque())
        idle.append(connection)
        if len(idle) > _IDLE_MOST:
            idle.popleft().close()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(IDLE_S, self._sweep)

    def _gone(self, connection: Connection) -> None:
        endpoint = self._open.pop(connection, None)
        idle = self._idle.get(endpoint) if endpoint is not None else None
        if idle and connection in idle:
            idle.remove(connection)

    def _sweep(self) -> None:
        self._sweeper = None
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_S
        for endpoint, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= oldest:
                idle.popleft().close()
            if not idle:
                del self._idle[endpoint]
        if self._idle:
            self._sweeper = loop.call_later(IDLE_S / 2, self._sweep)

"""The road to providers: the gateway's own address-checked client, in the form a probe wants."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from marketplace.gateway.addresses import AddressRefused, Endpoint, parse_endpoint
from marketplace.gateway.connection import Connection, Fault, Limits, UpstreamFailed
from marketplace.gateway.lanes import request_head, whole_request
from marketplace.gateway.upstream import Upstream

_OFFER_BYTES = 1 << 20
_LIMITS = Limits(first_byte_s=20.0, gap_s=20.0, total_s=30.0, body_bytes=2 << 20)


class ArrivingAnswer:
    """An answer whose body is read as it comes."""

    def __init__(self, connection: Connection) -> None:
        self.status = connection.status
        self._connection = connection

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; raises OSError when it breaks, TimeoutError when it stalls."""
        while True:
            try:
                data = await self._connection.read()
            except UpstreamFailed as failure:
                raise _plain(failure) from failure
            if not data:
                return
            yield data


class CheckedRoad:
    """Reach providers at registered endpoints, never at a private address unless this is a devnet."""

    def __init__(self, upstream: Upstream, devnet: bool) -> None:
        self._upstream = upstream
        self._devnet = devnet

    @contextlib.asynccontextmanager
    async def post(self, url: str, headers: dict[str, str], body: bytes) -> AsyncIterator[ArrivingAnswer]:
        """Open a POST, byte for byte as a gateway would.

        Raises OSError or TimeoutError when the provider cannot be reached or its address is refused.
        """
        endpoint, path = self._split(url)
        ticket, salt = (headers[name].encode() for name in ("x-bonded-ticket", "x-bonded-salt"))
        request = whole_request(request_head(path, endpoint), ticket, salt, body)
        async with self._exchange(endpoint, request) as connection:
            yield ArrivingAnswer(connection)

    async def offer(self, endpoint_url: str) -> bytes:
        """Fetch a provider's offer document; raises OSError or TimeoutError."""
        endpoint, path = self._split(endpoint_url.rstrip("/") + "/bonded/offer")
        head = f"GET {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\naccept-encoding: identity\r\n\r\n"
        async with self._exchange(endpoint, head.encode()) as connection:
            if connection.status != 200:
                raise OSError(f"{endpoint_url} answered {connection.status} when asked for its offer")
            try:
                return await connection.read_all(_OFFER_BYTES)
            except UpstreamFailed as failure:
                raise _plain(failure) from failure

    @contextlib.asynccontextmanager
    async def _exchange(self, endpoint: Endpoint, request: bytes) -> AsyncIterator[Connection]:
        try:
            connection = await self._upstream.send(endpoint, request, _LIMITS)
        except UpstreamFailed as failure:
            raise _plain(failure) from failure
        try:
            yield connection
        finally:
            connection.finish()

    def _split(self, url: str) -> tuple[Endpoint, str]:
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        try:
            return parse_endpoint(f"{scheme}://{host}", self._devnet), "/" + path
        except AddressRefused as refused:
            raise OSError(str(refused)) from refused


def _plain(failure: UpstreamFailed) -> OSError:
    """Return the failure as the built-in error a probe knows; TimeoutError is an OSError too."""
    if failure.fault.late:
        return TimeoutError(str(failure))
    return ConnectionError(str(failure)) if failure.fault is Fault.CONNECT else OSError(str(failure))

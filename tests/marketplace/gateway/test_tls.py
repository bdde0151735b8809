"""TLS towards providers: the certificate must bear the registered name, whatever address was connected."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marketplace.gateway.addresses import parse_endpoint
from marketplace.gateway.connection import Fault, Limits, UpstreamFailed
from marketplace.gateway.upstream import Upstream, default_tls

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate for provider.example, and its key."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=provider.example",
    ]
    command += ["-addext", "subjectAltName=DNS:provider.example", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture
async def server(pair: tuple[Path, Path]) -> AsyncIterator[tuple[int, Path]]:
    certificate, key = pair
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], certificate


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def trusting(certificate: Path) -> ssl.SSLContext:
    context = default_tls()
    context.load_verify_locations(certificate)
    return context


async def test_the_name_is_proved_at_the_checked_address(server: tuple[int, Path]) -> None:
    port, certificate = server
    upstream = Upstream(devnet=True, resolve=loopback, tls=trusting(certificate))
    connection = await upstream.send(parse_endpoint(f"https://provider.example:{port}", True), REQUEST, Limits())
    assert await connection.read_all(10) == b"hi"
    upstream.close()


async def test_another_name_is_refused(server: tuple[int, Path]) -> None:
    port, certificate = server
    upstream = Upstream(devnet=True, resolve=loopback, tls=trusting(certificate))
    with pytest.raises(UpstreamFailed) as failed:
        await upstream.send(parse_endpoint(f"https://other.example:{port}", True), REQUEST, Limits())
    assert failed.value.fault is Fault.CONNECT
    upstream.close()


async def test_a_certificate_of_nobody_is_refused(server: tuple[int, Path]) -> None:
    port, _ = server
    upstream = Upstream(devnet=True, resolve=loopback)
    with pytest.raises(UpstreamFailed) as failed:
        await upstream.send(parse_endpoint(f"https://provider.example:{port}", True), REQUEST, Limits())
    assert failed.value.fault is Fault.CONNECT
    upstream.close()

"""Evidence over HTTP: blobs by digest, whole, for ever, and nothing else of the folder."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from marketplace.evidence_server import create_evidence_server
from marketplace.gateway.server import HttpServer
from rewards.blobs import FolderStore, HttpSource
from rewards.errors import EvidenceDamaged, EvidenceMissing


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    (tmp_path / "secret").write_text("not evidence")
    server = HttpServer(create_evidence_server(tmp_path / "evidence"), "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.stop(0.1)


async def test_a_blob_comes_whole_under_its_digest_and_may_be_kept_for_ever(url: str, tmp_path: Path):
    body = bytes(range(256)) * 5_000
    digest, _ = FolderStore(tmp_path / "evidence").put([body])
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/evidence/{digest.hex()}")
        assert answer.status_code == 200 and answer.content == body
        assert hashlib.sha256(answer.content).digest() == digest
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "application/octet-stream"
        head = await client.head(f"{url}/evidence/{digest.hex()}")
        assert head.status_code == 200 and head.headers["content-length"] == str(len(body)) and not head.content


@pytest.mark.parametrize(
    "name",
    ["00" * 32, "../secret", "%2e%2e/secret", "..%2fsecret", "", "secret", "AB" * 32, ".partial-x", "0x" + "00" * 32],
)
async def test_what_is_no_blob_is_not_found(url: str, name: str):
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/evidence/{name}")
        assert answer.status_code == 404 and "not evidence" not in answer.text


async def test_the_auditors_source_reads_it_and_says_what_is_missing_or_too_long(url: str, tmp_path: Path):
    digest, _ = FolderStore(tmp_path / "evidence").put([b"x" * 1_000])
    source = HttpSource(url)

    def read(most: int) -> bytes:
        with source.open("inputs.json", digest, most) as found:
            return found.read()

    assert await asyncio.to_thread(read, 1_000) == b"x" * 1_000
    with pytest.raises(EvidenceDamaged, match=r"inputs\.json"):
        await asyncio.to_thread(read, 999)
    with pytest.raises(EvidenceMissing, match="manifest"):
        await asyncio.to_thread(source.open, "manifest", b"\x01" * 32, 10)

"""`/v1/files` with the unmodified client, and with clients that do it wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import openai
import pytest
from sqlalchemy import func, select

from marketplace.batches.files import CHUNK_BYTES, KEPT_S, UPLOAD_S, Files
from marketplace.batches.upload import UploadBounds
from marketplace.db import Database
from marketplace.models import file_chunks, files
from tests.marketplace.batches.shop import Buyer, Shop, chat


async def stored(database: Database) -> tuple[int, int]:
    """Count files and pieces in the database, incomplete ones too."""
    async with database.begin() as connection:
        return (
            (await connection.execute(select(func.count()).select_from(files))).scalar_one(),
            (await connection.execute(select(func.count()).select_from(file_chunks))).scalar_one(),
        )


async def test_a_file_comes_back_byte_for_byte(shop: Shop, buyer: Buyer) -> None:
    raw = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"\r\n--boundary\r\nrest"
    file = await buyer.upload(raw)
    assert (file.bytes, file.filename, file.purpose, file.status) == (len(raw), "input.jsonl", "batch", "processed")
    assert file.expires_at is not None and file.expires_at - file.created_at == KEPT_S
    assert (await buyer.api.files.content(file.id)).content == raw
    assert await buyer.api.files.retrieve(file.id) == file
    assert await stored(shop.database) == (1, 4)


async def test_a_deleted_file_is_gone_with_all_its_pieces(shop: Shop, buyer: Buyer) -> None:
    file = await buyer.upload([chat(1)])
    gone = await buyer.api.files.delete(file.id)
    assert (gone.id, gone.deleted, gone.object) == (file.id, True, "file")
    for ask in (buyer.api.files.retrieve, buyer.api.files.content, buyer.api.files.delete):
        with pytest.raises(openai.NotFoundError):
            await ask(file.id)
    assert await stored(shop.database) == (0, 0)


async def test_somebody_elses_file_is_not_there(shop: Shop, buyer: Buyer) -> None:
    file = await buyer.upload([chat(1)])
    stranger = await shop.customer()
    for ask in (stranger.api.files.retrieve, stranger.api.files.content, stranger.api.files.delete):
        with pytest.raises(openai.NotFoundError):
            await ask(file.id)
    with pytest.raises(openai.NotFoundError):
        await stranger.api.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    with pytest.raises(openai.NotFoundError):
        await stranger.api.files.list(after=file.id)
    assert [found async for found in stranger.api.files.list()] == []
    assert (await buyer.api.files.retrieve(file.id)).id == file.id


async def test_lists_go_page_by_page_in_both_orders(buyer: Buyer) -> None:
    names = [(await buyer.upload([chat(number)])).id for number in range(5)]
    assert [file.id async for file in buyer.api.files.list(limit=2)] == names[::-1]
    assert [file.id async for file in buyer.api.files.list(limit=2, order="asc")] == names
    assert [file.id async for file in buyer.api.files.list(limit=2, order="asc", after=names[2])] == names[3:]
    assert [file.id async for file in buyer.api.files.list(purpose="batch_output")] == []
    page = await buyer.api.files.list(limit=2)
    assert page.has_more and len(page.data) == 2


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=x", "order=up", "purpose=%00"])
async def test_a_list_that_cannot_be_is_refused(buyer: Buyer, query: str) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(
            f"{buyer.shop.url}/v1/files?{query}", headers={"authorization": f"Bearer {buyer.key}"}
        )
    assert answer.status_code == 400 and answer.json()["error"]["param"] == query.split("=")[0]


@pytest.mark.parametrize("name", ["nothing", "file-%00", "%2e%2e", "x" * 101, "ü"])
async def test_a_name_of_no_file_is_not_found(buyer: Buyer, name: str) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.get(f"{buyer.shop.url}/v1/files/{name}", headers={"authorization": f"Bearer {buyer.key}"})
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


async def test_a_key_is_needed(shop: Shop, buyer: Buyer) -> None:
    with pytest.raises(openai.AuthenticationError):
        await shop.client("sk-bonded-wrong").files.list()
    with pytest.raises(openai.AuthenticationError):
        await shop.client("a.session.token").batches.list()


async def test_only_files_for_batches_are_taken_and_what_is_refused_leaves_nothing(shop: Shop, buyer: Buyer) -> None:
    create = buyer.api.files.create
    with pytest.raises(openai.BadRequestError, match="purpose must be"):
        await create(file=("a", b"x"), purpose="fine-tune")
    with pytest.raises(openai.BadRequestError, match="empty"):
        await create(file=("a", b""), purpose="batch")
    for seconds in (3_599, KEPT_S + 1):
        with pytest.raises(openai.BadRequestError, match="seconds must be from"):
            await create(file=("a", b"x"), purpose="batch", expires_after={"anchor": "created_at", "seconds": seconds})
    assert await stored(shop.database) == (0, 0)
    kept = await create(file=("a", b"x"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3_600})
    assert kept.expires_at == kept.created_at + 3_600


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + end


PURPOSE = b'content-disposition: form-data; name="purpose"\r\n\r\nbatch'
FILE = b'content-disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\nabc'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        form(PURPOSE),
        form(FILE),
        form(PURPOSE, FILE, end=b""),
        form(PURPOSE, FILE, FILE),
        form(*[PURPOSE] * 17, FILE),
        form(b'content-disposition: form-data; name="purpose"\r\n\r\n' + b"x" * 2_000, FILE),
        form(b"x" * 10_000 + b": y\r\n\r\n", FILE),
    ],
)
async def test_a_form_that_is_none_is_refused_and_leaves_nothing(shop: Shop, buyer: Buyer, body: bytes) -> None:
    headers = {"authorization": f"Bearer {buyer.key}", "content-type": "multipart/form-data; boundary=b"}
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{shop.url}/v1/files", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert await stored(shop.database) == (0, 0)


async def test_the_order_of_the_form_does_not_matter_and_a_name_loses_its_folders(shop: Shop, buyer: Buyer) -> None:
    headers = {"authorization": f"Bearer {buyer.key}", "content-type": "multipart/form-data; boundary=b"}
    odd = FILE.replace(b"a.jsonl", b"../../etc/a.jsonl")
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{shop.url}/v1/files", content=form(odd, PURPOSE), headers=headers)
    assert answer.json()["filename"] == "a.jsonl" and answer.json()["bytes"] == 3


@pytest.mark.parametrize(
    "upload_bounds", [UploadBounds(bytes_most=1_000, stall_s=0.2, at_once_per_customer=1)], ids=["small"]
)
class TestBounds:
    async def test_a_file_above_the_limit_is_refused_and_leaves_nothing(self, bounded: Shop) -> None:
        buyer = await bounded.customer()
        assert (await buyer.upload(b"x" * 1_000)).bytes == 1_000
        with pytest.raises(openai.APIStatusError) as refused:
            await buyer.upload(b"x" * 1_001)
        assert refused.value.status_code == 413
        assert await stored(bounded.database) == (1, 1)

    async def test_an_upload_that_stands_still_is_ended_and_counts_meanwhile(self, bounded: Shop) -> None:
        buyer = await bounded.customer()
        reader, writer = await asyncio.open_connection("127.0.0.1", bounded.server.port)
        head = (
            f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {buyer.key}\r\n"
            "content-type: multipart/form-data; boundary=b\r\ncontent-length: 900\r\n\r\n"
        )
        writer.write(head.encode() + form(PURPOSE, FILE, end=b""))
        while (await stored(bounded.database))[0] == 0:
            await asyncio.sleep(0.01)
        with pytest.raises(openai.RateLimitError, match="being uploaded"):
            await buyer.upload(b"x")
        assert b"408" in await reader.readline()
        writer.close()
        assert await stored(bounded.database) == (0, 0)
        assert (await buyer.upload(b"x")).bytes == 1

    async def test_an_upload_whose_customer_leaves_leaves_nothing(self, bounded: Shop) -> None:
        buyer = await bounded.customer()
        _, writer = await asyncio.open_connection("127.0.0.1", bounded.server.port)
        head = (
            f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {buyer.key}\r\n"
            "content-type: multipart/form-data; boundary=b\r\ncontent-length: 900\r\n\r\n"
        )
        writer.write(head.encode() + form(PURPOSE, FILE, end=b""))
        while (await stored(bounded.database))[0] == 0:
            await asyncio.sleep(0.01)
        writer.transport.abort()
        async with asyncio.timeout(10):
            while await stored(bounded.database) != (0, 0):
                await asyncio.sleep(0.01)


async def test_storage_is_bounded_per_customer(database: Database) -> None:
    store = Files(database, stored_most=10)
    first = await store.begin("alice", 0)
    await store.finish(first, "alice", "a", "batch", 6, 100)
    second = await store.begin("alice", 0)
    with pytest.raises(Exception, match="above 10 bytes"):
        await store.finish(second, "alice", "b", "batch", 5, 100)
    await store.finish(second, "alice", "b", "batch", 4, 100)
    with pytest.raises(Exception, match="above 10 bytes"):
        await store.begin("alice", 0)
    other: Any = await store.begin("bob", 0)
    await store.finish(other, "bob", "c", "batch", 10, 100)


async def test_the_sweep_removes_what_is_past_its_time_and_uploads_that_were_given_up(database: Database) -> None:
    store = Files(database)
    for name, complete in (("kept", True), ("half", False)):
        file = await store.begin(name, 1_000)
        await store.append(file, 0, b"abc")
        if complete:
            await store.finish(file, name, "a", "batch", 3, 9_000)
    assert await store.sweep(1_000 + UPLOAD_S) == 0
    assert await store.sweep(1_001 + UPLOAD_S) == 1
    assert await store.sweep(8_999) == 0
    assert await stored(database) == (1, 1)
    assert await store.sweep(9_000) == 1
    assert await stored(database) == (0, 0)

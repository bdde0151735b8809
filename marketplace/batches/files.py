"""Keep customers' files in the database, in pieces, so that none is ever held whole in memory.

A file is seen once its upload is complete. Every query names the customer; what is not its own is not there.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from marketplace.batches.failures import no_such_file, storage_full
from marketplace.db import Database
from marketplace.models import file_chunks, files

FILE_BYTES_MOST = 200 * 1024 * 1024
CHUNK_BYTES = 256 * 1024
STORED_BYTES_MOST = 2 * 1024**3
KEPT_S = 30 * 86_400
UPLOAD_S = 3_600
"""An upload that is not complete after this time was given up."""
BATCH_INPUT, BATCH_OUTPUT = "batch", "batch_output"


def new_file_id() -> str:
    """Draw a file's name."""
    return "file-" + secrets.token_hex(12)


def is_name(text: str) -> bool:
    """Tell whether a text from outside can be the name of a file or a batch."""
    return 0 < len(text) <= 100 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A complete file. Times in unix seconds, `size` in bytes."""

    id: str
    number: int
    customer: str
    purpose: str
    filename: str
    size: int
    created_at: int
    expires_at: int | None

    def shape(self) -> dict[str, Any]:
        """Return OpenAI's file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.size,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """All files of one database. `stored_most`: bytes that one customer's files may have together."""

    def __init__(self, database: Database, stored_most: int = STORED_BYTES_MOST) -> None:
        self._database = database
        self._stored_most = stored_most

    async def begin(self, customer: str, now: int) -> str:
        """Make room for an upload and return the file's id; raises ApiError when the customer's storage is full."""
        if await self._stored(customer) >= self._stored_most:
            raise storage_full(self._stored_most)
        file = new_file_id()
        async with self._database.begin() as connection:
            await connection.execute(insert(files).values(id=file, customer=customer, created_at=now, complete=False))
        return file

    async def append(self, file: str, seq: int, data: bytes) -> None:
        """Store a piece of an upload."""
        async with self._database.begin() as connection:
            await connection.execute(insert(file_chunks).values(file=file, seq=seq, data=data))

    async def finish(self, file: str, customer: str, filename: str, purpose: str, size: int, expires_at: int) -> None:
        """Let the file be seen; raises ApiError when it does not fit into the customer's storage."""
        if await self._stored(customer) + size > self._stored_most:
            raise storage_full(self._stored_most)
        async with self._database.begin() as connection:
            await connection.execute(
                update(files)
                .where(files.c.id == file)
                .values(filename=filename, purpose=purpose, bytes=size, expires_at=expires_at, complete=True)
            )

    async def drop(self, file: str) -> None:
        """Remove a file, complete or not."""
        async with self._database.begin() as connection:
            await connection.execute(delete(files).where(files.c.id == file))

    async def get(self, customer: str, file: str) -> StoredFile:
        """Return a customer's file; raises ApiError 404."""
        if not is_name(file):
            raise no_such_file(file)
        async with self._database.begin() as connection:
            row = (
                await connection.execute(
                    select(files).where(files.c.id == file, files.c.customer == customer, files.c.complete)
                )
            ).first()
        if row is None:
            raise no_such_file(file)
        return _read(row)

    async def delete(self, customer: str, file: str) -> None:
        """Remove a customer's file; raises ApiError 404."""
        await self.get(customer, file)
        await self.drop(file)

    async def page(
        self, customer: str, after: str | None, limit: int, ascending: bool, purpose: str | None
    ) -> tuple[list[StoredFile], bool]:
        """Return a page of a customer's files and whether there are more; raises ApiError 404 for a strange cursor."""
        query = select(files).where(files.c.customer == customer, files.c.complete)
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        if after is not None:
            number = (await self.get(customer, after)).number
            query = query.where(files.c.number > number if ascending else files.c.number < number)
        order = files.c.number.asc() if ascending else files.c.number.desc()
        async with self._database.begin() as connection:
            rows = (await connection.execute(query.order_by(order).limit(limit + 1))).all()
        return [_read(row) for row in rows[:limit]], len(rows) > limit

    async def content(self, file: str) -> AsyncIterator[bytes]:
        """Yield a file's pieces in order. No connection is held between them, however slow the reader is."""
        seq = -1
        while True:
            async with self._database.begin() as connection:
                row = (
                    await connection.execute(
                        select(file_chunks.c.seq, file_chunks.c.data)
                        .where(file_chunks.c.file == file, file_chunks.c.seq > seq)
                        .order_by(file_chunks.c.seq)
                        .limit(1)
                    )
                ).first()
            if row is None:
                return
            seq = row.seq
            yield bytes(row.data)

    async def sweep(self, now: int) -> int:
        """Remove files whose time is up, and uploads that were given up; returns how many."""
        async with self._database.begin() as connection:
            gone = await connection.execute(
                delete(files)
                .where((files.c.expires_at <= now) | (~files.c.complete & (files.c.created_at < now - UPLOAD_S)))
                .returning(files.c.id)
            )
            return len(gone.all())

    async def _stored(self, customer: str) -> int:
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(func.coalesce(func.sum(files.c.bytes), 0)).where(files.c.customer == customer)
            )
            return int(found.scalar_one())


def _read(row: Any) -> StoredFile:
    return StoredFile(
        row.id, row.number, row.customer, row.purpose, row.filename, row.bytes, row.created_at, row.expires_at
    )

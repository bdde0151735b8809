"""Validate a batch's input file and put its lines into the queue: all of them, or none and the reasons why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.batches.lines import LINES_MOST, Checker, Fault, Request, Splitter
from marketplace.batches.store import State, Status
from marketplace.db import Database
from marketplace.models import batch_lines, batches, file_chunks

log = structlog.get_logger("batches")

_ROWS_AT_ONCE = 500
_BYTES_AT_ONCE = 1024 * 1024
_LINES_BETWEEN_BREATHS = 32
"""The loop serves streams meanwhile, so no more lines than these are parsed in one go."""


class Validator:
    """Validate batches, oldest first. `known` tells whether somebody offers a model, `clock` is unix time."""

    def __init__(
        self,
        database: Database,
        known: Callable[[str], bool],
        clock: Callable[[], float],
        lines_most: int = LINES_MOST,
    ) -> None:
        self._database = database
        self._known = known
        self._clock = clock
        self._lines_most = lines_most
        self._at = ""

    async def step(self) -> bool:
        """Validate one batch; False if none waits. One that cannot be validated has failed, and the next is served."""
        self._at = ""
        try:
            return await self._validate()
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            if not self._at:
                raise
            log.exception("a batch could not be validated", batch=self._at)
            fault = Fault("internal_error", "The gateway failed to read this file.")
            async with self._database.begin() as connection:
                await self._fail(connection, self._at, [fault])
            return True

    async def _validate(self) -> bool:
        """Validate the oldest batch in one transaction."""
        async with self._database.begin() as connection:
            row = (
                await connection.execute(
                    select(batches.c.id, batches.c.endpoint, batches.c.input_file)
                    .where(batches.c.status == Status.VALIDATING)
                    .order_by(batches.c.number)
                    .limit(1)
                    .with_for_update(skip_locked=True)
                )
            ).first()
            if row is None:
                return False
            self._at = row.id
            checker = Checker(row.endpoint, self._known, self._lines_most)
            if not await self._read(connection, row.id, row.input_file, checker):
                checker.faults = [Fault("file_not_found", "The input file was removed before it was read.")]
            if checker.faults:
                await self._fail(connection, row.id, checker.faults)
                return True
            await connection.execute(
                update(batches)
                .where(batches.c.id == row.id)
                .values(
                    status=Status.IN_PROGRESS,
                    in_progress_at=int(self._clock()),
                    model=checker.model,
                    total=checker.count,
                )
            )
            return True

    async def _fail(self, connection: AsyncConnection, batch: str, faults: list[Fault]) -> None:
        await connection.execute(delete(batch_lines).where(batch_lines.c.batch == batch))
        await connection.execute(
            update(batches)
            .where(batches.c.id == batch, batches.c.status == Status.VALIDATING)
            .values(status=Status.FAILED, failed_at=int(self._clock()), errors=[fault.shape() for fault in faults])
        )

    async def _read(self, connection: AsyncConnection, batch: str, file: str, checker: Checker) -> bool:
        """Check every line and enter the good ones; False if there is no file."""
        splitter, group, seq, size = Splitter(), list[Request](), -1, 0
        while not checker.stopped:
            piece = (
                await connection.execute(
                    select(file_chunks.c.seq, file_chunks.c.data)
                    .where(file_chunks.c.file == file, file_chunks.c.seq > seq)
                    .order_by(file_chunks.c.seq)
                    .limit(1)
                )
            ).first()
            lines = splitter.end() if piece is None else splitter.feed(bytes(piece.data))
            for count, raw in enumerate(lines, 1):
                request = checker.take(raw)
                if checker.stopped:
                    break
                if request is not None and not checker.faults:
                    group.append(request)
                    size += len(request.body)
                if len(group) >= _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
                    await _enter(connection, batch, group)
                    group, size = [], 0
                if count % _LINES_BETWEEN_BREATHS == 0:
                    await asyncio.sleep(0)
            if piece is None:
                break
            seq = piece.seq
        if group and not checker.faults:
            await _enter(connection, batch, group)
        checker.end()
        return seq >= 0


async def _enter(connection: AsyncConnection, batch: str, group: list[Request]) -> None:
    await connection.execute(
        insert(batch_lines),
        [
            {
                "batch": batch,
                "line": request.line,
                "custom_id": request.custom_id,
                "body": request.body,
                "state": State.WAITING,
            }
            for request in group
        ],
    )

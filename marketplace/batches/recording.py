"""End lines many at a time: whatever was answered while one transaction was written goes into the next.

One transaction a line costs twenty round trips and a flush of the database's log, and they cannot overlap, because the
ledger is entered by one at a time. A group costs the same, so lines wait for each other only while the database is
busy anyway: one that comes alone is written at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.batches.books import KeptBooks
from marketplace.batches.queue import Ended, LineQueue, Task
from marketplace.db import Database
from marketplace.drain import Drainer
from marketplace.journal import Line

log = structlog.get_logger("batches")

GROUP_MOST = 256
GROUP_BYTES_MOST = 16 * 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    task: Task
    ended: Ended
    lines: list[Line]
    stored: asyncio.Future[bool]


class Recorder:
    """The one writer of a worker's ended lines."""

    def __init__(self, database: Database, queue: LineQueue, drainer: Drainer) -> None:
        self._database = database
        self._queue = queue
        self._drainer = drainer
        self._waiting: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def end(self, task: Task, ended: Ended, books: KeptBooks | None) -> bool:
        """End a line with its charge; False if it is not ours any more. Waits out a database that is away.

        Raises what the database or the ledger raises for this line alone.
        """
        lines = books.lines() if books is not None else []
        one = _Waiting(task, ended, lines, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return await one.stored

    async def stop(self) -> None:
        """Give up what is not written; lines that nobody waits for any more are served again after a restart."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write_all(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                await self._write(group)
            except Exception as error:
                if len(group) == 1:
                    _fail(group[0], error)
                    continue
                log.warning("a group of lines could not be stored; each is tried alone", error=str(error))
                for one in group:
                    try:
                        await self._write([one])
                    except Exception as own:
                        _fail(one, own)

    def _next_group(self) -> list[_Waiting]:
        group, size = [self._waiting.popleft()], 0
        size = len(group[0].ended.answer)
        while self._waiting and len(group) < GROUP_MOST:
            size += len(self._waiting[0].ended.answer)
            if size > GROUP_BYTES_MOST:
                break
            group.append(self._waiting.popleft())
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        async def charge(connection: AsyncConnection, at: Sequence[int]) -> None:
            lines = [line for one in at for line in group[one].lines]
            if lines:
                await self._drainer.enter(connection, lines)

        ends = [(one.task, one.ended) for one in group]
        stored = await self._database.persist(
            lambda: self._queue.end_all(ends, charge), "storing the answers of batch lines"
        )
        for one, is_stored in zip(group, stored, strict=True):
            if not one.stored.done():
                one.stored.set_result(is_stored)


def _fail(one: _Waiting, error: Exception) -> None:
    if not one.stored.done():
        one.stored.set_exception(error)

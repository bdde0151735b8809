"""Put the parts of batches together for a gateway process: routes, and what runs in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from marketplace.batches.callers import Callers, Sessions
from marketplace.batches.ending import Ender
from marketplace.batches.files import Files
from marketplace.batches.routes import BatchRoutes
from marketplace.batches.store import Batches
from marketplace.batches.upload import UploadBounds, Uploads
from marketplace.batches.validation import Validator
from marketplace.batches.worker import Workers
from marketplace.db import Database
from marketplace.drain import Drainer
from marketplace.gateway.desk import Desk
from marketplace.gateway.errors import ApiError

log = structlog.get_logger("batches")

_IDLE_S = 0.5
_SWEEP_EVERY_S = 60.0


class BatchService:
    """Batches of one gateway. `known` tells whether somebody offers a model, `check_open` raises ApiError while no new
    work is taken, `public` is the host of the gateway's public URL.
    """

    def __init__(
        self,
        database: Database,
        desk: Desk,
        drainer: Drainer,
        known: Callable[[str], bool],
        check_open: Callable[[], None] = lambda: None,
        sessions: Sessions | None = None,
        upload_bounds: UploadBounds | None = None,
        public: str = "",
    ) -> None:
        self._database = database
        self._desk = desk
        self._waiting = asyncio.Event()
        self.files = Files(database)
        self.validator = Validator(database, known, desk.clock)
        self.workers = Workers(database, desk, drainer, _quietly(check_open))
        self.ender = Ender(database, desk.clock)
        self.routes = BatchRoutes(
            Callers(desk.accounts, sessions, public),
            self.files,
            Uploads(self.files, desk.clock, upload_bounds),
            Batches(database),
            desk.metrics,
            desk.clock,
            check_open,
            self._waiting.set,
        )

    async def recover(self) -> None:
        """Put back what a former process was serving; once, before `background`, by the database's one gateway."""
        count = await self.workers.queue.recover()
        if count:
            log.warning("batch lines of a process that died are served again", count=count)

    def background(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs as long as the gateway does."""
        return [self.workers.run(), self._validate(), self._end(), self._sweep()]

    async def stop(self, grace_s: float) -> None:
        """Take no more lines; those that run may end."""
        await self.workers.stop(grace_s)

    async def _validate(self) -> None:
        while True:
            self._waiting.clear()
            while await self._database.persist(self.validator.step, "validating a batch"):
                self.workers.wake()
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._waiting.wait()
            except TimeoutError:
                pass

    async def _end(self) -> None:
        while True:
            await self._database.persist(self.ender.step, "ending batches")
            await asyncio.sleep(_IDLE_S)

    async def _sweep(self) -> None:
        while True:
            await self._database.persist(self.sweep, "removing old files")
            await asyncio.sleep(_SWEEP_EVERY_S)

    async def sweep(self) -> int:
        """Remove files whose time is up; returns how many."""
        return await self.files.sweep(int(self._desk.clock()))


def _quietly(check_open: Callable[[], None]) -> Callable[[], bool]:
    """Turn a check that raises into one that answers."""

    def is_open() -> bool:
        try:
            check_open()
        except ApiError:
            return False
        return True

    return is_open

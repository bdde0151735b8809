"""The clock: APScheduler ticks in one leader, held by an advisory lock; every other process of its kind stands by.

The clock only says that time has passed. What is to be done, and how far it has come, stands in the database, so a
tick that is missed, doubled or cut short loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.db import LEADER_LOCK, Database

log = structlog.get_logger("clock")

_STAND_BY_S = 0.5


class LeadershipLost(Exception):
    """The connection that held the lock is gone: somebody else may lead by now."""


class Leadership:
    """The right to settle: a session lock of one connection. It ends with the connection, however that ends."""

    def __init__(self, database: Database, key: int = LEADER_LOCK) -> None:
        self._database = database
        self._key = key

    @asynccontextmanager
    async def held(self, standing_by: Callable[[], None] = lambda: None) -> Any:
        """Wait until this process leads; yields a check that raises LeadershipLost when it does not any more."""
        connection = await self._take(standing_by)
        try:

            async def check() -> None:
                try:
                    await connection.execute(text("SELECT 1"))
                except SQLAlchemyError as error:  # once cut, the connection answers in several ways
                    raise LeadershipLost(str(error)) from error

            yield check
        finally:
            with suppress(Exception):
                await connection.invalidate()
                await connection.close()

    async def _take(self, standing_by: Callable[[], None]) -> AsyncConnection:
        told = False
        while True:
            connection = await self._database.persist(self.ask, "asking for the lead")
            if connection is not None:
                return connection
            if not told:
                told = True
                standing_by()
            await asyncio.sleep(_STAND_BY_S)

    async def ask(self) -> AsyncConnection | None:
        """Ask once: return the connection that holds the lock as long as it lives, None if another process leads."""
        connection = await self._database.engine.connect()
        taken = False
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            taken = bool(
                (await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key})).scalar()
            )
        finally:
            if not taken:
                with suppress(Exception):
                    await connection.close()
        return connection if taken else None


class Clock:
    """Runs jobs every so many seconds.

    A job that still runs is not started again, a failure is told and not the end.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._failed: asyncio.Future[None] | None = None

    def every(self, seconds: float, name: str, work: Callable[[], Awaitable[Any]]) -> None:
        """Have `work` done every `seconds`."""

        async def tick() -> None:
            try:
                await work()
            except LeadershipLost as lost:
                if self._failed is not None and not self._failed.done():
                    self._failed.set_exception(lost)
            except Exception:
                log.exception("a tick failed; it is tried again at the next", job=name)

        self._scheduler.add_job(
            tick, "interval", seconds=seconds, id=name, max_instances=1, coalesce=True, misfire_grace_time=None
        )

    async def run(self) -> None:
        """Tick until cancelled; raises LeadershipLost when a job finds the lead gone."""
        self._failed = asyncio.get_running_loop().create_future()
        self._scheduler.start()
        try:
            await self._failed
        finally:
            self._scheduler.shutdown(wait=False)

"""One gateway per database: a session lock, asked for before the books are read and taken again after a restart.

Holds are kept in one process's memory and are voided by the next that starts; two at once would spend a balance twice.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.clock import Leadership
from marketplace.db import GATEWAY_LOCK, Database
from marketplace.errors import BondedError

log = structlog.get_logger("gateway")

_ASK_EVERY_S = 0.2
_CHECK_EVERY_S = 1.0


class AnotherGateway(BondedError):
    """Another gateway serves this database: stop it first, or give this one a database of its own."""


class SoleGateway:
    """The right of one gateway process to a database's customers. It ends with the connection that holds it.

    `patience_s`: how long another holder is waited for; a process that was killed holds for a moment longer.
    """

    def __init__(self, database: Database, patience_s: float = 5.0) -> None:
        self._database = database
        self._lock = Leadership(database, GATEWAY_LOCK)
        self._patience_s = patience_s
        self._connection: AsyncConnection | None = None

    async def take(self) -> None:
        """Take the lock; raises AnotherGateway. A database that is away is waited for without end."""
        deadline: float | None = None
        while (
            connection := await self._database.persist(self._lock.ask, "asking for the database's customers")
        ) is None:
            deadline = deadline or time.monotonic() + self._patience_s
            if time.monotonic() > deadline:
                raise AnotherGateway(AnotherGateway.__doc__)
            await asyncio.sleep(_ASK_EVERY_S)
        self._connection = connection

    async def keep(self) -> None:
        """Hold the lock until cancelled: take it again when its connection is lost; raises AnotherGateway."""
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            try:
                assert self._connection is not None
                await self._connection.execute(text("SELECT 1"))
            except DBAPIError:
                log.warning("the lock of the gateway is lost with its connection, taking it again")
                await self.release()
                await self.take()

    async def release(self) -> None:
        """Let go of the lock, if it is held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.invalidate()
            with suppress(Exception):
                await connection.close()

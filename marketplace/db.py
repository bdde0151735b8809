"""The database: PostgreSQL by URL, or an embedded one from a wheel; migrated at start, found again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from marketplace.embedded import Embedded, EmbeddedFailed
from marketplace.errors import BondedError

log = structlog.get_logger("database")
T = TypeVar("T")

MIGRATION_LOCK = 7_201
LEADER_LOCK = 7_202
GATHER_LOCK = 7_203
GATEWAY_LOCK = 7_204
ENTER_LOCK = 7_205
_MOST_WAIT_S = 5.0
_MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = max(path.name[:4] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
"""The version the tables should have: migrations are numbered, and a file's name begins with its revision."""


class DatabaseUnavailable(BondedError):
    """PostgreSQL cannot be reached: check BONDED_DATABASE_URL, or the log in the data folder's database."""


class Database:
    """One engine on one PostgreSQL; an embedded server is started again when it is away."""

    def __init__(self, url: str, embedded: Embedded | None = None) -> None:
        self.url = url
        self._embedded = embedded
        self.engine: AsyncEngine = create_async_engine(url, pool_size=5, max_overflow=10, pool_pre_ping=True)

    @classmethod
    async def open(cls, url: str, data_folder: Path) -> Database:
        """Connect and migrate; raises DatabaseUnavailable. Without a URL an embedded server is started or joined."""
        if url:
            database = cls(_with_driver(url))
        else:
            try:
                embedded = await asyncio.to_thread(Embedded.join, (data_folder / "postgres").resolve())
            except EmbeddedFailed as error:
                raise DatabaseUnavailable(str(error)) from error
            database = cls(_with_driver(embedded.url), embedded)
        try:
            await database.migrate()
        except (OperationalError, InterfaceError) as error:
            await database.close()
            raise DatabaseUnavailable(f"PostgreSQL cannot be used: {_first_line(error)}") from error
        return database

    async def migrate(self) -> None:
        """Bring the tables to the newest version; several processes may try at once."""
        async with self.engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            if await connection.run_sync(_version) != NEWEST:
                await connection.run_sync(_upgrade)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that commits at the end of the block."""
        async with self.engine.begin() as connection:
            yield connection

    async def persist(self, work: Callable[[], Awaitable[T]], what: str) -> T:
        """Do database work again and again until the server is there to do it; the work must be idempotent."""
        wait_s = 0.1
        while True:
            try:
                return await work()
            except (OperationalError, InterfaceError, DBAPIError) as error:
                if not (isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated):
                    raise
                log.warning("database away, trying again", what=what, error=_first_line(error), wait_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _MOST_WAIT_S)
                await self.revive()

    async def revive(self) -> None:
        """Start the embedded server if it is away; another server is only waited for."""
        if self._embedded is None:
            return
        try:
            await asyncio.to_thread(self._embedded.start)
        except EmbeddedFailed as error:
            log.warning("embedded database does not start", error=str(error))

    async def close(self) -> None:
        """Give the connections back; an embedded server ends with its last user."""
        await self.engine.dispose()
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            await asyncio.to_thread(embedded.leave)


def _version(connection: Connection) -> str:
    """Return the version of the tables, "" if there are none."""
    if not connection.execute(text("SELECT to_regclass('alembic_version')")).scalar():
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def _upgrade(connection: Connection) -> None:
    """Run the migrations. Imported here: a process that finds its tables as they should be does not need Alembic."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _with_driver(url: str) -> str:
    """Name psycopg as the driver, whichever way the URL was written."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise DatabaseUnavailable(f"{scheme or url!r} is no PostgreSQL URL: write postgresql://user@host/database")
    return f"postgresql+psycopg://{rest}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""A real PostgreSQL for the tests of this folder: one embedded server per session, one database without rows per test.

The tables are made once, by the migrations, and copied for every test. The server does not wait for the disk: no test
takes the machine's power away, and those that kill a server start their own.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from marketplace.db import Database

_numbers = itertools.count(1)
_TABLES = "tables"
_HURRIED = ("fsync", "synchronous_commit", "full_page_writes")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Return the URL of a server that lives as long as the session.

    Its folder is not one of pytest's: those are closed to the user that PostgreSQL runs as when we are root.
    """
    folder = Path(tempfile.mkdtemp(prefix="bonded-test-"))
    database = asyncio.run(Database.open("", folder))
    url = database.url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        for name in _HURRIED:
            connection.execute(f"ALTER SYSTEM SET {name} = off")  # type: ignore[call-overload]
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE DATABASE {_TABLES}")  # type: ignore[call-overload]
    asyncio.run(_migrate(_at(url, _TABLES), folder))
    yield url
    asyncio.run(database.close())
    shutil.rmtree(folder)


async def _migrate(url: str, folder: Path) -> None:
    database = await Database.open(url, folder)
    await database.close()


@pytest.fixture
def empty_url(server: str) -> str:
    """Return the URL of a database that has the tables and no rows."""
    return _new_database(server)


@pytest.fixture
def another_url(server: str) -> str:
    """Return the URL of a second such database."""
    return _new_database(server)


def _new_database(server: str) -> str:
    """Copy the tables and return the URL of the copy."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TABLES}")  # type: ignore[call-overload]
    return _at(server, name)


def _at(server: str, name: str) -> str:
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def database(empty_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """Return a database of this test alone."""
    database = await Database.open(empty_url, tmp_path)
    yield database
    await database.close()

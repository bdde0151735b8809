"""A real PostgreSQL for the tests of this folder: one embedded server per session, one empty database per test."""

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


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Return the URL of a server that lives as long as the session.

    Its folder is not one of pytest's: those are closed to the user that PostgreSQL runs as when we are root.
    """
    folder = Path(tempfile.mkdtemp(prefix="bonded-test-"))
    database = asyncio.run(Database.open("", folder))
    url = database.url.replace("postgresql+psycopg", "postgresql")
    yield url
    asyncio.run(database.close())
    shutil.rmtree(folder)


@pytest.fixture
def empty_url(server: str) -> str:
    """Return the URL of an empty database."""
    return _new_database(server)


@pytest.fixture
def another_url(server: str) -> str:
    """Return the URL of a second empty database."""
    return _new_database(server)


def _new_database(server: str) -> str:
    """Make an empty database and return its URL."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def database(empty_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """Return a migrated database of this test alone."""
    database = await Database.open(empty_url, tmp_path)
    yield database
    await database.close()

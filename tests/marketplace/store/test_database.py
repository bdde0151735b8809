"""The embedded database: started by the first, joined by others, found again after it died; settings and evidence."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from marketplace.accounts import Hold
from marketplace.db import Database, DatabaseUnavailable
from marketplace.ledger import customer_books
from marketplace.models import metadata
from tests.marketplace.store.town import UNIT, Till, fund, new_customer

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="bonded-test-"))
    yield made
    shutil.rmtree(made)


async def test_refuses_an_address_that_is_no_postgresql_or_answers_nobody(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="write postgresql://"):
        await Database.open("mysql://somewhere/db", tmp_path)
    with pytest.raises(DatabaseUnavailable, match="cannot be used"):
        await Database.open("postgresql://nobody@127.0.0.1:1/none", tmp_path)


async def test_migrations_make_exactly_the_tables_of_the_models(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []


def _start_user(folder: Path) -> subprocess.Popen[str]:
    """Start a process that opens the database, prints where it is, and closes it when told to."""
    program = (
        "import asyncio, sys; from pathlib import Path; from marketplace.db import Database\n"
        "async def main():\n"
        "    database = await Database.open('', Path(sys.argv[1])); print(database.url, flush=True)\n"
        "    sys.stdin.readline(); await database.close()\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_several_processes_start_join_and_migrate_one_server_at_once(folder: Path) -> None:
    processes = [_start_user(folder) for _ in range(3)]
    urls = [await asyncio.to_thread(process.stdout.readline) for process in processes]  # type: ignore[union-attr]
    assert len(set(urls)) == 1 and urls[0].startswith("postgresql+psycopg://")
    processes[0].send_signal(signal.SIGKILL)  # whoever dies without a word takes nobody's server with it
    processes[0].wait()
    processes[1].communicate("\n", timeout=60)
    database = await Database.open("", folder)
    async with database.begin() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM ledger_transfers"))).scalar() == 0
    processes[2].communicate("\n", timeout=60)
    assert processes[1].returncode == processes[2].returncode == 0
    async with database.begin() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar() == 1
    await database.close()
    assert not (folder / "postgres" / "postmaster.pid").exists(), "the last to leave stops the server"


async def test_a_server_that_is_killed_under_the_gateway_costs_nobody_anything(folder: Path) -> None:
    database = await Database.open("", folder)
    customer = new_customer()
    await fund(database, customer, 10)
    till = await Till(database, folder / "journal").open()
    draining = asyncio.create_task(till.drainer.run(0.05))
    spent, kills = 0, 0
    for number in range(60):
        hold: Hold = till.accounts.hold(customer, number.to_bytes(32), 1_000, 0.0)
        till.accounts.post(hold, till.attempt(customer, hold.job, 10 + number))
        spent += 10 + number
        if number in (20, 40):
            os.kill(int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
            kills += 1
        await asyncio.sleep(0.02)
    assert not draining.done(), "the drainer waits for the server and starts it again"
    for _ in range(600):
        if not any(path.stat().st_size for path in (folder / "journal").glob("journal-*.tsv")):
            break
        await asyncio.sleep(0.1)
    draining.cancel()
    async with database.begin() as connection:
        books = (await customer_books(connection))[customer]
    assert kills == 2
    assert (books.held, books.accrued, books.available) == (0, spent, 10 * UNIT - spent)
    till.journal.close()
    await database.close()

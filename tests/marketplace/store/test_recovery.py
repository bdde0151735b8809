"""A lost database comes back from chain and evidence: the same books, the same attempts, the same states."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from contracts.devnet import Devnet
from contracts.event_types import ReportActivated, SlashExecuted, SlashProposed
from contracts.events import fetch
from marketplace import cli
from marketplace.books import check_books
from marketplace.db import Database
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.indexer import Indexer
from marketplace.ledger import CustomerBooks, customer_books
from marketplace.models import attempts
from marketplace.recovery import NotEmpty, recover
from marketplace.settled import SettledEpochs
from rewards.blobs import FolderStore
from tests.marketplace.store.market import UNIT, Market, market

pytestmark = [pytest.mark.chain, pytest.mark.postgres]


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path) as made:
        yield made


async def _settle(town: Market, epoch: int, least: Step) -> None:
    for _ in range(40):
        async with town.settler() as settler:
            await settler.tick()
        row = await EpochSteps(town.database).get(epoch)
        if row is not None and row.reached(least):
            return
        await town.pass_time(2)
    raise AssertionError(f"epoch {epoch} does not go on: {await EpochSteps(town.database).all()}")


async def _books(database: Database) -> dict[str, CustomerBooks]:
    async with database.begin() as connection:
        return await customer_books(connection)


async def _lines(database: Database) -> list[str]:
    async with database.begin() as connection:
        found = await connection.execute(select(attempts.c.line).order_by(attempts.c.job, attempts.c.attempt))
        return [line for (line,) in found]


async def _recovered(
    town: Market, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> dict[str, int]:
    """Run `bonded operator recover` and return what it says."""
    town.chain.deployment.write(folder / "deployment.json")
    monkeypatch.setenv("BONDED_DATABASE_URL", url)
    monkeypatch.setenv("BONDED_DATA_FOLDER", str(folder / "recovered"))
    where = ("--rpc", town.devnet.url, "--deployment", str(folder / "deployment.json"), "--finality", "0")
    arguments = ["operator", "recover", "--evidence", str(town.store.path), *where, "--json"]
    capsys.readouterr()
    code = await asyncio.to_thread(cli.run, arguments)
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
    told: dict[str, int] = json.loads(said.out)
    return told


async def test_books_attempts_and_states_are_those_of_the_database_that_was_lost(
    town: Market, another_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    indexer = Indexer(town.database, town.chain, UNIT)
    await town.live_through(0)
    await _settle(town, 0, Step.DONE)
    await town.live_through(1)
    await _settle(town, 1, Step.SUBMITTED)
    await indexer.follow()
    lost_books, lost_lines = await _books(town.database), await _lines(town.database)
    assert any(one.accrued for one in lost_books.values()) and any(one.charged for one in lost_books.values())

    lost, old_store = town.database, SettledEpochs(town.store)
    town.database = await Database.open(another_url, tmp_path)
    try:
        kept = FolderStore(tmp_path / "recovered" / "evidence")
        told = await _recovered(town, another_url, tmp_path, monkeypatch, capsys)
        assert (told["epochs"], told["attempts"]) == (2, len(lost_lines))
        assert await _books(town.database) == lost_books
        assert await _lines(town.database) == lost_lines
        assert all(line.equal for line in await check_books(town.database, town.chain))
        new_store = SettledEpochs(kept)
        for row in await EpochSteps(town.database).all():
            evidence = bytes.fromhex(row.data["evidence"])
            assert await new_store.read(evidence) == await old_store.read(evidence)
        with pytest.raises(NotEmpty):
            await recover(town.chain, town.database, town.store, kept, UNIT, _silent)

        # and settlement goes on with it: nothing is done twice
        for epoch in (0, 1):
            await _settle(town, epoch, Step.DONE)
        events = await fetch(town.chain, 0, (await town.chain.checkpoint()).number)
        for kind in (ReportActivated, SlashProposed, SlashExecuted):
            assert [isinstance(one, kind) for one in events].count(True) == 2, kind
        await Indexer(town.database, town.chain, UNIT).follow()
        await indexer.follow()
        assert await _books(town.database) == await _books(lost)
    finally:
        await town.database.close()
        town.database = lost


def _silent(_step: str, _done: int, _all: int) -> None:
    return None

"""A gateway that is killed while it serves a batch loses no line, answers none twice and charges none twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import func, select

from contracts.messages import Status
from marketplace.batches.store import State
from marketplace.db import Database
from marketplace.models import attempts, batch_lines, holds
from tests.marketplace.batches.shop import Buyer, Shop, chat, offer_digest

ROOT = Path(__file__).resolve().parents[3]
LINES = 80


@pytest.fixture
def lives() -> Iterator[list[Process]]:
    """Return the processes a test starts; those that it left alive are killed."""
    started: list[Process] = []
    yield started
    for process in started:
        if process.returncode is None:
            process.kill()


class Turnstile(asyncio.Event):
    """A gate through which as many answers go as were let through."""

    def __init__(self) -> None:
        super().__init__()
        self._places = asyncio.Semaphore(0)

    async def wait(self) -> Literal[True]:
        await self._places.acquire()
        return True

    def let(self, count: int) -> None:
        for _ in range(count):
            self._places.release()


async def begin(lives: list[Process], url: str, folder: Path, shop: Shop) -> Process:
    """Start another life; returns when it serves."""
    [provider] = shop.providers
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.marketplace.batches.life", url, str(folder), provider.owner, provider.endpoint,
        offer_digest(provider).hex(), cwd=ROOT, stdout=PIPE, stderr=DEVNULL,
    )  # fmt: skip
    lives.append(process)
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip().isdigit(), "it ended before it served"
    return process


async def count(database: Database, state: State) -> int:
    async with database.begin() as connection:
        found = await connection.execute(select(func.count()).where(batch_lines.c.state == state))
        return int(found.scalar_one())


async def test_a_killed_gateway_loses_no_line_and_charges_none_twice(
    database: Database, empty_url: str, shop: Shop, buyer: Buyer, lives: list[Process], tmp_path: Path
) -> None:
    provider = await shop.add(slots=16)
    provider.gate = gate = Turnstile()
    batch = await buyer.submit([chat(number) for number in range(LINES)])
    done = 0
    for life in range(2):
        process = await begin(lives, empty_url, tmp_path / "lives", shop)
        gate.let(20 + 7 * life)
        async with asyncio.timeout(60):
            while (now := await count(database, State.DONE)) < done + 15 + 7 * life or not await count(
                database, State.RUNNING
            ):
                await asyncio.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        assert now < LINES, "it ended before it was killed"
        done = await count(database, State.DONE)
    process = await begin(lives, empty_url, tmp_path / "lives", shop)
    gate.let(10 * LINES)
    found = await buyer.ended(batch.id)
    async with asyncio.timeout(30):  # what the last life journaled reaches the books
        while await open_holds(database):
            await asyncio.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert (found.status, found.request_counts.completed) == ("completed", LINES)
    rows = await buyer.lines(found.output_file_id)
    assert sorted(rows) == sorted(f"line-{number}" for number in range(LINES))
    async with database.begin() as connection:
        served = (
            await connection.execute(
                select(func.count()).where(attempts.c.status == int(Status.SERVED), attempts.c.charge > 0)
            )
        ).scalar_one()
    assert served == LINES
    assert len(provider.tickets) >= LINES
    await shop.accounts.load()
    assert found.usage.output_tokens == 3 * LINES


async def open_holds(database: Database) -> int:
    async with database.begin() as connection:
        found = await connection.execute(select(func.count()).where(holds.c.resolution.is_(None)))
        return int(found.scalar_one())

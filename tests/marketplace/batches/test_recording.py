"""Lines that end together are written together, and one that cannot be written harms no other."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from marketplace.batches import recording
from marketplace.batches.books import KeptBooks
from marketplace.batches.queue import Ended, LineQueue, Task
from marketplace.batches.recording import Recorder
from marketplace.batches.store import State
from marketplace.db import Database
from marketplace.journal import Kind, Line
from marketplace.ledger import LedgerRefused, customer_books, trial_balance
from tests.marketplace.batches.test_queue import enter, states
from tests.marketplace.store.town import UNIT, Till, fund, new_customer

CHARGE = 7


class Lines:
    """Lines of one batch that run, each answered and charged."""

    def __init__(self, database: Database, till: Till, customer: str) -> None:
        self.till, self.customer = till, customer
        self.queue = LineQueue(database, "w")
        self.recorder = Recorder(database, self.queue, till.drainer)

    async def take(self, database: Database, count: int) -> list[Task]:
        await enter(database, "batch_a", count, self.customer)
        [batch] = await self.queue.open_batches(0)
        return await self.queue.take(batch, count, 0)

    async def end(self, task: Task, most: int = 10) -> bool:
        job = secrets.token_bytes(32)
        books = KeptBooks(self.till.accounts)
        books.post(books.hold(self.customer, job, most, 0), self.till.attempt(self.customer, job, CHARGE))
        stored = await self.recorder.end(task, Ended(State.DONE, job, b"{}\n"), books)
        books.close(stored)
        return stored


@pytest.fixture
async def lines(database: Database, tmp_path: Path):
    customer = new_customer()
    await fund(database, customer, 1)
    till = await Till(database, tmp_path / "journal").open()
    yield Lines(database, till, customer)
    await till.drainer.drain()
    till.journal.close()


async def charged(database: Database, customer: str) -> int:
    """Return what is accrued; the whole ledger must balance."""
    async with database.begin() as connection:
        books, balance = (await customer_books(connection))[customer], await trial_balance(connection)
    assert balance.wrong_accounts == () and books.held == 0
    assert books.available + books.accrued == UNIT
    return books.accrued


async def test_what_ends_together_takes_a_few_transactions_and_each_is_charged_once(
    database: Database, lines: Lines
) -> None:
    tasks, commits = await lines.take(database, 100), []
    event.listen(database.engine.sync_engine, "commit", commits.append)
    assert await asyncio.gather(*(lines.end(task) for task in tasks)) == [True] * 100
    assert len(commits) <= 2, "the first alone, or all at once"
    assert set((await states(database)).values()) == {State.DONE}
    await lines.till.drainer.drain()
    assert await charged(database, lines.customer) == 100 * CHARGE


async def test_a_line_that_cannot_be_entered_is_told_so_and_the_others_are_stored(
    database: Database, lines: Lines
) -> None:
    tasks = await lines.take(database, 5)

    class Wrong(KeptBooks):
        def lines(self) -> list[Line]:
            return [Line(Kind.POST, b"\x07" * 32, lines.customer, 1)]

    ends: list[Any] = [lines.end(task) for task in tasks[:2]]
    ends.append(lines.recorder.end(tasks[2], Ended(State.DONE, b"\x07" * 32, b"{}\n"), Wrong(lines.till.accounts)))
    ends += [lines.end(task) for task in tasks[3:]]
    found = await asyncio.gather(*ends, return_exceptions=True)
    assert [one is True for one in found] == [True, True, False, True, True]
    assert isinstance(found[2], LedgerRefused)
    assert (await states(database))[tasks[2].line] == State.RUNNING
    await lines.till.drainer.drain()
    assert await charged(database, lines.customer) == 4 * CHARGE


async def test_a_line_that_somebody_else_has_now_is_neither_stored_nor_charged(
    database: Database, lines: Lines
) -> None:
    tasks = await lines.take(database, 3)
    other = LineQueue(database, "other")
    assert await other.recover() == 3
    [batch] = await other.open_batches(0)
    [taken] = await other.take(batch, 1, 0)
    assert await other.end(taken, Ended(State.DONE, b"\x01" * 32, b"{}\n"))
    assert await asyncio.gather(*(lines.end(task) for task in tasks)) == [False] * 3
    await lines.till.drainer.drain()
    assert await charged(database, lines.customer) == 0


async def test_large_answers_are_written_in_several_groups(
    database: Database, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, commits = await lines.take(database, 9), []
    monkeypatch.setattr(recording, "GROUP_BYTES_MOST", 9)
    event.listen(database.engine.sync_engine, "commit", commits.append)
    assert await asyncio.gather(*(lines.end(task) for task in tasks)) == [True] * 9
    assert len(commits) == 3, "three answers of three bytes fit into nine"


async def test_what_is_given_up_is_not_written(database: Database, lines: Lines) -> None:
    [task] = await lines.take(database, 1)
    ending = asyncio.create_task(lines.end(task))
    await asyncio.sleep(0)
    await lines.recorder.stop()
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert await states(database) == {task.line: State.RUNNING}

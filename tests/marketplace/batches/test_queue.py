"""The queue in PostgreSQL: nobody takes a line twice, and only who holds one can end it."""

from __future__ import annotations

import asyncio
import random

from sqlalchemy import insert, select, text

from marketplace.batches.queue import Ended, LineQueue, OpenBatch, Task
from marketplace.batches.store import State, Status
from marketplace.db import Database
from marketplace.models import batch_lines, batches

JOB = b"\x01" * 32


async def enter(database: Database, name: str, lines: int, customer: str = "alice", expires_at: int = 1_000) -> None:
    """Enter a batch in progress."""
    async with database.begin() as connection:
        await connection.execute(
            insert(batches).values(
                id=name,
                customer=customer,
                endpoint="/v1/completions",
                input_file="file-1",
                status=Status.IN_PROGRESS,
                model="m",
                created_at=0,
                expires_at=expires_at,
                total=lines,
            )
        )
        for line in range(1, lines + 1):
            await connection.execute(
                insert(batch_lines).values(batch=name, line=line, custom_id=str(line), body=b"{}", state=State.WAITING)
            )


async def states(database: Database) -> dict[int, str]:
    async with database.begin() as connection:
        found = await connection.execute(select(batch_lines.c.line, batch_lines.c.state))
        return dict(found.all())


def done(job: bytes = JOB) -> Ended:
    return Ended(State.DONE, job, b"{}\n")


async def test_workers_that_take_at_once_never_take_one_line(database: Database) -> None:
    await enter(database, "batch_a", 300)
    rng = random.Random(3)

    async def worker(name: str) -> list[int]:
        queue, got = LineQueue(database, name), list[int]()
        [batch] = await queue.open_batches(0)
        while tasks := await queue.take(batch, rng.randrange(1, 9), 0):
            got += [task.line for task in tasks]
            await asyncio.gather(*(queue.end(task, done()) for task in tasks))
        return got

    taken = await asyncio.gather(*(worker(f"w{number}") for number in range(4)))
    assert sorted(line for got in taken for line in got) == list(range(1, 301))
    assert set((await states(database)).values()) == {State.DONE}


async def test_lines_come_in_their_order_and_not_before_their_time(database: Database) -> None:
    await enter(database, "batch_a", 4)
    queue = LineQueue(database, "w")
    [batch] = await queue.open_batches(0)
    first, second = await queue.take(batch, 2, 0)
    assert (first.line, second.line) == (1, 2)
    await queue.give_back(first, "busy", 50, 1)
    assert [task.line for task in await queue.take(batch, 9, 49)] == [3, 4]
    [again] = await queue.take(batch, 9, 50)
    assert (again.line, again.tries) == (1, 1)


async def test_the_earliest_deadline_comes_first_and_expired_or_paused_batches_do_not_come(database: Database) -> None:
    for name, expires_at in (("batch_late", 900), ("batch_soon", 500), ("batch_over", 100)):
        await enter(database, name, 1, expires_at=expires_at)
    queue = LineQueue(database, "w")
    assert [batch.id for batch in await queue.open_batches(100)] == ["batch_soon", "batch_late"]
    soon, _ = await queue.open_batches(100)
    [task] = await queue.take(soon, 1, 100)
    await queue.pause(task, "insufficient_quota: no money", 200)
    assert [batch.id for batch in await queue.open_batches(199)] == ["batch_late"]
    soon, late = await queue.open_batches(200)
    assert (soon.probing, late.probing) == (True, False)


async def test_a_line_that_was_put_back_cannot_be_ended_by_who_had_it(database: Database) -> None:
    await enter(database, "batch_a", 1)
    old, new = LineQueue(database, "old"), LineQueue(database, "new")
    [batch] = await old.open_batches(0)
    [lost] = await old.take(batch, 1, 0)
    assert await new.recover() == 1
    [task] = await new.take(batch, 1, 0)
    written: list[str] = []

    async def also(connection) -> None:
        written.append("charge")

    assert not await old.end(lost, done(b"\x02" * 32), also) and written == []
    assert await new.end(task, done(), also) and written == ["charge"]
    assert not await old.end(lost, done(b"\x02" * 32), also) and written == ["charge"]


async def test_an_end_that_is_told_twice_is_written_once(database: Database) -> None:
    await enter(database, "batch_a", 1)
    queue = LineQueue(database, "w")
    [batch] = await queue.open_batches(0)
    [task] = await queue.take(batch, 1, 0)
    written: list[str] = []

    async def also(connection) -> None:
        written.append("charge")

    assert await queue.end(task, done(), also) and await queue.end(task, done(), also)
    assert written == ["charge"]


async def test_what_fails_beside_an_end_leaves_the_line_as_it_was(database: Database) -> None:
    await enter(database, "batch_a", 1)
    queue = LineQueue(database, "w")
    [batch] = await queue.open_batches(0)
    [task] = await queue.take(batch, 1, 0)

    async def fails(connection) -> None:
        await connection.execute(text("SELECT 1 / 0"))

    try:
        await queue.end(task, done(), fails)
    except Exception as error:
        assert "division by zero" in str(error)
    assert await states(database) == {1: State.RUNNING}
    assert await queue.end(task, done())


async def test_a_worker_does_not_put_back_its_own_lines(database: Database) -> None:
    await enter(database, "batch_a", 2)
    queue = LineQueue(database, "w")
    [batch] = await queue.open_batches(0)
    await queue.take(batch, 1, 0)
    assert await queue.recover() == 0


def test_a_lines_name_follows_from_batch_and_number() -> None:
    batch = OpenBatch("batch_ab12", "alice", "/v1/completions", "m", 0, False)
    assert Task(batch, 7, "x", b"{}", 0).id == "batch_req_ab12_7"

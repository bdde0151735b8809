"""The clock: one leader among real processes, whoever is killed; ticks that fail, hang or lose the lead."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from marketplace.clock import Clock, Leadership, LeadershipLost
from marketplace.db import Database
from tests.marketplace.settled import Settled

pytestmark = [pytest.mark.chain, pytest.mark.postgres]

_keys = itertools.count(90_000)
_LEADER = """
import asyncio, os, sys
from marketplace.clock import Clock, Leadership, LeadershipLost
from marketplace.db import Database

url, key, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def say(word):
    with open(path, "a") as out:
        out.write(f"{os.getpid()} {word}\\n")

async def main():
    database = Database(url)
    while True:
        try:
            async with Leadership(database, key).held(lambda: say("stands-by")) as check:
                say("leads")
                clock = Clock()
                clock.every(0.05, "check", check)
                await clock.run()
        except LeadershipLost:
            say("lost")

asyncio.run(main())
"""


class Process:
    """A process that wants to lead and writes down what becomes of it."""

    def __init__(self, url: str, key: int, path: Path) -> None:
        self._path = path
        self.process = subprocess.Popen([sys.executable, "-c", _LEADER, url, str(key), str(path)])

    def said(self) -> list[str]:
        """Return this process's words."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [line.split()[1] for line in lines if line.startswith(f"{self.process.pid} ")]

    def waits_until(self, *words: str) -> None:
        """Wait until the process has said exactly this; the test's time limit is the limit."""
        while self.said() != list(words):
            assert self.process.poll() is None, f"it ended after {self.said()}"
            time.sleep(0.02)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the process at once."""
        os.kill(self.process.pid, number)
        self.process.wait()


@pytest.fixture
def key() -> int:
    return next(_keys)


@pytest.fixture
def start(settled: Settled, key: int, tmp_path: Path) -> Iterator:
    begun: list[Process] = []

    def begin() -> Process:
        begun.append(Process(settled.database.url, key, tmp_path / "said"))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
async def database(settled: Settled):
    database = Database(settled.database.url)
    yield database
    await database.close()


async def _end_backends(database: Database, key: int) -> int:
    """Cut every connection that holds the lock, as a restart of the server would; returns how many."""
    async with database.begin() as connection:
        found = await connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :key"),
            {"key": key},
        )
        return len(found.all())


def test_the_second_stands_by_and_takes_over_when_the_first_is_killed(start):
    first = start()
    first.waits_until("leads")
    second = start()
    second.waits_until("stands-by")
    third = start()
    third.waits_until("stands-by")
    first.kill()
    while ["leads"] not in (second.said()[1:], third.said()[1:]):
        time.sleep(0.02)
    led = [one for one in (second, third) if "leads" in one.said()]
    assert len(led) == 1, "one of them, not both"
    [other] = [one for one in (second, third) if one is not led[0]]
    led[0].kill(signal.SIGTERM)
    other.waits_until("stands-by", "leads")


async def test_a_leader_whose_connection_is_cut_notices_and_asks_again(start, database: Database, key: int):
    only = start()
    await asyncio.to_thread(only.waits_until, "leads")
    assert await _end_backends(database, key) == 1
    await asyncio.to_thread(only.waits_until, "leads", "lost", "leads")


async def test_the_lock_is_let_go_at_the_end_of_the_block(database: Database, key: int):
    for _ in range(3):
        async with Leadership(database, key).held() as check:
            await check()
    stood_by: list[bool] = []
    async with Leadership(database, key).held():
        waiting = asyncio.create_task(_lead_for_a_moment(database, key, stood_by))
        while not stood_by:
            await asyncio.sleep(0.01)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 20)


async def _lead_for_a_moment(database: Database, key: int, stood_by: list[bool]) -> None:
    async with Leadership(database, key).held(lambda: stood_by.append(True)):
        pass


async def test_a_check_after_the_connection_is_gone_says_that_the_lead_is_lost(database: Database, key: int):
    async with Leadership(database, key).held() as check:
        await check()
        await _end_backends(database, key)
        for _ in range(2):
            with pytest.raises(LeadershipLost):
                await check()


async def test_a_failing_tick_is_tried_again_at_the_next():
    clock, calls, done = Clock(), [], asyncio.Event()

    async def fails_twice() -> None:
        calls.append(len(calls))
        if len(calls) < 3:
            raise OSError("the disk is full")
        done.set()

    clock.every(0.02, "job", fails_twice)
    running = asyncio.create_task(clock.run())
    await asyncio.wait_for(done.wait(), 20)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    count = len(calls)
    await asyncio.sleep(0.1)
    assert len(calls) == count, "nothing ticks after the end"


async def test_a_tick_that_takes_long_is_not_started_twice_and_holds_up_no_other():
    clock, running_now, most, others = Clock(), 0, 0, 0
    enough = asyncio.Event()

    async def slow() -> None:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.3)
        running_now -= 1

    async def quick() -> None:
        nonlocal others
        others += 1
        if others == 8:
            enough.set()

    clock.every(0.02, "slow", slow)
    clock.every(0.02, "quick", quick)
    running = asyncio.create_task(clock.run())
    await asyncio.wait_for(enough.wait(), 20)
    assert most == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_job_that_finds_the_lead_gone_ends_the_clock():
    clock = Clock()

    async def finds() -> None:
        raise LeadershipLost("the connection is gone")

    clock.every(0.02, "job", finds)
    with pytest.raises(LeadershipLost, match="the connection is gone"):
        await asyncio.wait_for(clock.run(), 20)

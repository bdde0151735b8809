"""Serve batch lines in the gateway's process, through the same path as any request: hold, decision, ticket, receipt.

    take     as many lines as the band of batches has places for now, shared evenly between the customers
    serve    each line as a job of its customer, class batch; its answer is collected, its charge kept back
    store    answer and charge in one transaction (`recording`); or the line goes back, pauses its batch, or is dead

Realtime work that finds no place evicts the newest line: its connection is closed, nothing of it was delivered, so
nothing is owed, and it is served again later. A line that was evicted `EVICTIONS_MOST` times, or is due within a
quarter of an hour, keeps its place.

A line's answer is stored once and charged once. What can happen twice is the work: when the gateway dies after a
provider answered and before the transaction, the line is served again, and only the second answer is charged.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import structlog

from marketplace.accounts import Account, Accounts, BalanceTooLow, CapReached
from marketplace.batches.answers import answer_line, failure_line
from marketplace.batches.books import KeptBooks
from marketplace.batches.metrics import BatchMetrics
from marketplace.batches.queue import Ended, LineQueue, OpenBatch, Task
from marketplace.batches.recording import Recorder
from marketplace.batches.store import State
from marketplace.batches.verdicts import Kind, judge
from marketplace.db import Database
from marketplace.drain import Drainer
from marketplace.gateway.desk import Desk, Run
from marketplace.gateway.errors import ApiError, insufficient_quota, no_provider, too_busy
from marketplace.gateway.inquiry import read_inquiry
from marketplace.gateway.relay import serve
from marketplace.gateway.tickets import new_job
from marketplace.journal import JournalFull

log = structlog.get_logger("batches")

SERVICE_CLASS = "batch"
RUNNING_MOST = 256
EVICTIONS_MOST = 3
_NEARLY_DUE_S = 900
_EVICTED_S = 1
_IDLE_S = 0.5
_DISK_FULL_MS = 5_000


class Collected:
    """A sink that keeps an answer. `whole`: it came to its end."""

    def __init__(self) -> None:
        self.body = b""
        self.whole = False

    async def start(self, content_type: bytes, length: int | None = None) -> None:
        """Take the headers: there is nobody to send them to."""

    async def write(self, data: bytes) -> None:
        """Keep a piece."""
        self.body += data

    async def end(self, data: bytes) -> None:
        """Keep the last piece."""
        self.body += data
        self.whole = True

    def break_off(self) -> None:
        """Take no notice: an answer without an end is not whole."""


class Evicted(Exception):
    """A line gave its place to realtime work."""


class Workers:
    """The workers of one gateway. `open_` tells whether work is taken at all."""

    def __init__(
        self,
        database: Database,
        desk: Desk,
        drainer: Drainer,
        open_: Callable[[], bool] = lambda: True,
        running_most: int = RUNNING_MOST,
    ) -> None:
        self.queue = LineQueue(database, secrets.token_hex(8))
        self._recorder = Recorder(database, self.queue, drainer)
        self._database = database
        self._desk = desk
        self._open = open_
        self._running_most = running_most
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopped = False
        self._evictions: Counter[tuple[str, int]] = Counter()
        self._metrics = BatchMetrics(desk.metrics.registry)

    async def run(self) -> None:
        """Take and serve lines until cancelled; waits out a database that is away."""
        while True:
            self._wake.clear()
            if await self._database.persist(self.step, "taking lines of batches"):
                continue
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def wake(self) -> None:
        """Look for lines at once: there may be new ones."""
        self._wake.set()

    async def step(self) -> int:
        """Take what there are places for and begin to serve it; returns how many lines were taken."""
        room = self._running_most - len(self._tasks)
        if self._stopped or room <= 0 or not self._open():
            return 0
        now = int(self._desk.clock())
        by_model: dict[str, list[OpenBatch]] = {}
        for batch in await self.queue.open_batches(now):
            by_model.setdefault(batch.model, []).append(batch)
        count = 0
        for model, found in by_model.items():
            left = min(self._free_places(model), room - count)
            share = -(-left // len({batch.customer for batch in found})) if left > 0 else 0
            taken: dict[str, int] = {}
            for batch in found:
                most = min(left, share - taken.get(batch.customer, 0))
                if most <= 0 or self._stopped:
                    continue
                tasks = await self.queue.take(batch, 1 if batch.probing else most, now)
                for task in tasks:
                    self._begin(task)
                taken[batch.customer] = taken.get(batch.customer, 0) + len(tasks)
                left -= len(tasks)
                count += len(tasks)
        await asyncio.sleep(0)  # those that were begun take their places before they are counted again
        return count

    def _free_places(self, model: str) -> int:
        """Return how many lines of a model would be placed at once.

        Where nothing but batches is asked for, nobody else tells the market that time has passed.
        """
        matching = self._desk.matching
        if (now_ms := matching.now_ms()) >= matching.market.next_wake_ms:
            matching.market.tick(now_ms)
        return self._desk.flow.free_places(model, SERVICE_CLASS)

    async def stop(self, grace_s: float) -> None:
        """Take no more lines; let those that run end for at most `grace_s`, then give them up."""
        self._stopped = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._recorder.stop()

    def _begin(self, task: Task) -> None:
        running = asyncio.create_task(self._serve(task))
        self._tasks.add(running)
        running.add_done_callback(self._over)
        self._metrics.running.set(len(self._tasks))

    def _over(self, running: asyncio.Task[None]) -> None:
        self._tasks.discard(running)
        self._metrics.running.set(len(self._tasks))
        self._wake.set()
        if not running.cancelled() and (error := running.exception()) is not None:
            log.error("a batch line's end could not be stored; it is served again after a restart", error=str(error))

    async def _serve(self, task: Task) -> None:
        job, books, sink = new_job(), KeptBooks(self._desk.accounts), Collected()
        try:
            await self._ask(task, job, books, sink)
        except Evicted:
            await self._put_back(task)
            return
        except ApiError as error:
            await self._not_served(task, job, error)
            return
        self._evictions.pop((task.batch.id, task.line), None)
        posted = books.posted
        receipt = posted[1].receipt if posted is not None else None
        ended = Ended(
            State.DONE,
            job,
            answer_line(task.id, task.custom_id, job, 200, sink.body),
            "",
            receipt.input_tokens if receipt else 0,
            receipt.cached_tokens if receipt else 0,
            receipt.output_tokens if receipt else 0,
        )
        # where this does not return, nobody knows what the database has: then the hold stands until the next start
        stored = await self._recorder.end(task, ended, books)
        books.close(stored)
        self._metrics.ended("done" if stored else "lost")

    async def _ask(self, task: Task, job: bytes, books: KeptBooks, sink: Collected) -> None:
        """Serve a line; raises Evicted, or ApiError for whatever else kept it from being served."""
        customer = task.batch.customer
        try:
            inquiry = read_inquiry(task.batch.endpoint, task.body)
            inquiry.retrying = task.tries > 0
            desk = replace(self._desk, accounts=cast(Accounts, books))
            run = Run(customer, inquiry, job, sink)
            run.due = float(task.batch.expires_at)
            if self._may_be_evicted(task):
                run.evict = run.leave
            await serve(desk, run, Account(customer, 0, SERVICE_CLASS, SERVICE_CLASS))
            if run.left and not sink.whole:
                raise Evicted
            if not sink.whole:
                raise no_provider("The provider did not send a whole answer.")
        except (BalanceTooLow, CapReached) as error:
            raise insufficient_quota(str(error)) from None
        except JournalFull as error:
            raise too_busy(str(error), _DISK_FULL_MS) from None
        except (ApiError, Evicted):
            raise
        except Exception as error:  # a line that breaks the gateway must not be tried for ever
            log.exception("a batch line could not be served", batch=task.batch.id, line=task.line)
            raise ApiError(500, "internal_error", "The gateway failed to serve this request.") from error

    def _may_be_evicted(self, task: Task) -> bool:
        due_s = task.batch.expires_at - self._desk.clock()
        return due_s > _NEARLY_DUE_S and self._evictions[task.batch.id, task.line] < EVICTIONS_MOST

    async def _put_back(self, task: Task) -> None:
        self._evictions[task.batch.id, task.line] += 1
        reason, at = "evicted: realtime work needed its place", int(self._desk.clock()) + _EVICTED_S
        await self._database.persist(
            lambda: self.queue.give_back(task, reason, at, task.tries), "putting an evicted batch line back"
        )
        self._metrics.ended("evicted")

    async def _not_served(self, task: Task, job: bytes, error: ApiError) -> None:
        verdict = judge(error, task.tries)
        reason = f"{error.code}: {error.message}"
        at = int(self._desk.clock()) + verdict.after_s
        if verdict.kind is Kind.DEAD:
            line = failure_line(task.id, task.custom_id, job, error)
            await self._recorder.end(task, Ended(State.FAILED, job, line, reason), None)
        elif verdict.kind is Kind.PAUSE:
            await self._database.persist(lambda: self.queue.pause(task, reason, at), "pausing a batch")
        else:
            await self._database.persist(
                lambda: self.queue.give_back(task, reason, at, verdict.tries), "giving a batch line back"
            )
        self._metrics.ended(verdict.kind.value)

"""The queue of batch lines in PostgreSQL: taken with SKIP LOCKED, ended once, given back when it did not work.

A line that runs bears its worker's name, and only that worker can end it. Its answer, and the charge for it, become
visible in the transaction that ends it, together with others that end at that moment; a worker that dies before leaves
lines that run, which `recover` puts back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Update, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.batches.store import State, Status
from marketplace.bulk import arrays_of
from marketplace.db import Database
from marketplace.models import batch_lines, batches

_BATCHES_MOST = 1_000
_TAKE = text(
    """
    WITH taken AS MATERIALIZED (
      SELECT batch, line FROM batch_lines
      WHERE batch = :batch AND state = 'waiting' AND not_before <= :now
      ORDER BY line LIMIT :count FOR UPDATE SKIP LOCKED)
    UPDATE batch_lines AS l SET state = 'running', holder = :holder FROM taken
    WHERE l.batch = taken.batch AND l.line = taken.line
    RETURNING l.line, l.custom_id, l.body, l.tries
    """
)
_ENDS = (
    "batch", "line", "state", "job", "answer", "reason", "input_tokens", "cached_tokens", "output_tokens",
)  # fmt: skip
_END = text(
    f"""
    UPDATE batch_lines AS l SET state = t.state, holder = NULL, body = NULL, job = t.job, answer = t.answer,
      reason = t.reason, input_tokens = t.input_tokens, cached_tokens = t.cached_tokens, output_tokens = t.output_tokens
    FROM {arrays_of(batch_lines, _ENDS)} AS t ({", ".join(_ENDS)})
    WHERE l.batch = t.batch AND l.line = t.line AND l.state = 'running' AND l.holder = :holder
    RETURNING l.batch, l.line
    """  # noqa: S608 (names of our own columns)
)
Also = Callable[[AsyncConnection, Sequence[int]], Awaitable[None]]
"""What is written together with the ends of lines: it is given the positions of those that are written."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that may have lines to take. `probing`: it was paused, so one line is tried before others follow."""

    id: str
    customer: str
    endpoint: str
    model: str
    expires_at: int
    probing: bool


@dataclass(frozen=True, slots=True)
class Task:
    """A line that this worker runs. `tries`: how often it failed before."""

    batch: OpenBatch
    line: int
    custom_id: str
    body: bytes
    tries: int

    @property
    def id(self) -> str:
        """Return the line's name in output and error files."""
        return f"batch_req_{self.batch.id.removeprefix('batch_')}_{self.line}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a line ended: `answer` is its line in the output file, or in the error file if it failed."""

    state: State
    job: bytes
    answer: bytes
    reason: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class LineQueue:
    """The queue as one worker process sees it. `holder` names the process; no two that live may share it."""

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder

    async def recover(self) -> int:
        """Put back the lines of workers that died; returns how many. Only for the one process of a database."""
        async with self._database.begin() as connection:
            found = await connection.execute(
                update(batch_lines)
                .where(batch_lines.c.state == State.RUNNING, batch_lines.c.holder != self._holder)
                .values(state=State.WAITING, holder=None)
            )
            return found.rowcount

    async def open_batches(self, now: int) -> list[OpenBatch]:
        """Return the batches in progress that are not paused, earliest deadline first."""
        async with self._database.begin() as connection:
            found = await connection.execute(
                select(
                    batches.c.id,
                    batches.c.customer,
                    batches.c.endpoint,
                    batches.c.model,
                    batches.c.expires_at,
                    batches.c.paused_reason != "",
                )
                .where(
                    batches.c.status == Status.IN_PROGRESS, batches.c.expires_at > now, batches.c.paused_until <= now
                )
                .order_by(batches.c.expires_at, batches.c.number)
                .limit(_BATCHES_MOST)
            )
            return [OpenBatch(*row) for row in found]

    async def take(self, batch: OpenBatch, count: int, now: int) -> list[Task]:
        """Take up to `count` lines that nobody else has."""
        async with self._database.begin() as connection:
            found = await connection.execute(
                _TAKE, {"batch": batch.id, "now": now, "count": count, "holder": self._holder}
            )
            rows = sorted(found.all())
        return [Task(batch, row.line, row.custom_id, bytes(row.body), row.tries) for row in rows]

    async def give_back(self, task: Task, reason: str, not_before: int, tries: int) -> None:
        """Let a line wait until it may be tried again."""
        async with self._database.begin() as connection:
            await connection.execute(
                self._own(task).values(
                    state=State.WAITING, holder=None, reason=reason, not_before=not_before, tries=tries
                )
            )

    async def pause(self, task: Task, reason: str, until: int) -> None:
        """Give a line back and take none of its batch until then."""
        async with self._database.begin() as connection:
            await connection.execute(self._own(task).values(state=State.WAITING, holder=None, reason=reason))
            await connection.execute(
                update(batches)
                .where(batches.c.id == task.batch.id, batches.c.status == Status.IN_PROGRESS)
                .values(paused_reason=reason, paused_until=until)
            )

    async def end(
        self, task: Task, ended: Ended, also: Callable[[AsyncConnection], Awaitable[None]] | None = None
    ) -> bool:
        """End one line, as `end_all` does."""

        async def alone(connection: AsyncConnection, _: Sequence[int]) -> None:
            if also is not None:
                await also(connection)

        [stored] = await self.end_all([(task, ended)], alone)
        return stored

    async def end_all(self, ends: Sequence[tuple[Task, Ended]], also: Also | None = None) -> list[bool]:
        """End lines in one transaction, together with what `also` writes for those that are ours still.

        Returns for each whether it is ended so; one that is not ours any more has nothing written. May be called again
        when it is not known whether the first call reached the database.
        """
        columns: dict[str, list[object]] = {
            name: [getattr(ended, name) for _, ended in ends] for name in _ENDS if name not in ("batch", "line")
        }
        columns["batch"] = [task.batch.id for task, _ in ends]
        columns["line"] = [task.line for task, _ in ends]
        async with self._database.begin() as connection:
            found = await connection.execute(_END, {**columns, "holder": self._holder})
            ours = {(batch, line) for batch, line in found}
            at = [at for at, (task, _) in enumerate(ends) if (task.batch.id, task.line) in ours]
            if len(at) < len(ends):
                ours |= await self._ended_before(connection, ends)
            woken = {ends[one][0].batch for one in at if ends[one][1].state is State.DONE}
            if probing := [batch.id for batch in woken if batch.probing]:
                await connection.execute(
                    update(batches).where(batches.c.id.in_(probing)).values(paused_reason="", paused_until=0)
                )
            if also is not None and at:
                await also(connection, at)
        return [(task.batch.id, task.line) in ours for task, _ in ends]

    async def _ended_before(
        self, connection: AsyncConnection, ends: Sequence[tuple[Task, Ended]]
    ) -> set[tuple[str, int]]:
        """Return those of the lines that were ended by these very jobs."""
        lines = batch_lines.c
        found = await connection.execute(
            select(lines.batch, lines.line).where(
                tuple_(lines.batch, lines.line, lines.job).in_(
                    [(task.batch.id, task.line, ended.job) for task, ended in ends]
                )
            )
        )
        return {(batch, line) for batch, line in found}

    def _own(self, task: Task) -> Update:
        return update(batch_lines).where(
            batch_lines.c.batch == task.batch.id,
            batch_lines.c.line == task.line,
            batch_lines.c.state == State.RUNNING,
            batch_lines.c.holder == self._holder,
        )

"""End batches: what is left over when the deadline comes or the customer cancels, and the files when all is done.

The files are put together inside the database, so that fifty thousand answers never pass through the gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, exists, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.batches.files import BATCH_OUTPUT, CHUNK_BYTES, KEPT_S, new_file_id
from marketplace.batches.store import OPEN, State, Status, tally
from marketplace.db import Database
from marketplace.models import batch_lines, batches, files

_LEFT = {
    State.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    State.CANCELLED: ("batch_cancelled", "This request was not executed because the batch was cancelled."),
}
_LEAVE = text(
    """
    UPDATE batch_lines SET state = :state, body = NULL, answer = convert_to(json_build_object(
        'id', 'batch_req_' || substr(batch, 7) || '_' || line, 'custom_id', custom_id, 'response', NULL,
        'error', json_build_object('code', CAST(:code AS text), 'message', CAST(:message AS text)
          || CASE reason WHEN '' THEN '' ELSE ' The last try ended with: ' || reason END))::text || E'\\n', 'UTF8')
    WHERE batch = :batch AND state = 'waiting'
    """
)
_WRITE = text(
    """
    INSERT INTO file_chunks (file, seq, data)
    SELECT :file, row_number() OVER (ORDER BY piece) - 1, data FROM (
      SELECT piece, string_agg(answer, ''::bytea ORDER BY line) AS data FROM (
        SELECT line, answer, (sum(octet_length(answer)) OVER (ORDER BY line) - 1) / CAST(:chunk AS bigint) AS piece
        FROM batch_lines WHERE batch = :batch AND state = ANY(:states)) AS sized
      GROUP BY piece) AS pieces
    """
)


class Ender:
    """End batches. `clock` is unix time."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def step(self) -> int:
        """Bring every open batch as far to its end as it can get; returns how many ended."""
        now = int(self._clock())
        ended = 0
        for row in await self._open():
            expired = row.status != Status.CANCELLING and row.expires_at <= now
            if expired or row.status == Status.CANCELLING:
                if row.waiting:
                    await self._leave(row.id, State.EXPIRED if expired else State.CANCELLED)
            elif row.waiting or row.status == Status.VALIDATING:
                continue
            if row.running:
                continue
            if row.status == Status.IN_PROGRESS:
                await self._finalizing(row.id, now)
            ended += await self._end(row.id, now)
        return ended

    async def _open(self) -> list[Any]:
        lines, one = batch_lines.c, batches.c

        def any_that(state: State) -> Any:
            return exists(select(lines.line).where(lines.batch == one.id, lines.state == state))

        async with self._database.begin() as connection:
            found = await connection.execute(
                select(
                    one.id,
                    one.status,
                    one.expires_at,
                    any_that(State.WAITING).label("waiting"),
                    any_that(State.RUNNING).label("running"),
                ).where(one.status.in_(OPEN))
            )
            return list(found.all())

    async def _leave(self, batch: str, state: State) -> None:
        code, message = _LEFT[state]
        async with self._database.begin() as connection:
            await connection.execute(_LEAVE, {"batch": batch, "state": state, "code": code, "message": message})

    async def _finalizing(self, batch: str, now: int) -> None:
        async with self._database.begin() as connection:
            await connection.execute(
                update(batches)
                .where(batches.c.id == batch, batches.c.status == Status.IN_PROGRESS)
                .values(status=Status.FINALIZING, finalizing_at=now, paused_reason="", paused_until=0)
            )

    async def _end(self, batch: str, now: int) -> bool:
        """Write the files and the last status, and let go of the lines; False if somebody else is at it."""
        async with self._database.begin() as connection:
            row = (
                await connection.execute(select(batches).where(batches.c.id == batch).with_for_update(skip_locked=True))
            ).first()
            if row is None or row.status not in OPEN:
                return False
            states = {
                state
                for (state,) in await connection.execute(
                    select(batch_lines.c.state).where(batch_lines.c.batch == batch).distinct()
                )
            }
            if states & {State.WAITING, State.RUNNING}:
                return False
            status = _last_status(row, states, now)
            if status is None:
                return False
            counts = (await tally(connection, [batch])).get(batch)
            output = await _write(connection, row, "output", [State.DONE], now)
            error = await _write(connection, row, "error", [State.FAILED, State.EXPIRED, State.CANCELLED], now)
            values: dict[str, Any] = {"status": status, f"{status}_at": now, "output_file": output, "error_file": error}
            if counts is not None:
                for name in ("completed", "failed", "input_tokens", "cached_tokens", "output_tokens"):
                    values[name] = getattr(counts, name)
            await connection.execute(update(batches).where(batches.c.id == batch).values(values))
            await connection.execute(delete(batch_lines).where(batch_lines.c.batch == batch))
            return True


def _last_status(row: Any, states: set[str], now: int) -> Status | None:
    """Return what the batch becomes, None if it is still at its beginning."""
    if row.status == Status.CANCELLING:
        return Status.CANCELLED
    if State.EXPIRED in states:
        return Status.EXPIRED
    if row.status == Status.VALIDATING:
        return Status.EXPIRED if row.expires_at <= now else None
    return Status.COMPLETED


async def _write(connection: AsyncConnection, row: Any, kind: str, states: list[State], now: int) -> str | None:
    """Put the answers of lines in these states into a file; returns its id, None if there are none."""
    file = new_file_id()
    size = func.coalesce(func.sum(func.octet_length(batch_lines.c.answer)), 0)
    found = await connection.execute(select(size).where(batch_lines.c.batch == row.id, batch_lines.c.state.in_(states)))
    written = int(found.scalar_one())
    if not written:
        return None
    await connection.execute(
        insert(files).values(
            id=file,
            customer=row.customer,
            purpose=BATCH_OUTPUT,
            filename=f"{row.id}_{kind}.jsonl",
            bytes=written,
            created_at=now,
            expires_at=now + (row.output_seconds or KEPT_S),
            complete=True,
        )
    )
    await connection.execute(
        _WRITE, {"file": file, "batch": row.id, "states": [str(state) for state in states], "chunk": CHUNK_BYTES}
    )
    return file

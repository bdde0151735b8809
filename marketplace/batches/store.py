"""Keep batches: create, find, list, cancel. What becomes of their lines is the queue's and the ending's business.

validating → in_progress → finalizing → completed
    ↓             ↓  ↘                ↘ expired      when the deadline left lines over
  failed     cancelling → cancelled
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from marketplace.batches.failures import already_ended, no_such_batch
from marketplace.batches.files import is_name
from marketplace.db import Database
from marketplace.gateway.errors import too_busy
from marketplace.models import batch_lines, batches

WINDOW, WINDOW_S = "24h", 86_400
OPEN_MOST = 64


class Status(StrEnum):
    """What a batch is doing, in OpenAI's words."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


OPEN = (Status.VALIDATING, Status.IN_PROGRESS, Status.FINALIZING, Status.CANCELLING)
_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class State(StrEnum):
    """What a line of a running batch is doing."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Order:
    """What a customer asks for. `output_seconds`: how long the results are kept, None for the usual time."""

    customer: str
    input_file: str
    endpoint: str
    metadata: dict[str, str] | None = None
    output_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a batch's lines, and the tokens they were billed."""

    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


async def tally(connection: AsyncConnection, names: list[str]) -> dict[str, Tally]:
    """Count the lines of batches that have not ended."""
    lines = batch_lines.c
    found = await connection.execute(
        select(
            lines.batch,
            func.count().filter(lines.state == State.DONE).label("completed"),
            func.count().filter(lines.state == State.FAILED).label("failed"),
            func.sum(lines.input_tokens).label("input_tokens"),
            func.sum(lines.cached_tokens).label("cached_tokens"),
            func.sum(lines.output_tokens).label("output_tokens"),
        )
        .where(lines.batch.in_(names))
        .group_by(lines.batch)
    )
    return {
        row.batch: Tally(
            row.completed, row.failed, int(row.input_tokens), int(row.cached_tokens), int(row.output_tokens)
        )
        for row in found
    }


class Batches:
    """All batches of one database. Every query names the customer; what is not its own is not there."""

    def __init__(self, database: Database, open_most: int = OPEN_MOST) -> None:
        self._database = database
        self._open_most = open_most

    async def create(self, order: Order, now: int) -> dict[str, Any]:
        """Enter a batch to be validated; raises ApiError 429 when the customer has too many that have not ended."""
        batch = "batch_" + secrets.token_hex(16)
        async with self._database.begin() as connection:
            running = await connection.execute(
                select(func.count()).where(batches.c.customer == order.customer, batches.c.status.in_(OPEN))
            )
            if running.scalar_one() >= self._open_most:
                raise too_busy(f"{self._open_most} of your batches have not ended; wait for one or cancel it.", 60_000)
            await connection.execute(
                insert(batches).values(
                    id=batch,
                    customer=order.customer,
                    endpoint=order.endpoint,
                    input_file=order.input_file,
                    status=Status.VALIDATING,
                    metadata=order.metadata,
                    output_seconds=order.output_seconds,
                    created_at=now,
                    expires_at=now + WINDOW_S,
                )
            )
        return await self.get(order.customer, batch)

    async def get(self, customer: str, batch: str) -> dict[str, Any]:
        """Return a customer's batch as OpenAI's object; raises ApiError 404."""
        async with self._database.begin() as connection:
            row = await _find(connection, customer, batch)
            return shape(row, await _tally_of(connection, [row]))

    async def page(self, customer: str, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return a page of a customer's batches, newest first, and whether there are more; raises ApiError 404."""
        query = select(batches).where(batches.c.customer == customer)
        async with self._database.begin() as connection:
            if after is not None:
                query = query.where(batches.c.number < (await _find(connection, customer, after)).number)
            rows = (await connection.execute(query.order_by(batches.c.number.desc()).limit(limit + 1))).all()
            counts = await _tally_of(connection, rows[:limit])
        return [shape(row, counts) for row in rows[:limit]], len(rows) > limit

    async def cancel(self, customer: str, batch: str, now: int) -> dict[str, Any]:
        """Take no more lines of a batch; those that run end first. Raises ApiError 404, or 409 for one that ended."""
        async with self._database.begin() as connection:
            row = await _find(connection, customer, batch, locked=True)
            if row.status in (Status.VALIDATING, Status.IN_PROGRESS):
                await connection.execute(
                    update(batches)
                    .where(batches.c.id == batch)
                    .values(status=Status.CANCELLING, cancelling_at=now, paused_reason="", paused_until=0)
                )
            elif row.status != Status.CANCELLING:
                raise already_ended(row.status)
        return await self.get(customer, batch)


async def _find(connection: AsyncConnection, customer: str, batch: str, locked: bool = False) -> Any:
    query = select(batches).where(batches.c.id == batch, batches.c.customer == customer)
    row = (await connection.execute(query.with_for_update() if locked else query)).first() if is_name(batch) else None
    if row is None:
        raise no_such_batch(batch)
    return row


async def _tally_of(connection: AsyncConnection, rows: Any) -> dict[str, Tally]:
    names = [row.id for row in rows if row.status in OPEN]
    return await tally(connection, names) if names else {}


def shape(row: Any, counts: dict[str, Tally]) -> dict[str, Any]:
    """Return OpenAI's batch object; `counts` names those that have not ended.

    `bonded_paused` is ours: why no line is taken at the moment, None if lines are.
    """
    ended = row.status not in OPEN
    seen = row if ended else counts.get(row.id, Tally())
    return {
        "id": row.id,
        "object": "batch",
        "endpoint": row.endpoint,
        "model": row.model,
        "errors": {"object": "list", "data": row.errors} if row.errors else None,
        "input_file_id": row.input_file,
        "completion_window": WINDOW,
        "status": row.status,
        "output_file_id": row.output_file,
        "error_file_id": row.error_file,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        **{f"{name}_at": getattr(row, f"{name}_at") for name in _TIMES},
        "request_counts": {"total": row.total, "completed": seen.completed, "failed": seen.failed},
        "usage": {
            "input_tokens": seen.input_tokens,
            "input_tokens_details": {"cached_tokens": seen.cached_tokens},
            "output_tokens": seen.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": seen.input_tokens + seen.output_tokens,
        },
        "metadata": row.metadata,
        "bonded_paused": row.paused_reason or None,
    }

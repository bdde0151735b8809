"""Copy the journal into the database: holds and charges into the ledger, attempts into their table, once each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from psycopg import DataError
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.types import Timing
from marketplace.bulk import insert_new
from marketplace.db import ENTER_LOCK, GATHER_LOCK, Database
from marketplace.drained import copy_lines, open_and_resolve, store_attempts
from marketplace.journal import Journal, JournalFull, Line, read_segment
from marketplace.ledger import resolve_holds, stale_holds
from marketplace.models import attempts, epoch_steps, watermarks
from marketplace.ratings import RatingDays
from rewards.attempt_lines import read_lines, write_line
from rewards.types import Attempt

log = structlog.get_logger("journal")

Recountersign = Callable[[Attempt], Attempt]
_NOTHING: tuple[Path | None, bytes] = (None, b"")
_LOCKS = text("SELECT pg_advisory_xact_lock(:enter), pg_advisory_xact_lock_shared(:gather)")


class Drainer:
    """Drain one gateway's journal. `recountersign` gives a late attempt a countersignature of the present slot.

    `slot` returns the slot the gateway is in; after each drain, everything countersigned before the slot it was in
    when the segment was sealed is in the database, and the watermark says so. `ratings` sums up what customers thought
    of an epoch as the watermark leaves it.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        gateway: str,
        timing: Timing,
        slot: Callable[[], int],
        recountersign: Recountersign,
        ratings: RatingDays | None = None,
    ) -> None:
        self._database = database
        self._journal = journal
        self._gateway = gateway
        self._timing = timing
        self._slot = slot
        self._recountersign = recountersign
        self._ratings = ratings
        self._draining = asyncio.Lock()

    async def run(self, every_s: float) -> None:
        """Drain again and again until cancelled; waits out a database that is away and a disk that is full."""
        while True:
            try:
                await self._database.persist(self.drain, "draining the journal")
            except JournalFull as full:
                log.error("journal not drained", error=str(full))
            await asyncio.sleep(every_s)

    async def drain(self) -> int:
        """Copy everything journaled so far; returns how many lines. Of two at once one waits for the other."""
        async with self._draining:
            return await self._drain()

    async def _drain(self) -> int:
        slot = self._slot()
        self._journal.turn()
        await asyncio.to_thread(self._journal.settle)
        count = 0
        waiting = self._journal.waiting()
        path, raw = next(waiting, _NOTHING)
        while True:
            following = next(waiting, _NOTHING)
            async with self._database.begin() as connection:
                if raw:
                    await self._apply(connection, raw, path)
                if following is _NOTHING:
                    await self._mark(connection, slot)
            if path is not None:
                self._journal.drop(path)
            count += raw.count(b"\n")
            if following is _NOTHING:
                return count
            path, raw = following

    async def recover(self) -> int:
        """After a start: drain what was left, then void the holds nobody can resolve any more; returns how many."""
        await self.drain()
        async with self._database.begin() as connection:
            jobs = await stale_holds(connection, self._gateway)
            await resolve_holds(connection, dict.fromkeys(jobs))
        if jobs:
            log.warning("holds of requests that died with the process were voided", count=len(jobs))
        return len(jobs)

    async def enter(self, connection: AsyncConnection, lines: Sequence[Line]) -> None:
        """Enter lines into the ledger and the attempts, in the caller's transaction; any number of times.

        One transaction at a time: two that enter the same holds in another order would wait for each other.
        """
        await self._apply(connection, b"".join(line.encode() for line in lines))

    async def _apply(self, connection: AsyncConnection, raw: bytes, path: Path | None = None) -> None:
        await connection.execute(_LOCKS, {"enter": ENTER_LOCK, "gather": GATHER_LOCK})
        try:
            await copy_lines(connection, raw)
        except DataError:
            if path is not None:
                read_segment(path, raw)  # names the line that cannot be read
            raise
        await open_and_resolve(connection, self._gateway)
        closed = (
            await connection.execute(select(func.max(epoch_steps.c.epoch)).where(epoch_steps.c.gathered))
        ).scalar()
        first_open = 0 if closed is None else (closed + 1) * self._timing.slots_per_epoch
        late = await store_attempts(connection, first_open, self._timing.slots_per_epoch)
        rows = [attempt_row(self._recountersign(attempt), self._timing) for attempt in read_lines(late)]
        await insert_new(connection, attempts, rows, ["job", "attempt"])

    async def _mark(self, connection: AsyncConnection, slot: int) -> None:
        if self._ratings is not None:
            known = select(watermarks.c.slot).where(watermarks.c.gateway == self._gateway).with_for_update()
            await self._ratings.close(connection, (await connection.execute(known)).scalar() or 0, slot)
        made = insert(watermarks).values(gateway=self._gateway, slot=slot)
        await connection.execute(
            made.on_conflict_do_update(
                index_elements=["gateway"],
                set_={"slot": func.greatest(watermarks.c.slot, made.excluded.slot), "seen": func.now()},
            )
        )


def attempt_row(attempt: Attempt, timing: Timing) -> dict[str, Any]:
    """Return an attempt's row."""
    receipt, counter = attempt.receipt, attempt.countersignature
    return {
        "job": receipt.job,
        "attempt": receipt.attempt,
        "customer": counter.customer,
        "provider": receipt.provider,
        "model": receipt.model,
        "status": receipt.status,
        "slot": counter.slot,
        "epoch": timing.epoch_of_slot(counter.slot),
        "input_tokens": receipt.input_tokens,
        "cached_tokens": receipt.cached_tokens,
        "output_tokens": receipt.output_tokens,
        "ttft_ms": counter.ttft_ms,
        "itl_us": counter.itl_us,
        "charge": receipt.charge_atto,
        "line": write_line(attempt),
    }

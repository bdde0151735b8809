"""The operator's outbox in PostgreSQL (`contracts.outbox.Outbox`): nonce and row in one transaction, a process per key.

A row is one intent as JSON. Every step is made on the one connection that holds the key's advisory lock. Whoever loses
the connection loses the lock with it, so a process that was cut off from the server cannot write beside the one that
took over. A commit whose answer was lost is recognised by the row it would have written.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.errors import OutboxLocked, OutboxMisused
from contracts.outbox import Draft, Inclusion, Intent, IntentState, SignedTransaction
from contracts.signing import normal_address
from marketplace.db import Database
from marketplace.models import nonces, outbox

T = TypeVar("T")

Step = Callable[[Intent, int], Intent]
"""How a row changes, given the row and the highest nonce any row ever had."""


class PostgresOutbox:
    """An outbox of one sender on one chain; made by `open`. Its steps wait while the server is away."""

    def __init__(self, database: Database, sender: str, chain_key: str) -> None:
        self.sender = normal_address(sender)
        self.chain_key = chain_key
        self._database = database
        self._connection: AsyncConnection | None = None
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, database: Database, *, sender: str, chain_key: str) -> PostgresOutbox:
        """Take the key's lock; raises OutboxLocked when another process has it."""
        made = cls(database, sender, chain_key)
        await made._run(_nothing, "locking the outbox")
        return made

    # ------------------------------------------------------------------------------------ contracts.outbox.Outbox

    async def get(self, intent_id: str) -> Intent | None:
        return await self._run(lambda connection: self._read(connection, intent_id), "reading the outbox")

    async def open_intents(self) -> list[Intent]:
        return await self._run(lambda connection: self._select(connection, ~outbox.c.ended), "reading the outbox")

    async def prepare(self, draft: Draft, least_nonce: int) -> Intent:
        async def work(connection: AsyncConnection) -> Intent:
            known = await self._read(connection, draft.intent_id)
            if known is not None:
                return known
            nonce = max(least_nonce, await self._highest(connection) + 1)
            intent = Intent(draft, nonce, IntentState.PREPARED)
            await connection.execute(insert(outbox).values(**self._key(intent), **_values(intent)))
            await self._reserve(connection, nonce)
            return intent

        return await self._run(work, "preparing an intent")

    async def signed(self, intent_id: str, transaction: SignedTransaction) -> Intent:
        return await self._step(intent_id, lambda intent, _: intent.with_signed(transaction))

    async def broadcast(self, intent_id: str, block: int) -> Intent:
        return await self._step(intent_id, lambda intent, _: intent.with_broadcast(block))

    async def mined(self, intent_id: str, inclusion: Inclusion) -> Intent:
        return await self._step(intent_id, lambda intent, _: intent.with_mined(inclusion))

    async def unmined(self, intent_id: str) -> Intent:
        return await self._step(intent_id, lambda intent, _: intent.with_unmined())

    async def final(self, intent_id: str, inclusion: Inclusion) -> Intent:
        return await self._step(intent_id, lambda intent, _: intent.with_final(inclusion))

    async def reopen(self, least_nonce: int) -> list[Intent]:
        async def work(connection: AsyncConnection) -> list[Intent]:
            ended = await self._select(connection, outbox.c.ended & (outbox.c.nonce >= least_nonce))
            return [
                await self._write(connection, intent.with_reopened())
                for intent in ended
                if intent.inclusion is not None
            ]

        return await self._run(work, "reopening intents")

    async def renonce(self, intent_id: str, least_nonce: int, gas: int) -> Intent:
        return await self._step(
            intent_id, lambda intent, highest: intent.with_nonce(max(least_nonce, highest + 1), gas)
        )

    async def dropped(self, intent_id: str, reason: str) -> Intent:
        return await self._step(intent_id, lambda intent, _: intent.with_dropped(reason))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            # said aloud: the server notices the end of a session only some moments after it
            await connection.execute(
                text("SELECT pg_advisory_unlock(:key)"), {"key": _lock_number(self.sender, self.chain_key)}
            )
            await connection.commit()
        except DBAPIError:
            await _end(connection)
        else:
            await connection.close()

    # ---------------------------------------------------------------------------------------------------- the steps

    async def _step(self, intent_id: str, change: Step) -> Intent:
        """Apply a step to the stored row; where the answer to a commit was lost, the row tells whether it happened."""
        expected: Intent | None = None

        async def work(connection: AsyncConnection) -> Intent:
            nonlocal expected
            before = await self._read(connection, intent_id)
            if before is None:
                raise OutboxMisused(f"there is no intent {intent_id}")
            if before == expected:
                return before
            expected = change(before, await self._highest(connection))
            await self._write(connection, expected)
            if expected.nonce != before.nonce:
                await self._reserve(connection, expected.nonce)
            return expected

        return await self._run(work, "a step of an intent")

    async def _read(self, connection: AsyncConnection, intent_id: str) -> Intent | None:
        found = await self._select(connection, outbox.c.intent_id == intent_id)
        return found[0] if found else None

    async def _select(self, connection: AsyncConnection, condition: Any) -> list[Intent]:
        query = select(outbox.c.row).where(*self._mine(), condition).order_by(outbox.c.nonce)
        return [_intent(row) for (row,) in await connection.execute(query)]

    async def _write(self, connection: AsyncConnection, intent: Intent) -> Intent:
        await connection.execute(
            update(outbox).where(*self._mine(), outbox.c.intent_id == intent.intent_id).values(**_values(intent))
        )
        return intent

    async def _highest(self, connection: AsyncConnection) -> int:
        query = select(func.max(nonces.c.nonce)).where(
            nonces.c.sender == self.sender, nonces.c.chain_key == self.chain_key
        )
        found = (await connection.execute(query)).scalar()
        return -1 if found is None else int(found)

    async def _reserve(self, connection: AsyncConnection, nonce: int) -> None:
        await connection.execute(insert(nonces).values(sender=self.sender, chain_key=self.chain_key, nonce=nonce))

    # --------------------------------------------------------------------------------------------- lock and server

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[T]], what: str) -> T:
        """Make one transaction on the connection that holds the lock; raises OutboxLocked if another took it."""

        async def attempt() -> T:
            connection = await self._locked()
            try:
                async with connection.begin():
                    return await work(connection)
            except BaseException:
                if connection.invalidated:
                    self._connection = None
                    await _end(connection)
                raise

        async with self._turn:
            return await self._database.persist(attempt, what)

    async def _locked(self) -> AsyncConnection:
        if self._connection is None:
            connection = await self._database.engine.connect()
            try:
                taken = await connection.execute(
                    text("SELECT pg_try_advisory_lock(:key)"), {"key": _lock_number(self.sender, self.chain_key)}
                )
                if not taken.scalar():
                    raise OutboxLocked(f"the outbox of {self.sender}")
                await connection.commit()
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return self._connection

    def _mine(self) -> tuple[Any, ...]:
        return (outbox.c.sender == self.sender, outbox.c.chain_key == self.chain_key)

    def _key(self, intent: Intent) -> dict[str, str]:
        return {"sender": self.sender, "chain_key": self.chain_key, "intent_id": intent.intent_id}


async def _nothing(connection: AsyncConnection) -> None:
    """Take the lock and do nothing with it."""


async def _end(connection: AsyncConnection) -> None:
    """End a session that is broken, not only its loan from the pool: with it the server gives up the lock."""
    if not connection.invalidated:
        await connection.invalidate()
    await connection.close()


def _values(intent: Intent) -> dict[str, Any]:
    return {"nonce": intent.nonce, "ended": intent.state.ended, "row": _hexed(asdict(intent))}


def _hexed(value: Any) -> Any:
    """Return a JSON form: bytes as hex, integers as strings, since JSON numbers end at 2^53 for some readers."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: _hexed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hexed(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _intent(row: dict[str, Any]) -> Intent:
    draft = row["draft"]
    return Intent(
        draft=Draft(
            draft["intent_id"],
            draft["to"],
            _raw(draft["data"]),
            int(draft["value"]),
            draft["label"],
            int(draft["gas"]),
        ),
        nonce=int(row["nonce"]),
        state=IntentState(row["state"]),
        transactions=tuple(
            SignedTransaction(
                int(one["nonce"]), _raw(one["hash"]), _raw(one["raw"]), int(one["most_fee_wei"]), int(one["tip_wei"])
            )
            for one in row["transactions"]
        ),
        broadcast_block=None if row["broadcast_block"] is None else int(row["broadcast_block"]),
        inclusion=None if row["inclusion"] is None else _inclusion(row["inclusion"]),
        reason=row["reason"],
    )


def _inclusion(row: dict[str, Any]) -> Inclusion:
    return Inclusion(
        _raw(row["hash"]),
        int(row["block_number"]),
        _raw(row["block_hash"]),
        bool(row["ok"]),
        int(row["gas_used"]),
        int(row["fee_wei"]),
    )


def _raw(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _lock_number(sender: str, chain_key: str) -> int:
    digest = hashlib.sha256(f"outbox {sender} {chain_key}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)

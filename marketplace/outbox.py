"""The operator's outbox (`contracts.outbox.Outbox`) in PostgreSQL: nonce and row in one transaction, one process a key.

A row is one intent as JSON. A session advisory lock on a connection of its own keeps a second process from using the
same key; it ends with the process, however that ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.errors import OutboxMisused
from contracts.outbox import Draft, Inclusion, Intent, IntentState, SignedTransaction
from contracts.signing import normal_address
from marketplace.db import Database
from marketplace.errors import BondedError
from marketplace.models import nonces, outbox


class KeyInUse(BondedError):
    """Another process sends with this key through this database: stop it, or give this one a key of its own."""


class PostgresOutbox:
    """An outbox of one sender on one chain."""

    def __init__(self, database: Database, sender: str, chain_key: str, guard: AsyncConnection | None) -> None:
        self.sender = sender
        self.chain_key = chain_key
        self._database = database
        self._guard = guard

    @classmethod
    async def open(cls, database: Database, *, sender: str, chain_key: str) -> PostgresOutbox:
        """Take the key's lock; raises KeyInUse."""
        sender = normal_address(sender)
        guard = await database.engine.connect()
        try:
            guard = await guard.execution_options(isolation_level="AUTOCOMMIT")
            taken = await guard.execute(
                text("SELECT pg_try_advisory_lock(:key)"), {"key": _lock_number(sender, chain_key)}
            )
            if not taken.scalar():
                raise KeyInUse(f"{sender} is in use by another process")
        except BaseException:
            await guard.close()
            raise
        return cls(database, sender, chain_key, guard)

    async def get(self, intent_id: str) -> Intent | None:
        async def work() -> Intent | None:
            async with self._database.begin() as connection:
                return await self._read(connection, intent_id)

        return await self._database.persist(work, "reading the outbox")

    async def open_intents(self) -> list[Intent]:
        async def work() -> list[Intent]:
            async with self._database.begin() as connection:
                found = await connection.execute(
                    select(outbox.c.row).where(*self._mine(), ~outbox.c.ended).order_by(outbox.c.nonce)
                )
                return [_intent(row) for (row,) in found]

        return await self._database.persist(work, "reading the outbox")

    async def prepare(self, draft: Draft, least_nonce: int) -> Intent:
        async def work() -> Intent:
            async with self._database.begin() as connection:
                known = await self._read(connection, draft.intent_id)
                if known is not None:
                    return known
                nonce = await self._reserve(connection, least_nonce)
                intent = Intent(draft, nonce, IntentState.PREPARED)
                await connection.execute(insert(outbox).values(**self._key(intent), **_values(intent)))
                return intent

        return await self._database.persist(work, "preparing an intent")

    async def signed(self, intent_id: str, transaction: SignedTransaction) -> Intent:
        return await self._step(intent_id, lambda intent: intent.with_signed(transaction))

    async def broadcast(self, intent_id: str, block: int) -> Intent:
        return await self._step(intent_id, lambda intent: intent.with_broadcast(block))

    async def mined(self, intent_id: str, inclusion: Inclusion) -> Intent:
        return await self._step(intent_id, lambda intent: intent.with_mined(inclusion))

    async def unmined(self, intent_id: str) -> Intent:
        return await self._step(intent_id, lambda intent: intent.with_unmined())

    async def final(self, intent_id: str, inclusion: Inclusion) -> Intent:
        return await self._step(intent_id, lambda intent: intent.with_final(inclusion))

    async def reopen(self, least_nonce: int) -> list[Intent]:
        async def work() -> list[Intent]:
            async with self._database.begin() as connection:
                found = await connection.execute(
                    select(outbox.c.row)
                    .where(*self._mine(), outbox.c.ended, outbox.c.nonce >= least_nonce)
                    .order_by(outbox.c.nonce)
                    .with_for_update()
                )
                gone = [intent for (row,) in found if (intent := _intent(row)).inclusion is not None]
                return [await self._write(connection, intent.with_reopened()) for intent in gone]

        return await self._database.persist(work, "reopening intents")

    async def renonce(self, intent_id: str, least_nonce: int, gas: int) -> Intent:
        async def work() -> Intent:
            async with self._database.begin() as connection:
                intent = await self._known(connection, intent_id)
                nonce = await self._reserve(connection, least_nonce)
                return await self._write(connection, intent.with_nonce(nonce, gas))

        return await self._database.persist(work, "reserving another nonce")

    async def dropped(self, intent_id: str, reason: str) -> Intent:
        return await self._step(intent_id, lambda intent: intent.with_dropped(reason))

    async def close(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            await guard.invalidate()
            await guard.close()

    async def _step(self, intent_id: str, change: Callable[[Intent], Intent]) -> Intent:
        async def work() -> Intent:
            async with self._database.begin() as connection:
                intent = await self._known(connection, intent_id)
                return await self._write(connection, change(intent))

        return await self._database.persist(work, "a step of an intent")

    async def _known(self, connection: AsyncConnection, intent_id: str) -> Intent:
        intent = await self._read(connection, intent_id, lock=True)
        if intent is None:
            raise OutboxMisused(f"there is no intent {intent_id}")
        return intent

    async def _read(self, connection: AsyncConnection, intent_id: str, lock: bool = False) -> Intent | None:
        query = select(outbox.c.row).where(*self._mine(), outbox.c.intent_id == intent_id)
        row = (await connection.execute(query.with_for_update() if lock else query)).scalar()
        return None if row is None else _intent(row)

    async def _write(self, connection: AsyncConnection, intent: Intent) -> Intent:
        await connection.execute(
            update(outbox).where(*self._mine(), outbox.c.intent_id == intent.intent_id).values(**_values(intent))
        )
        return intent

    async def _reserve(self, connection: AsyncConnection, least: int) -> int:
        highest = (
            await connection.execute(
                select(func.max(nonces.c.nonce)).where(
                    nonces.c.sender == self.sender, nonces.c.chain_key == self.chain_key
                )
            )
        ).scalar()
        nonce = least if highest is None else max(least, highest + 1)
        await connection.execute(insert(nonces).values(sender=self.sender, chain_key=self.chain_key, nonce=nonce))
        return nonce

    def _mine(self) -> tuple[Any, ...]:
        return (outbox.c.sender == self.sender, outbox.c.chain_key == self.chain_key)

    def _key(self, intent: Intent) -> dict[str, str]:
        return {"sender": self.sender, "chain_key": self.chain_key, "intent_id": intent.intent_id}


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

"""Follow the contracts' events at the chain's finality and post what moves customers' money into the ledger.

Blocks up to which events were read are kept with their hashes. Where one of them is not on the chain any more, even
though it was final, the chain was reorganised deeper than finality promised: its events are taken out, and what they
posted is reversed by entries of the opposite direction; then the new blocks are read. An event's key holds its
block's hash, so the same transaction mined again elsewhere posts again. Every pass is one transaction of the
database.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import event_types as events
from contracts.chain import Chain
from contracts.errors import ContractsError
from contracts.event_types import Event
from contracts.events import fetch
from contracts.types import Checkpoint
from marketplace.db import Database
from marketplace.ledger import ESCROW, Transfer, account, post
from marketplace.models import chain_blocks, chain_events, transfers

log = structlog.get_logger("indexer")

_KEPT_BLOCKS = 4096
_MOST_WAIT_S = 8.0


class Indexer:
    """Reads one deployment's events into the database. `unit_atto` is one unit of the payment token in atto."""

    def __init__(self, database: Database, chain: Chain, unit_atto: int, chunk: int = 2000) -> None:
        self._database = database
        self._chain = chain
        self._unit = unit_atto
        self._chunk = chunk

    async def run(self, every_s: float) -> None:
        """Follow until cancelled; an RPC endpoint or a database that is away is waited for."""
        wait_s = every_s
        while True:
            try:
                await self._database.persist(self.follow, "indexing")
                wait_s = every_s
            except (ContractsError, OSError) as error:
                wait_s = min(2 * wait_s, _MOST_WAIT_S)
                log.warning("the chain cannot be read", error=str(error), wait_s=wait_s)
            await asyncio.sleep(wait_s)

    async def follow(self) -> int:
        """Read up to the last final block; returns how many events were new."""
        final = await self._chain.checkpoint()
        count = 0
        async with self._database.begin() as connection:
            base = await self._common_block(connection)
            if base is not None:
                await self._unwind(connection, base)
            first = self._chain.deployment.block if base is None else base + 1
            if first > final.number:
                return 0
            found = await fetch(self._chain, first, final.number, chunk=self._chunk)
            if await self._chain.block(final.number) != final:
                log.info("the chain moved while it was read; reading again", block=final.number)
                return 0
            for event in found:
                await self._store(connection, event)
            await self._remember(connection, final)
            count = len(found)
        return count

    async def position(self) -> int:
        """Return the block up to which events are in the database; -1 at the beginning."""
        async with self._database.begin() as connection:
            number = (await connection.execute(select(func.max(chain_blocks.c.number)))).scalar()
        return -1 if number is None else int(number)

    async def _common_block(self, connection: AsyncConnection) -> int | None:
        """Return the newest remembered block that is still on the chain; None when nothing was read yet."""
        found = await connection.execute(select(chain_blocks).order_by(chain_blocks.c.number.desc()))
        oldest = None
        for row in found:
            block = await self._chain.block(row.number)
            if block is not None and block.hash == bytes(row.hash):
                return int(row.number)
            oldest = int(row.number)
        return None if oldest is None else min(oldest, self._chain.deployment.block) - 1

    async def _unwind(self, connection: AsyncConnection, base: int) -> None:
        """Take out every event above a block and reverse what it posted, newest first."""
        gone = (
            await connection.execute(
                select(chain_events).where(chain_events.c.block_number > base).order_by(chain_events.c.id.desc())
            )
        ).all()
        newer = (await connection.execute(select(func.count()).where(chain_blocks.c.number > base))).scalar_one()
        if not newer and not gone:
            return
        log.warning("the chain was reorganised below its finality", block=base, events=len(gone))
        for row in gone:
            key = await self._posting_key(connection, _key(bytes(row.block_hash), row.log_index))
            for one in self._transfers(row.name, row.fields, key):
                await post(connection, [Transfer(f"reversal:{one.key}", one.credit, one.debit, one.amount)])
        await connection.execute(delete(chain_events).where(chain_events.c.block_number > base))
        await connection.execute(delete(chain_blocks).where(chain_blocks.c.number > base))

    async def _store(self, connection: AsyncConnection, event: Event) -> None:
        at, name, fields = event.at, type(event).__name__, event_fields(event)
        await connection.execute(
            insert(chain_events).values(
                block_number=at.block_number,
                block_hash=at.block_hash,
                tx_hash=at.tx_hash,
                log_index=at.log_index,
                contract=at.contract_name,
                name=name,
                fields=fields,
            )
        )
        key = await self._posting_key(connection, _key(at.block_hash, at.log_index))
        await post(connection, self._transfers(name, fields, key))

    async def _posting_key(self, connection: AsyncConnection, key: str) -> str:
        """Return the key an event posts under: its own, or a numbered one after a reversal whose block came back."""
        reversed_before = (
            await connection.execute(
                select(func.count()).where(transfers.c.key.startswith(f"reversal:{key}", autoescape=True))
            )
        ).scalar_one()
        return f"{key}#{reversed_before}" if reversed_before else key

    async def _remember(self, connection: AsyncConnection, block: Checkpoint) -> None:
        await connection.execute(insert(chain_blocks).values(number=block.number, hash=block.hash))
        await connection.execute(delete(chain_blocks).where(chain_blocks.c.number < block.number - _KEPT_BLOCKS))

    def _transfers(self, name: str, fields: dict[str, Any], key: str) -> list[Transfer]:
        """Return what an event moves in the ledger; nothing for most."""
        move = _MOVES.get(name)
        if move is None:
            return []
        customer, (debit, credit) = fields["customer"], move
        sides = [side if side == ESCROW else account(customer, side) for side in (debit, credit)]
        return [Transfer(key, sides[0], sides[1], int(fields["amount"]) * self._unit)]


_MOVES = {
    events.Deposited.__name__: (ESCROW, "available"),
    events.WithdrawalRequested.__name__: ("available", "thawing"),
    events.WithdrawalCancelled.__name__: ("thawing", "available"),
    events.EscrowWithdrawn.__name__: ("thawing", ESCROW),
    events.Charged.__name__: ("accrued", ESCROW),
    events.Credited.__name__: (ESCROW, "available"),
}


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event's own fields as JSON: bytes as hex, integers as strings, structs as objects."""
    fields = asdict(event)
    del fields["at"]
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _key(block_hash: bytes, log_index: int) -> str:
    return f"chain:{block_hash.hex()}:{log_index}"

"""Follow the contracts' events at the chain's finality and post what moves customers' money into the ledger.

Blocks up to which events were read are kept with their hashes. Where one of them is not on the chain any more, even
though it was final, the chain was reorganised deeper than finality promised: its events are taken out, and what they
posted is answered by opposite entries; then the new blocks are read. An event's key holds its block's hash and how
often blocks were taken back before, so whatever is mined again posts again. A pass is one transaction of the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.chain import Chain
from contracts.errors import ContractsError
from contracts.event_types import Event
from contracts.events import fetch
from contracts.types import Checkpoint
from marketplace.chain_ledger import MONEY_EVENTS, post_events, take_back
from marketplace.db import Database
from marketplace.errors import BondedError
from marketplace.models import chain_blocks, chain_events, chain_source

log = structlog.get_logger("indexer")

_KEPT_BLOCKS = 4096
_MOST_WAIT_S = 8.0


class WrongDatabase(BondedError):
    """The database holds the books of another deployment: give each its own database or data folder."""


class Indexer:
    """Reads one deployment's events into the database. `unit_atto` is one unit of the payment token in atto."""

    def __init__(self, database: Database, chain: Chain, unit_atto: int, chunk: int = 2000) -> None:
        self._database = database
        self._chain = chain
        self._unit = unit_atto
        self._chunk = chunk
        self._deployment = f"{chain.key}:{chain.deployment.address('JobEscrow')}"

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
            rollbacks = await self._lock(connection)
            base = await self._common_block(connection)
            if base is not None:
                rollbacks += await self._unwind(connection, base)
            first = self._chain.deployment.block if base is None else base + 1
            if first > final.number:
                return 0
            found = await fetch(self._chain, first, final.number, chunk=self._chunk)
            if await self._chain.block(final.number) != final:
                log.info("the chain moved while it was read; reading again", block=final.number)
                return 0
            await self._store(connection, found, rollbacks)
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

    async def _lock(self, connection: AsyncConnection) -> int:
        """Let one process at a time follow; returns how often blocks were taken back. Raises WrongDatabase."""
        await connection.execute(
            insert(chain_source).values(id=1, deployment=self._deployment, rollbacks=0).on_conflict_do_nothing()
        )
        found = (
            await connection.execute(select(chain_source.c.deployment, chain_source.c.rollbacks).with_for_update())
        ).one()
        if found.deployment != self._deployment:
            raise WrongDatabase(
                f"the database holds the books of {found.deployment}, this is {self._deployment}: use another one"
            )
        return int(found.rollbacks)

    async def _unwind(self, connection: AsyncConnection, base: int) -> int:
        """Take out every event above a block and answer what it posted, newest first; returns 1 if there was any."""
        gone = (
            await connection.execute(
                delete(chain_events)
                .where(chain_events.c.block_number > base)
                .returning(chain_events.c.id, chain_events.c.ledger_key)
            )
        ).all()
        newer = await connection.execute(
            delete(chain_blocks).where(chain_blocks.c.number > base).returning(chain_blocks.c.number)
        )
        if not newer.all() and not gone:
            return 0
        keys = [row.ledger_key for row in sorted(gone, key=lambda row: -row.id) if row.ledger_key]
        undone = await take_back(connection, keys)
        log.error(
            "the chain was reorganised deeper than its finality: raise BONDED_FINALITY",
            block=base,
            events=len(gone),
            transfers_undone=undone,
        )
        await connection.execute(update(chain_source).values(rollbacks=chain_source.c.rollbacks + 1))
        return 1

    async def _store(self, connection: AsyncConnection, found: Sequence[Event], rollbacks: int) -> None:
        rows = [_row(event, rollbacks) for event in found]
        if rows:
            await connection.execute(insert(chain_events), rows)
        money = [(row["ledger_key"], row["name"], row["fields"]) for row in rows if row["ledger_key"]]
        await post_events(connection, money, self._unit)

    async def _remember(self, connection: AsyncConnection, block: Checkpoint) -> None:
        await connection.execute(insert(chain_blocks).values(number=block.number, hash=block.hash))
        await connection.execute(delete(chain_blocks).where(chain_blocks.c.number < block.number - _KEPT_BLOCKS))


def _row(event: Event, rollbacks: int) -> dict[str, Any]:
    at, name = event.at, type(event).__name__
    return {
        "block_number": at.block_number,
        "block_hash": at.block_hash,
        "tx_hash": at.tx_hash,
        "log_index": at.log_index,
        "contract": at.contract_name,
        "name": name,
        "fields": event_fields(event),
        "ledger_key": f"chain:{rollbacks}:{at.block_hash.hex()}:{at.log_index}" if name in MONEY_EVENTS else None,
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

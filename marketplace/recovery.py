"""Rebuild the ledger and the state of settlement from the chain and the evidence alone.

For an operator whose database is lost: deposits, withdrawals, charges and credits are read from the chain's events,
what was used from the attempts in the evidence of every report that stands. What nobody published cannot come back:
work that no complete report holds yet (a gateway's journal has it), open holds, API keys, files, batches, and the time
to pay for work that was left out of a report. What a customer used and was never charged for is therefore its carry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update

from contracts.chain import Chain
from contracts.clock import Clock
from contracts.epochs import Epochs
from contracts.history import read_signed
from contracts.types import Checkpoint, Timing
from contracts.views import EpochRecord
from marketplace.bulk import insert_new
from marketplace.db import Database
from marketplace.drain import attempt_row
from marketplace.epoch_steps import EpochSteps, Step
from marketplace.errors import BondedError
from marketplace.indexer import Indexer
from marketplace.ledger import open_holds, resolve_holds
from marketplace.models import attempts, epoch_steps, holds
from rewards.blobs import FolderStore, Source
from rewards.evidence import copy_bundle, read_bundle
from rewards.types import Attempt

Progress = Callable[[str, int, int], None]
_AT_ONCE = 5_000


class NotEmpty(BondedError):
    """The database has attempts, holds or epochs: recover into an empty one, so that nothing is counted twice."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What came back: epochs, attempts, and the block up to which the chain was read."""

    epochs: int
    attempts: int
    block: int


async def recover(
    chain: Chain, database: Database, source: Source, store: FolderStore, unit_atto: int, progress: Progress
) -> Recovered:
    """Fill an empty database, and the folder of evidence, from the chain and another's evidence.

    Every report that stands complete is taken up where the chain says it is: what of it is not activated, pushed,
    proposed or compensated is done by `bonded operator settle` afterwards. Raises NotEmpty, EvidenceMissing or
    EvidenceDamaged; what was entered before that stays, so begin again with an empty database.
    """
    await _require_empty(database)
    final = await chain.checkpoint()
    timing, epochs, steps = await Clock(chain).timing(final), Epochs(chain), EpochSteps(database)
    last = (await epochs.progress(final)).next_epoch
    progress("reading the chain", 0, 1)
    indexer = Indexer(database, chain, unit_atto)
    await indexer.follow()
    progress("reading the chain", 1, 1)
    entered = found = 0
    for epoch in range(last):
        progress("reading the evidence", epoch, last)
        record = await epochs.record(epoch, final)
        if record is None or not record.completed_at:
            break
        entered += await _take_up(chain, epoch, record, final, (database, steps, source, store, timing))
        found += 1
    progress("reading the evidence", last, last)
    return Recovered(found, entered, await indexer.position())


_Parts = tuple[Database, EpochSteps, Source, FolderStore, Timing]


async def _take_up(chain: Chain, epoch: int, record: EpochRecord, final: Checkpoint, parts: _Parts) -> int:
    database, steps, source, store, timing = parts
    evidence = (await read_signed(chain, epoch, final)).evidence
    await asyncio.to_thread(copy_bundle, source, store, evidence)
    bundle = await asyncio.to_thread(read_bundle, store, evidence)
    report, used = bundle.report, bundle.inputs.attempts
    for start in range(0, len(used), _AT_ONCE):
        await _enter(database, used[start : start + _AT_ONCE], timing)
    left = {
        "checkpoint": {
            "number": report.checkpoint_block,
            "hash": report.checkpoint_hash.hex(),
            "time": bundle.inputs.checkpoint.time,
        },
        "closed_at": record.submitted_at,
        "evidence": evidence.hex(),
        "missing": {},
        "left_out": [],
        "signatures": {},
        "unsigned": {},
        "digest": record.digest.hex(),
        "activates_at": record.activates_at,
    }
    await steps.reach(epoch, Step.SUBMITTED, **left)
    async with database.begin() as connection:
        await connection.execute(update(epoch_steps).where(epoch_steps.c.epoch == epoch).values(gathered=True))
    return len(used)


async def _enter(database: Database, used: Sequence[Attempt], timing: Timing) -> None:
    """Enter attempts and what they cost; a hold of exactly the charge stands for the one that nobody published."""
    charges = _charges(used)
    async with database.begin() as connection:
        await insert_new(connection, attempts, [attempt_row(one, timing) for one in used], ["job", "attempt"])
        rows = [
            {"job": job, "gateway": gateway, "customer": customer, "amount": amount}
            for job, (gateway, customer, amount) in charges.items()
        ]
        await open_holds(connection, rows)
        await resolve_holds(connection, {job: amount for job, (_, _, amount) in charges.items()})


def _charges(used: Iterable[Attempt]) -> dict[bytes, tuple[str, str, int]]:
    """Return gateway, customer and charge of every job that cost something; of a job one attempt is charged."""
    return {
        one.receipt.job: (one.gateway, one.countersignature.customer, one.receipt.charge_atto)
        for one in used
        if one.receipt.charge_atto
    }


async def _require_empty(database: Database) -> None:
    async with database.begin() as connection:
        for table in (attempts, holds, epoch_steps):
            if (await connection.execute(select(func.count()).select_from(table))).scalar():
                raise NotEmpty(NotEmpty.__doc__)

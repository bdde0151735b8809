"""Undo here what the chain undid: a report that was cancelled, and every epoch that was settled on top of it.

A report is cancelled on a proven fault, or when it stayed incomplete. What it charged waits in the ledger contract
until its charges are shown again (`refund`), which anybody may do; we do it from the evidence. Once nothing is due,
every epoch from the first cancelled one on is settled anew, with the attempts gathered for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog

from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.errors import ContractRefused
from contracts.leaves import movements
from contracts.types import Report
from contracts.views import EpochRecord
from marketplace.deeds import Deeds
from marketplace.epoch_steps import EpochProgress, EpochSteps, Step
from marketplace.settled import Settled
from marketplace.waiting import NotYet

log = structlog.get_logger("settlement")


class Cancelled:
    """What is to be done about reports that were cancelled, or must be."""

    def __init__(
        self, chain: Chain, deeds: Deeds, steps: EpochSteps, read: Callable[[dict[str, Any]], Awaitable[Settled]]
    ) -> None:
        self._chain = chain
        self._deeds = deeds
        self._steps = steps
        self._read = read
        self._epochs = Epochs(chain)

    async def undo(self, rows: Iterable[EpochProgress]) -> bool:
        """Refund and start over what a cancelled report of ours took with it; returns whether there was any.

        Raises NotYet while refunds are not final.
        """
        open_rows = [row for row in rows if not row.reached(Step.ACTIVATED)]
        signed = {row.data["digest"]: row for row in open_rows if "digest" in row.data}
        gone = sorted((signed[digest] for digest in await self._steps.cancelled(signed)), key=lambda row: row.epoch)
        if not gone:
            return False
        for row in gone:
            log.error("a report was cancelled; its charges are returned", epoch=row.epoch, digest=row.data["digest"])
            await self._refund(bytes.fromhex(row.data["digest"]), (await self._read(row.data)).report)
        due = await self._epochs.refunds_due(await self._chain.checkpoint())
        if due:
            raise NotYet(f"{due} units of a cancelled report are still to be returned")
        for row in open_rows:
            if row.epoch >= gone[0].epoch and row.step is not Step.OPEN:
                await self._steps.start_over(row.epoch)
        return True

    async def cancel(self, epoch: int, record: EpochRecord) -> None:
        """Cancel a report that cannot be completed; raises NotYet while that is too early."""
        delay = (await self._epochs.clock.settings(await self._chain.head())).activation_delay_s
        head = await self._chain.head()
        if head.time <= record.submitted_at + delay:
            raise NotYet(f"the report cannot be completed; it can be cancelled after {record.submitted_at + delay}")
        await self._deeds.until_done(f"cancel:{epoch}:{record.digest.hex()[:16]}", self._epochs.cancel(epoch))

    async def _refund(self, digest: bytes, report: Report) -> None:
        """Return every chunk of charges that the report took and nobody returned yet."""
        for chunk, call in enumerate(self._epochs.refunds(digest, movements(report), report.charges)):
            try:
                await self._deeds.until_done(f"refund:{digest.hex()[:16]}:{chunk}", call)
            except ContractRefused as refused:
                if refused.error_name not in ("WrongChunk", "NotCancelled"):
                    raise

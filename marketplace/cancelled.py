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
from contracts.leaves import movements, movements_hash
from contracts.views import EpochRecord
from marketplace.deeds import Deeds
from marketplace.epoch_steps import CancelledReport, EpochProgress, EpochSteps, Step
from marketplace.settled import Settled
from marketplace.waiting import NotYet
from rewards.errors import RewardsError

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
        """Refund cancelled reports and start over what stood on one of ours; returns whether anything was started over.

        Raises NotYet while refunds are not final.
        """
        open_rows = [row for row in rows if not row.reached(Step.ACTIVATED)]
        signed = {row.data["digest"]: row for row in open_rows if "digest" in row.data}
        cancelled = await self._steps.cancelled()
        ours = [signed[one.digest.hex()] for one in cancelled if one.digest.hex() in signed]
        if not ours and not (cancelled and await self._epochs.refunds_due(await self._chain.head())):
            return False
        for one in cancelled:
            await self._refund(one, signed.get(one.digest.hex()))
        due = await self._epochs.refunds_due(await self._chain.checkpoint())
        if due:
            raise NotYet(f"{due} units of cancelled reports are still to be returned")
        if not ours:
            return False
        first = min(row.epoch for row in ours)
        for row in open_rows:
            if row.epoch >= first and row.step is not Step.OPEN:
                log.error("a report was cancelled; its epoch is settled anew", epoch=row.epoch)
                await self._steps.start_over(row.epoch)
        return True

    async def cancel(self, epoch: int, record: EpochRecord) -> None:
        """Cancel a report that cannot be completed; raises NotYet while that is too early."""
        delay = (await self._epochs.clock.settings(await self._chain.head())).activation_delay_s
        head = await self._chain.head()
        if head.time <= record.submitted_at + delay:
            raise NotYet(f"the report cannot be completed; it can be cancelled after {record.submitted_at + delay}")
        await self._deeds.until_done(f"cancel:{epoch}:{record.digest.hex()[:16]}", self._epochs.cancel(epoch))

    async def _refund(self, one: CancelledReport, row: EpochProgress | None) -> None:
        """Return every chunk of charges that a report took and nobody returned yet.

        Somebody else's report is refunded too where its evidence is here: what it charged holds up everybody.
        """
        try:
            report = (await self._read({"evidence": one.evidence.hex()} if row is None else row.data)).report
        except RewardsError as error:
            log.error("the evidence of a cancelled report cannot be read", epoch=one.epoch, error=str(error))
            return
        moved = movements(report)
        if movements_hash(moved) != one.movements:
            log.error("a cancelled report moved other money than its evidence says", epoch=one.epoch)
            return
        for chunk, call in enumerate(self._epochs.refunds(one.digest, moved, report.charges)):
            try:
                await self._deeds.until_done(f"refund:{one.digest.hex()[:16]}:{chunk}", call)
            except ContractRefused as refused:
                if refused.error_name not in ("WrongChunk", "AlreadyComplete", "NotCancelled"):
                    raise

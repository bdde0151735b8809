"""Walk each epoch from its end to its last slash, one resumable step at a time.

    closed      the epoch is over: a final block after its end is its checkpoint
    written     attempts and attestations gathered, settled, evidence written
    signed      a quorum of verifiers recomputed the report and signed it
    submitted   report complete on chain and final: leaves published, charges taken
    activated   the delay is over: credits and delegators' rewards pushed, fees can be claimed
    proposed    every slash that the report calls for is proposed in the court
    done        and has come to its end, the harmed compensated

Each step looks at what is there, does what is missing and notes that it is done. Whatever it leaves outside the
database is keyed: evidence by its digest, transactions by their intents. A large report comes in by chunks, and the
chain says which are missing. So a process killed anywhere goes on from the step it was in, and comes to the same
report. While no report stands on chain, an epoch whose checkpoint or transaction failed for good is started over from
a new checkpoint with the same attempts; one whose report was cancelled is started over once its charges are returned.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import structlog

from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.errors import CheckpointGone, ContractRefused, ContractsError, IntentDropped, TransactionReverted
from contracts.leaves import chunks, report_digest
from contracts.operators import Operators
from contracts.transactions import Sender
from contracts.types import Checkpoint, OperatorRecord, Report, Timing
from contracts.views import EpochRecord, ReportProgress
from marketplace.admission import admitted
from marketplace.affordable import affordable
from marketplace.attestations import Verifiers
from marketplace.cancelled import Cancelled
from marketplace.clock import LeadershipLost
from marketplace.deeds import Deeds
from marketplace.epoch_steps import ORDER, EpochProgress, EpochSteps, Step
from marketplace.ratings import Ratings
from marketplace.settings import SettlementSettings
from marketplace.settled import Settled, SettledEpochs
from marketplace.slashes import Slashes
from marketplace.waiting import NotYet
from rewards.chain_inputs import collect
from rewards.errors import CheckpointRefused, EvidenceError, RewardsError
from rewards.gather import assemble
from rewards.state import GENESIS
from rewards.types import EpochState

log = structlog.get_logger("settlement")

_CANNOT_BE_CHARGED = ("ChargeAboveBalance", "ChargeAboveCap")


@dataclass
class Settler:
    """Settles one deployment's epochs. `lead` raises when this process does not lead any more."""

    chain: Chain
    sender: Sender
    steps: EpochSteps
    verifiers: Verifiers
    settled: SettledEpochs
    settings: SettlementSettings
    lead: Callable[[], Awaitable[None]]
    now: Callable[[], float] = time.time
    deeds: Deeds = field(init=False)
    slashes: Slashes = field(init=False)
    cancelled: Cancelled = field(init=False)
    ratings: Ratings = field(init=False)

    def __post_init__(self) -> None:
        self.deeds = Deeds(self.sender)
        self.slashes = Slashes(self.chain, self.deeds)
        self.ratings = Ratings(self.steps.database)
        self.cancelled = Cancelled(self.chain, self.deeds, self.steps, self._read)

    async def tick(self) -> None:
        """Take every open epoch as far as it goes."""
        await self.lead()
        head = await self.chain.checkpoint()
        timing = await Epochs(self.chain).clock.timing(head)
        if not timing.genesis:
            return
        found = await self.steps.all()
        if await self._undo(found):
            found = await self.steps.all()
        rows = {row.epoch: row for row in found}
        newest = max(rows, default=-1)
        if self.now() >= timing.epoch_end(newest + 1):
            rows[newest + 1] = EpochProgress(newest + 1, Step.CLOSED, {}, "")
        for epoch in sorted(rows):
            if rows[epoch].step is not Step.DONE:
                await self._advance(epoch, timing)

    async def _undo(self, rows: list[EpochProgress]) -> bool:
        """Undo what the chain cancelled; returns whether there was anything. What stands in the way is noted."""
        try:
            return await self.cancelled.undo(rows)
        except NotYet as waiting:
            log.info("a cancelled report is not undone yet", waiting=str(waiting))
        except (ContractsError, RewardsError, OSError) as error:
            log.warning("a cancelled report cannot be undone", error=str(error))
        return False

    async def _advance(self, epoch: int, timing: Timing) -> None:
        """Do step after step of one epoch until one has to wait; what stands in the way is noted."""
        walk: tuple[tuple[Step, Callable[[int, dict[str, Any], Timing], Awaitable[dict[str, Any]]]], ...] = (
            (Step.CLOSED, self._close),
            (Step.WRITTEN, self._write),
            (Step.SIGNED, self._sign),
            (Step.SUBMITTED, self._submit),
            (Step.ACTIVATED, self._activate),
            (Step.PROPOSED, self._propose),
            (Step.DONE, self._execute),
        )
        for step, work in walk:
            row = await self.steps.get(epoch)
            if row is not None and row.reached(step):
                continue
            data = row.data if row is not None else {}
            try:
                await self.lead()
                left = await work(epoch, data, timing)
            except NotYet as waiting:
                await self._note(row, str(waiting))
                return
            except LeadershipLost:
                raise
            except ContractRefused as refused:
                if not await self._waits_or_restarts(epoch, row, step, refused):
                    log.warning("an epoch does not go on", epoch=epoch, step=step.value, error=str(refused))
                return
            except Exception as error:
                known = isinstance(error, (ContractsError, RewardsError, OSError))
                log.warning(
                    "an epoch does not go on", epoch=epoch, step=step.value, error=str(error), exc_info=not known
                )
                await self._note(row, f"{step.value}: {error}")
                if _calls_for_restart(step, error):
                    await self._start_over(epoch, str(error))
                return
            await self.steps.reach(epoch, step, **left)
            log.info("epoch", epoch=epoch, step=step.value)

    async def _waits_or_restarts(
        self, epoch: int, row: EpochProgress | None, step: Step, refused: ContractRefused
    ) -> bool:
        """Note what the contract says; returns False for a refusal that somebody should look at."""
        await self._note(row, f"{step.value}: {refused}")
        if refused.error_name == "StillPaused":
            return True
        if _calls_for_restart(step, refused):
            await self._start_over(epoch, str(refused))
            return True
        return False

    async def _note(self, row: EpochProgress | None, problem: str) -> None:
        if row is not None and row.problem != problem:
            await self.steps.note(row.epoch, problem)

    # the steps

    async def _close(self, epoch: int, data: dict[str, Any], timing: Timing) -> dict[str, Any]:
        """Freeze the checkpoint: a final block after the end, on which the report before stands."""
        at = await self.chain.checkpoint()
        if at.time < timing.epoch_end(epoch):
            raise NotYet(f"the last final block is of {at.time}, the epoch ends at {timing.epoch_end(epoch)}")
        if epoch and await Epochs(self.chain).record(epoch - 1, at) is None:
            raise NotYet(f"the report of epoch {epoch - 1} is not final yet")
        return {
            "checkpoint": {"number": at.number, "hash": at.hash.hex(), "time": at.time},
            "closed_at": int(self.now()),
        }

    async def _write(self, epoch: int, data: dict[str, Any], timing: Timing) -> dict[str, Any]:
        """Gather, settle and write the evidence."""
        await self._wait_for_gateways(epoch, timing)
        at = Checkpoint(
            data["checkpoint"]["number"], bytes.fromhex(data["checkpoint"]["hash"]), data["checkpoint"]["time"]
        )
        view = await collect(self.chain, epoch, at)
        members = [record for record in view.inputs.verifiers if record.active]
        shown, missing = await self.verifiers.attestations(members, epoch)
        late = self.now() >= data["closed_at"] + self.settings.attestation_wait_s
        if missing and not late:
            raise NotYet(f"attestations are missing: {missing}")
        if missing:
            log.warning("settling without some attestations", epoch=epoch, missing=missing)
        opening = await self._opening(epoch)
        gathered = await self.steps.gather(epoch)
        attempts, left_out = await asyncio.to_thread(admitted, view.inputs, opening, gathered)
        attempts, unpaid = affordable(view.inputs, opening, attempts)
        left_out += unpaid
        if left_out:
            log.error("attempts that cannot be settled are left out", epoch=epoch, attempts=left_out)
        inputs = assemble(
            view.inputs,
            opening,
            attempts=attempts,
            probe_days=[day for one in shown for day in one.probe_days],
            canary_days=[day for one in shown for day in one.canary_days],
            check_days=[day for one in shown for day in one.check_days],
            seeds={one.verifier: one.seed for one in shown},
            commitments=view.commitments,
            rating_days=await self.ratings.days(epoch),
        )
        settled = await self.settled.write(inputs)
        return {"evidence": settled.report.evidence.hex(), "missing": missing, "left_out": left_out}

    async def _sign(self, epoch: int, data: dict[str, Any], timing: Timing) -> dict[str, Any]:
        """Collect a quorum of signatures."""
        report = (await self._read(data)).report
        at = await self.chain.checkpoint()
        members, quorum = await self._members(at)
        domain = self.chain.deployment.domain()
        digest = report_digest(report, domain).digest(domain.separator())
        signatures, missing = await self.verifiers.signatures(members, epoch, report.evidence, digest, quorum)
        if len(signatures) < quorum:
            raise NotYet(f"{len(signatures)} of {quorum} signatures; missing: {missing}")
        return {
            "signatures": {one.verifier: one.signature.hex() for one in signatures},
            "unsigned": missing,
            "digest": digest.hex(),
        }

    async def _submit(self, epoch: int, data: dict[str, Any], timing: Timing) -> dict[str, Any]:
        """Bring the whole report on chain and wait until it is final.

        A verifier may have left since it signed, and the contract counts members of this moment only: its signature is
        left out, and if too few remain they are collected again. A report that came in by chunks and stopped half way
        goes on with those that the chain says are missing.
        """
        report = (await self._read(data)).report
        epochs = Epochs(self.chain)
        intent = f"report:{epoch}:{report.evidence.hex()[:16]}"
        head = await self.chain.head()
        standing = await epochs.record(epoch, head)
        if standing is None:
            chosen = await self._signatures(epoch, data, timing, head)
            first, *rest = epochs.submission(report, chosen)
            await self.deeds.once(f"{intent}:{_short(*chosen)}", first)
            await self.deeds.all_until_done(intent, tuple(rest))
        else:
            self._check_ours(report, standing)
            if not standing.completed_at:
                missing = epochs.completion(report, await epochs.report_progress(epoch, head))
                await self.deeds.all_until_done(intent, missing)
        record = await epochs.record(epoch, await self.chain.checkpoint())
        if record is None or not record.completed_at:
            raise NotYet("the report is sent and not final yet")
        self._check_ours(report, record)
        return {"activates_at": record.activates_at}

    def _check_ours(self, report: Report, record: EpochRecord) -> None:
        """Raise RewardsError when the report of our epoch that stands on chain is not the one we settled."""
        ours = report_digest(report, self.chain.deployment.domain()).struct_hash()
        if record.struct_hash != ours:
            raise RewardsError(
                f"another report of epoch {report.epoch} stands on chain, of struct hash 0x{record.struct_hash.hex()};"
                f" ours has 0x{ours.hex()}: replay it, then challenge it or find out why ours differs"
            )

    async def _signatures(self, epoch: int, data: dict[str, Any], timing: Timing, head: Checkpoint) -> list[bytes]:
        """Return signatures of members of this moment, ascending by signer; raises NotYet when there is no quorum."""
        members, quorum = await self._members(head)
        present = {member.operator for member in members}
        signatures = {name: one for name, one in data["signatures"].items() if name in present}
        if len(signatures) < quorum:
            signatures = (await self._sign(epoch, data, timing))["signatures"]
        return [bytes.fromhex(signatures[name]) for name in sorted(signatures)]

    async def _activate(self, epoch: int, data: dict[str, Any], timing: Timing) -> dict[str, Any]:
        """Activate the report after its delay; push its credits and its delegators' rewards."""
        epochs = Epochs(self.chain)
        report = (await self._read(data)).report
        intent = f"activate:{epoch}:{report.evidence.hex()[:16]}"
        head = await self.chain.head()
        if (await epochs.progress(head)).next_activation <= epoch:
            if head.time < data["activates_at"]:
                raise NotYet(f"the report activates at {data['activates_at']}")
            await self.deeds.all_until_done(intent, epochs.activation(report))
        else:
            missing = epochs.pushes(report, await epochs.report_progress(epoch, head))
            await self.deeds.all_until_done(intent, missing)
        final = await self.chain.checkpoint()
        if (await epochs.progress(final)).next_activation <= epoch:
            raise NotYet("the activation is sent and not final yet")
        if not _pushed(report, await epochs.report_progress(epoch, final)):
            raise NotYet("credits or rewards are pushed and not final yet")
        return {}

    async def _propose(self, epoch: int, data: dict[str, Any], timing: Timing) -> dict[str, Any]:
        """Propose every slash the report calls for."""
        return {"slashes": await self.slashes.propose(epoch, await self._read(data))}

    async def _execute(self, epoch: int, data: dict[str, Any], timing: Timing) -> dict[str, Any]:
        """Bring the proposed slashes to their end, after challenge windows and rulings."""
        if data["slashes"]:
            await self.slashes.carry_out(epoch, data["slashes"], await self._read(data))
        return {}

    async def _start_over(self, epoch: int, why: str) -> None:
        """Settle an epoch again from a new checkpoint, as long as no report of it stands on chain.

        One that stands and cannot be completed is cancelled first, as soon as the contract allows it.
        """
        standing = await Epochs(self.chain).record(epoch, await self.chain.head())
        if standing is None:
            log.error("an epoch is settled again from a new checkpoint", epoch=epoch, why=why)
            await self.steps.start_over(epoch)
        elif not standing.completed_at:
            try:
                await self.cancelled.cancel(epoch, standing)
            except NotYet as waiting:
                await self.steps.note(epoch, f"{why}: {waiting}")

    # what steps share

    async def _wait_for_gateways(self, epoch: int, timing: Timing) -> None:
        """Wait until every gateway that still speaks has drained everything of the epoch."""
        end = (epoch + 1) * timing.slots_per_epoch
        for mark in await self.steps.watermarks():
            if mark.slot < end and mark.silent_s < self.settings.watermark_wait_s:
                raise NotYet(f"gateway {mark.gateway} has drained up to slot {mark.slot}, the epoch ends at {end}")

    async def _members(self, at: Checkpoint) -> tuple[list[OperatorRecord], int]:
        """Return the active verifiers at a block, and how many of them must sign."""
        operators = Operators(self.chain, "Verifiers")
        return [member for member in await operators.members(at) if member.active], await operators.quorum(at)

    async def _opening(self, epoch: int) -> EpochState:
        """Return the state the epoch before closed with, recomputed from its evidence."""
        if epoch == 0:
            return GENESIS
        before = await self.steps.get(epoch - 1)
        if before is None or "evidence" not in before.data:
            raise CheckpointRefused(f"the evidence of epoch {epoch - 1} is not here: restore the evidence folder")
        return (await self._read(before.data)).closing

    async def _read(self, data: dict[str, Any]) -> Settled:
        return await self.settled.read(bytes.fromhex(data["evidence"]))


def _calls_for_restart(step: Step, error: Exception) -> bool:
    """Say whether an epoch can only go on from a new checkpoint.

    Before its report is on chain: its checkpoint is gone, its evidence is damaged, its transaction failed for good,
    or a customer's escrow does not cover its charges any more.
    """
    if ORDER.index(step) > ORDER.index(Step.SUBMITTED):
        return False
    if isinstance(error, ContractRefused):
        return error.error_name in _CANNOT_BE_CHARGED
    if isinstance(error, EvidenceError):
        return step in (Step.SIGNED, Step.SUBMITTED)
    return isinstance(error, (CheckpointGone, TransactionReverted, IntentDropped))


def _pushed(report: Report, done: ReportProgress) -> bool:
    """Say whether every chunk of credits and pools of an activated report was pushed."""
    return done.credit_chunks >= len(chunks(report.credits)) and done.pool_chunks >= len(chunks(report.pools))


def _short(*parts: bytes) -> str:
    return sha256(b"".join(parts)).hexdigest()[:16]

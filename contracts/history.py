"""Read back from the chain's events what epochs came to: reports as submitted, and everything that moved money.

Whatever is read is held against what the contract keeps: the leaves against the root, the whole report against the
struct hash that the verifiers signed, so a node that alters a log is found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from contracts import leaves
from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.errors import HistoryDamaged, ReportMissing
from contracts.event_types import (
    Claimed,
    Compensated,
    Credited,
    Event,
    MovementsPublished,
    OwedClaimed,
    Position,
    ReportActivated,
    ReportSigned,
    ReportSubmitted,
    SlashCut,
    SlashExecuted,
    SlashProposed,
)
from contracts.events import decode_log, fetch, of_type, topic_of
from contracts.types import Checkpoint, Report
from contracts.views import EpochRecord

R = TypeVar("R", ReportSubmitted, ReportSigned, MovementsPublished)


@dataclass(frozen=True, slots=True)
class PublishedReport:
    """A report as it stands on the chain, with who signed it, what the contract keeps of it, and its transaction."""

    report: Report
    signers: tuple[str, ...]
    record: EpochRecord
    submitted: Position


@dataclass(frozen=True, slots=True)
class History:
    """What moved money up to a block, each list in chain order."""

    reports: tuple[PublishedReport, ...]
    activations: tuple[ReportActivated, ...]
    claims: tuple[Claimed, ...]
    owed_claims: tuple[OwedClaimed, ...]
    credits: tuple[Credited, ...]
    proposals: tuple[SlashProposed, ...]
    cuts: tuple[SlashCut, ...]
    slashes: tuple[SlashExecuted, ...]
    compensations: tuple[Compensated, ...]


_REPORT_PARTS: tuple[type[Event], ...] = (ReportSubmitted, ReportSigned, MovementsPublished)
_MONEY: tuple[type[Event], ...] = (
    *_REPORT_PARTS,
    ReportActivated,
    Claimed,
    OwedClaimed,
    Credited,
    SlashProposed,
    SlashCut,
    SlashExecuted,
    Compensated,
)


async def read_report(chain: Chain, epoch: int, at: Checkpoint) -> PublishedReport:
    """Return an epoch's report from its events; raises ReportMissing, or HistoryDamaged if they do not add up."""
    records = await Epochs(chain).records(max(0, epoch - 1), epoch, at)
    record = records[-1]
    if record is None:
        raise ReportMissing(epoch)
    first, last = await _blocks_of(chain, record, at)
    topic = "0x" + epoch.to_bytes(32).hex()
    ledger = [chain.deployment.address("EpochLedger")]
    kinds = ["0x" + topic_of(kind).hex() for kind in _REPORT_PARTS]
    logs = await chain.logs(first, last, ledger, [kinds, topic])
    events = [event for log in logs if (event := decode_log(chain.deployment, log)) is not None]
    before = records[0] if epoch else None
    return _publish(chain, epoch, record, before, events)


async def read_history(chain: Chain, at: Checkpoint, from_block: int | None = None) -> History:
    """Return all reports, claims, credits and slashes from a block (the deployment's first) up to a checkpoint."""
    start = chain.deployment.block if from_block is None else from_block
    events = await fetch(chain, start, at.number, kinds=_MONEY)
    epochs = [event.epoch for event in of_type(events, ReportSubmitted)]
    reports: list[PublishedReport] = []
    if epochs:
        first = max(0, epochs[0] - 1)
        records = dict(
            zip(range(first, epochs[-1] + 1), await Epochs(chain).records(first, epochs[-1], at), strict=True)
        )
        for epoch in epochs:
            record = records[epoch]
            if record is None:
                raise HistoryDamaged(f"there is an event of a report of epoch {epoch}, and no such report")
            reports.append(_publish(chain, epoch, record, records.get(epoch - 1), events))
    return History(
        reports=tuple(reports),
        activations=tuple(of_type(events, ReportActivated)),
        claims=tuple(of_type(events, Claimed)),
        owed_claims=tuple(of_type(events, OwedClaimed)),
        credits=tuple(of_type(events, Credited)),
        proposals=tuple(of_type(events, SlashProposed)),
        cuts=tuple(of_type(events, SlashCut)),
        slashes=tuple(of_type(events, SlashExecuted)),
        compensations=tuple(of_type(events, Compensated)),
    )


def _publish(
    chain: Chain, epoch: int, record: EpochRecord, before: EpochRecord | None, events: list[Event]
) -> PublishedReport:
    submitted = _one(of_type(events, ReportSubmitted), epoch)
    signed = _one(of_type(events, ReportSigned), epoch)
    moved = _one(of_type(events, MovementsPublished), epoch)
    report = Report(
        epoch=epoch,
        previous=bytes(32) if before is None else before.struct_hash,
        evidence=submitted.evidence,
        state=submitted.state,
        rules=submitted.rules,
        checkpoint_block=signed.checkpoint_block,
        checkpoint_hash=signed.checkpoint_hash,
        totals=submitted.totals,
        leaves=submitted.leaves,
        charges=moved.charges,
        credits=moved.credits,
        payees=moved.payees,
    )
    message = leaves.report_digest(report, chain.deployment.domain())
    if message.leaves != record.root:
        raise HistoryDamaged(f"the leaves of epoch {epoch} in the events do not hash to the root on the chain")
    if message.struct_hash() != record.struct_hash:
        raise HistoryDamaged(f"the events of epoch {epoch} are not the report that the verifiers signed")
    return PublishedReport(report, signed.signers, record, submitted.at)


def _one(found: Sequence[R], epoch: int) -> R:
    for event in found:
        if event.epoch == epoch:
            return event
    raise HistoryDamaged(f"an event of the report of epoch {epoch} is missing: ask another RPC endpoint")


async def _blocks_of(chain: Chain, record: EpochRecord, at: Checkpoint) -> tuple[int, int]:
    """Return the first and last block of the time at which a report was submitted, which the contract keeps."""
    least = chain.deployment.block
    before = await chain.block_at(record.submitted_at - 1, least)
    last = await chain.block_at(record.submitted_at, least)
    if last is None:
        raise HistoryDamaged("the chain has no block of the time at which the report was submitted")
    return (least if before is None else before.number + 1), min(last.number, at.number)

"""Read back from the chain's events what epochs came to: reports as signed, and everything that moved money."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.errors import HistoryDamaged, ReportMissing
from contracts.event_types import (
    ChallengeSustained,
    ChargeReturned,
    Claimed,
    Compensated,
    Credited,
    Event,
    OwedClaimed,
    PoolsPushed,
    Refunded,
    ReportActivated,
    ReportCancelled,
    ReportCompleted,
    ReportSubmitted,
    SlashCancelled,
    SlashContested,
    SlashCut,
    SlashExecuted,
    SlashProposed,
    SlashRuled,
    VerifierSlashed,
)
from contracts.events import fetch, of_type, sweep
from contracts.messages import ReportDigest
from contracts.published import REPORT_PARTS, SIGNED_PARTS, SOURCES, PublishedReport, ReportEvents
from contracts.types import Checkpoint
from contracts.views import EpochRecord

__all__ = ["History", "PublishedReport", "read_history", "read_report", "read_signed"]

_MONEY: tuple[type[Event], ...] = (
    *REPORT_PARTS,
    ReportCompleted,
    ReportCancelled,
    Refunded,
    ChargeReturned,
    Claimed,
    OwedClaimed,
    SlashProposed,
    SlashCut,
    SlashContested,
    SlashRuled,
    SlashCancelled,
    SlashExecuted,
    Compensated,
    VerifierSlashed,
    ChallengeSustained,
)


@dataclass(frozen=True, slots=True)
class History:
    """What moved money up to a block, each list in chain order; `reports` are those that were not cancelled."""

    reports: tuple[PublishedReport, ...]
    activations: tuple[ReportActivated, ...]
    cancellations: tuple[ReportCancelled, ...]
    refunds: tuple[Refunded, ...]
    returned: tuple[ChargeReturned, ...]
    claims: tuple[Claimed, ...]
    owed_claims: tuple[OwedClaimed, ...]
    credits: tuple[Credited, ...]
    pools: tuple[PoolsPushed, ...]
    proposals: tuple[SlashProposed, ...]
    cuts: tuple[SlashCut, ...]
    contests: tuple[SlashContested, ...]
    rulings: tuple[SlashRuled, ...]
    dropped: tuple[SlashCancelled, ...]
    slashes: tuple[SlashExecuted, ...]
    compensations: tuple[Compensated, ...]
    verifier_slashes: tuple[VerifierSlashed, ...]
    challenges: tuple[ChallengeSustained, ...]


async def read_signed(chain: Chain, epoch: int, at: Checkpoint) -> ReportDigest:
    """Return what was signed of an epoch's report, from its events: the contract keeps only its hash.

    What the events say must be what that hash is of. Raises ReportMissing, or HistoryDamaged if it is not or if the
    node does not show the events.
    """
    record = await Epochs(chain).record(epoch, at)
    if record is None:
        raise ReportMissing(epoch)
    found: list[Event] = []
    first = await _first_block_of(chain, record)
    async for part in sweep(chain, first, at.number, names=("EpochLedger",), kinds=SIGNED_PARTS):
        found += part
        if ReportEvents(found).holds_signed(epoch, record):
            break
    return ReportEvents(found).signed(epoch, record)


async def read_report(chain: Chain, epoch: int, at: Checkpoint) -> PublishedReport:
    """Return an epoch's report from its events; raises ReportMissing, or HistoryDamaged if they do not add up."""
    epochs = Epochs(chain)
    record, progress = await chain.read_many([epochs.record_view(epoch), epochs.report_progress_view(epoch)], at)
    if record is None:
        raise ReportMissing(epoch)
    first = await _first_block_of(chain, record)
    found: list[Event] = []
    async for part in sweep(chain, first, at.number, names=SOURCES, kinds=REPORT_PARTS):
        found += part
        if ReportEvents(found).enough(epoch, record, progress):
            break
    return ReportEvents(found).publish(chain.deployment.domain(), epoch, record, progress)


async def read_history(chain: Chain, at: Checkpoint, from_block: int | None = None) -> History:
    """Return all reports, claims, credits and slashes from a block (the deployment's first) up to a checkpoint."""
    start = chain.deployment.block if from_block is None else from_block
    events = await fetch(chain, start, at.number, kinds=_MONEY)
    return History(
        reports=await _reports(chain, events, at),
        activations=tuple(of_type(events, ReportActivated)),
        cancellations=tuple(of_type(events, ReportCancelled)),
        refunds=tuple(of_type(events, Refunded)),
        returned=tuple(of_type(events, ChargeReturned)),
        claims=tuple(of_type(events, Claimed)),
        owed_claims=tuple(of_type(events, OwedClaimed)),
        credits=tuple(of_type(events, Credited)),
        pools=tuple(of_type(events, PoolsPushed)),
        proposals=tuple(of_type(events, SlashProposed)),
        cuts=tuple(of_type(events, SlashCut)),
        contests=tuple(of_type(events, SlashContested)),
        rulings=tuple(of_type(events, SlashRuled)),
        dropped=tuple(of_type(events, SlashCancelled)),
        slashes=tuple(of_type(events, SlashExecuted)),
        compensations=tuple(of_type(events, Compensated)),
        verifier_slashes=tuple(of_type(events, VerifierSlashed)),
        challenges=tuple(of_type(events, ChallengeSustained)),
    )


async def _reports(chain: Chain, events: list[Event], at: Checkpoint) -> tuple[PublishedReport, ...]:
    submitted = of_type(events, ReportSubmitted)
    wanted = sorted({one.epoch for one in submitted})
    epochs = Epochs(chain)
    records = await chain.read_many([epochs.record_view(epoch) for epoch in wanted], at)
    progresses = await chain.read_many([epochs.report_progress_view(epoch) for epoch in wanted], at)
    accounted = {one.digest for one in of_type(events, ReportCancelled)}
    accounted |= {record.digest for record in records if record is not None}
    for one in submitted:
        if one.digest not in accounted:
            raise HistoryDamaged(f"there is an event of a report of epoch {one.epoch}, and no such report")
    found = ReportEvents(events)
    return tuple(
        found.publish(chain.deployment.domain(), epoch, record, progress)
        for epoch, record, progress in zip(wanted, records, progresses, strict=True)
        if record is not None
    )


async def _first_block_of(chain: Chain, record: EpochRecord) -> int:
    """Return the first block of the time at which a report was submitted, which the contract keeps."""
    before = await chain.block_at(record.submitted_at - 1, chain.deployment.block)
    return chain.deployment.block if before is None else before.number + 1

"""Replay an epoch: recompute a report from its evidence and the chain, and find the first thing that does not add up.

This is what an auditor runs, and what a verifier runs before it signs. It trusts nobody: the chain is read through
the caller's own node, evidence is checked against its digest, every signature is recovered, the chain's part of the
inputs is read again at the report's checkpoint, the opening state must be the one the report before closed with, and
the same `settle` must give the same report to the wei.
"""

from __future__ import annotations

import asyncio

from contracts.chain import Chain
from contracts.history import read_report
from rewards.blobs import Source
from rewards.chain_inputs import check_checkpoint, collect
from rewards.compare import compare_published
from rewards.evidence import Bundle, read_bundle
from rewards.examine import Progress, ReplayResult, examine, silent
from rewards.types import RULES_NUMBER, Difference

__all__ = ["ReplayResult", "examine", "recompute", "replay"]


async def replay(
    epoch: int, chain: Chain, source: Source, progress: Progress = silent, processes: int = 2
) -> ReplayResult:
    """Recompute a report that is on the chain, complete or not, activated or not: what was signed binds all of it.

    `progress(step, done, all)` is told what is going on; while evidence is read and examined it is called from another
    thread, so that a server goes on answering meanwhile.

    Raises EvidenceMissing or EvidenceDamaged naming the file when the evidence is not what the report's digest
    demands, ReportMissing (of `contracts`) when the epoch has no report, CheckpointRefused when the report's
    checkpoint can be no checkpoint.
    """
    progress("reading the report", 0, 1)
    published = await read_report(chain, epoch, await chain.checkpoint())
    progress("reading the report", 1, 1)
    bundle = await asyncio.to_thread(_read, source, published.signed.evidence, progress)
    difference = compare_published(published, bundle.report, chain.deployment.domain(), "report.json")
    if difference is not None:
        return ReplayResult(epoch, published.report, None, difference, len(bundle.inputs.attempts))
    return await _recompute(bundle, chain, progress, processes)


async def recompute(bundle: Bundle, chain: Chain, progress: Progress = silent, processes: int = 2) -> ReplayResult:
    """Recompute the report that a bundle carries, against the chain at the checkpoint the report names.

    The report need not be on the chain yet: this is what a verifier signs after, so only rules in force are taken.
    """
    if bundle.inputs.rules_number != RULES_NUMBER:
        found = Difference("manifest.version", str(RULES_NUMBER), str(bundle.inputs.rules_number))
        return ReplayResult(bundle.report.epoch, bundle.report, None, found, len(bundle.inputs.attempts))
    return await _recompute(bundle, chain, progress, processes)


async def _recompute(bundle: Bundle, chain: Chain, progress: Progress, processes: int) -> ReplayResult:
    report = bundle.report
    at = await check_checkpoint(chain, report.checkpoint_block, report.checkpoint_hash)
    if isinstance(at, Difference):
        return ReplayResult(report.epoch, report, None, at, len(bundle.inputs.attempts))
    progress("reading the chain at the checkpoint", 0, 1)
    view = await collect(chain, report.epoch, at)
    progress("reading the chain at the checkpoint", 1, 1)
    return await asyncio.to_thread(examine, bundle, view, progress, processes)


def _read(source: Source, digest: bytes, progress: Progress) -> Bundle:
    progress("reading the evidence", 0, 1)
    bundle = read_bundle(source, digest, lambda count: progress("reading the evidence", count, 0))
    progress("reading the evidence", 1, 1)
    return bundle

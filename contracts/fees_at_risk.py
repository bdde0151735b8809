"""Find what shows `ProviderStaking.unbond` how much of a provider's fees may still be taken back.

A provider that unbonds leaves ten times the fees of those reports whose challenge windows are open. It shows its leaf
in the newest report and its leaf in the newest one that has closed: the difference of their cumulative fees.
"""

from __future__ import annotations

from dataclasses import replace

from contracts import leaves
from contracts.chain import Chain
from contracts.court import Court
from contracts.epochs import Epochs
from contracts.errors import ContractRefused, ReportIncomplete
from contracts.history import read_report
from contracts.staking import Staking
from contracts.types import Checkpoint, FeesAtRisk, Leaf
from contracts.views import EpochRecord

_BATCH = 16


async def gather(chain: Chain, provider: str, at: Checkpoint) -> FeesAtRisk:
    """Return what to hand to `Staking.unbond`, read from the chain's events.

    Empty where the contract asks for nothing: no report was submitted, the newest one has closed, or the provider was
    in no list while its epoch ran. Raises ReportIncomplete while the newest report's leaves are not all published.
    """
    if await _asks_for_nothing(Staking(chain), provider, at):
        return FeesAtRisk()
    epochs = Epochs(chain)
    newest = (await epochs.progress(at)).next_epoch - 1
    leaf, proof = await _shown(chain, newest, provider, at)
    risk = FeesAtRisk(newest=leaf, newest_proof=proof)
    settings = await Court(chain).settings(at)
    closed_epoch = await _newest_closed(epochs, newest, settings.challenge_s + settings.arbitration_s, at)
    if closed_epoch is None:
        return risk
    leaf, proof = await _shown(chain, closed_epoch, provider, at)
    return replace(risk, closed_epoch=closed_epoch, closed=leaf, closed_proof=proof)


async def _asks_for_nothing(staking: Staking, provider: str, at: Checkpoint) -> bool:
    try:
        await staking.locked_for(provider, FeesAtRisk(), at)
    except ContractRefused as refused:
        if refused.error_name == "WrongLeaf":
            return False
        raise
    return True


async def _newest_closed(epochs: Epochs, before: int, window_s: int, at: Checkpoint) -> int | None:
    for last in range(before - 1, -1, -_BATCH):
        first = max(0, last - _BATCH + 1)
        records = await epochs.records(first, last, at)
        for epoch, record in zip(range(last, first - 1, -1), reversed(records), strict=True):
            if record is not None and _closed(record, window_s, at):
                return epoch
    return None


def _closed(record: EpochRecord, window_s: int, at: Checkpoint) -> bool:
    """Say whether no slash from a report can be under way any more, as `ProviderStaking` sees it."""
    return record.activated and record.activates_at + window_s <= at.time


async def _shown(chain: Chain, epoch: int, provider: str, at: Checkpoint) -> tuple[Leaf | None, tuple[bytes, ...]]:
    found = await read_report(chain, epoch, at)
    if "leaves" in found.missing:
        raise ReportIncomplete(epoch)
    for index, leaf in enumerate(found.report.leaves):
        if leaf.provider == provider:
            domain = chain.deployment.domain()
            return leaf, leaves.proof(leaves.leaf_hashes(domain.chain_id, domain.epoch_ledger, found.report), index)
    return None, ()

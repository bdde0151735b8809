"""Read the chain's part of an epoch's inputs at one checkpoint.

Settlement, verifiers and auditors all call `collect`, so they cannot disagree about what was read.
"""

from __future__ import annotations

import dataclasses

from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.gathering import gather_facts
from contracts.history import read_signed
from contracts.types import Checkpoint
from rewards.errors import CheckpointRefused
from rewards.state import GENESIS, state_digest
from rewards.types import ChainInputs, ChainView, Difference

_NAMES = tuple(one.name for one in dataclasses.fields(ChainInputs))
GENESIS_DIGEST = state_digest(GENESIS)


async def collect(chain: Chain, epoch: int, at: Checkpoint) -> ChainView:
    """Read everything at `at`; raises CheckpointRefused when that block is too early to settle the epoch.

    The checkpoint comes after the end of the epoch and after the report before was complete, so that balances are
    those which that report's charges left behind; and no charges of a cancelled report wait to be returned then.
    """
    opening, epochs = GENESIS_DIGEST, Epochs(chain)
    if epoch:
        record = await epochs.record(epoch - 1, at)
        if record is None:
            raise CheckpointRefused(
                f"at block {at.number} the report of epoch {epoch - 1} is not on the chain: take a block after it"
            )
        if not record.completed_at:
            raise CheckpointRefused(
                f"at block {at.number} the report of epoch {epoch - 1} lacks leaves or charges: take a block after them"
            )
        opening = (await read_signed(chain, epoch - 1, at)).state
    if refunds := await epochs.refunds_due(at):
        raise CheckpointRefused(
            f"at block {at.number} charges of {refunds} units of a cancelled report wait to be returned: return them"
            f" (`EpochLedger.refund`), then take a later block"
        )
    facts = await gather_facts(chain, epoch, at)
    end = facts.timing.epoch_end(epoch)
    if at.time < end:
        raise CheckpointRefused(f"block {at.number} is of {at.time}, epoch {epoch} ends at {end}: take a later block")
    inputs = ChainInputs(**{name: getattr(facts, name) for name in _NAMES})
    return ChainView(inputs, dict(facts.commitments), opening)


async def check_checkpoint(chain: Chain, number: int, block_hash: bytes) -> Checkpoint | Difference:
    """Return the block a report names as its checkpoint, or how it differs from the chain's own final history."""
    final = await chain.checkpoint()
    if number > final.number:
        return Difference("report.checkpoint_block", f"at most the final block {final.number}", str(number))
    block = await chain.block(number)
    if block is None or block.hash != block_hash:
        ours = "no such block" if block is None else "0x" + block.hash.hex()
        return Difference("report.checkpoint_hash", ours, "0x" + block_hash.hex())
    return block

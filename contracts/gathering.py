"""Gather everything that the chain alone decides about an epoch, at one checkpoint.

Gateway, verifiers and auditor each read this from their own RPC and must find the same: fields are those of the chain's
part of `rewards.types.EpochInputs`, by the same names.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.errors import ReportMissing
from contracts.escrow import Escrow
from contracts.operators import Operators
from contracts.staking import Staking
from contracts.tokens import Token
from contracts.types import Checkpoint, CustomerRecord, OperatorRecord, ProviderRecord, RulesRecord, Timing

SixWords = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """An epoch as the chain has it at a checkpoint; all addresses ascend.

    `previous`: struct hash of the report before, zero for epoch 0. `commitments`: what each verifier committed for the
    epoch, zero for nothing. `maintenance` is empty while providers cannot declare any.
    """

    epoch: int
    chain_id: int
    epoch_ledger: str
    timing: Timing
    checkpoint: Checkpoint
    decimals: int
    stake_decimals: int
    quorum: int
    rules: RulesRecord
    incentive_fund: int
    providers: tuple[ProviderRecord, ...]
    verifiers: tuple[OperatorRecord, ...]
    gateways: tuple[OperatorRecord, ...]
    customers: tuple[CustomerRecord, ...]
    maintenance: tuple[tuple[str, SixWords], ...]
    previous: bytes
    commitments: dict[str, bytes]


async def gather_facts(chain: Chain, epoch: int, at: Checkpoint) -> ChainFacts:
    """Read an epoch's facts at a checkpoint; raises ReportMissing when the report before it is not on the chain yet."""
    epochs, verifiers, gateways = Epochs(chain), Operators(chain, "Verifiers"), Operators(chain, "Gateways")
    previous = bytes(32)
    if epoch > 0:
        before = await epochs.record(epoch - 1, at)
        if before is None:
            raise ReportMissing(epoch - 1)
        previous = before.struct_hash
    members = await verifiers.members(at)
    timing, rules, fund, quorum = await asyncio.gather(
        epochs.timing(at), epochs.rules(epoch, at), epochs.incentive_fund(at), verifiers.quorum(at)
    )
    providers, customers, others = await asyncio.gather(
        Staking(chain).providers(at), Escrow(chain).records(epoch, at), gateways.members(at)
    )
    decimals, stake_decimals = await asyncio.gather(
        Token(chain, "PaymentToken").decimals(at), Token(chain, "StakeToken").decimals(at)
    )
    return ChainFacts(
        epoch=epoch,
        chain_id=chain.chain_id,
        epoch_ledger=epochs.address,
        timing=timing,
        checkpoint=at,
        decimals=decimals,
        stake_decimals=stake_decimals,
        quorum=quorum,
        rules=rules,
        incentive_fund=fund,
        providers=providers,
        verifiers=members,
        gateways=others,
        customers=customers,
        maintenance=(),
        previous=previous,
        commitments=await verifiers.seed_commitments([one.operator for one in members], epoch, at),
    )

"""Gather everything that the chain alone decides about an epoch, at one checkpoint.

Gateway, verifiers and auditor each read this from their own RPC and must find the same: fields are those of the chain's
part of `rewards.types.EpochInputs`, by the same names.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from contracts.chain import Chain
from contracts.clock import Clock
from contracts.epochs import Epochs
from contracts.errors import ReportMissing
from contracts.escrow import Escrow
from contracts.operators import Operators
from contracts.staking import Staking
from contracts.tokens import Token
from contracts.types import Checkpoint, CustomerRecord, OperatorRecord, ProviderRecord, RulesRecord, Timing, Window


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """An epoch as the chain has it at a checkpoint; all addresses ascend.

    `previous`: struct hash of the report before, zero for epoch 0. `commitments`: what each verifier committed for the
    epoch, zero for nothing. `maintenance`: of the providers that declared any, the windows that overlap the epoch,
    oldest first.
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
    maintenance: tuple[tuple[str, tuple[Window, ...]], ...]
    previous: bytes
    commitments: dict[str, bytes]


async def gather_facts(chain: Chain, epoch: int, at: Checkpoint) -> ChainFacts:
    """Read an epoch's facts at a checkpoint; raises ReportMissing when the report before it is not on the chain yet."""
    epochs, clock, staking = Epochs(chain), Clock(chain), Staking(chain)
    verifiers, gateways = Operators(chain, "Verifiers"), Operators(chain, "Gateways")
    previous = bytes(32)
    if epoch > 0:
        before = await epochs.record(epoch - 1, at)
        if before is None:
            raise ReportMissing(epoch - 1)
        previous = before.struct_hash
    members = await verifiers.members(at)
    timing, rules, fund, quorum = await asyncio.gather(
        clock.timing(at), clock.rules(epoch, at), epochs.incentive_fund(at), verifiers.quorum(at)
    )
    providers, customers, others = await asyncio.gather(
        staking.providers(at, epoch), Escrow(chain).records(epoch, at), gateways.members(at)
    )
    decimals, stake_decimals = await asyncio.gather(
        Token(chain, "PaymentToken").decimals(at), Token(chain, "StakeToken").decimals(at)
    )
    names = [one.provider for one in providers]
    start, end = timing.epoch_start(epoch), timing.epoch_end(epoch)
    declared = await chain.read_many([staking.maintenance_view(name, start, end) for name in names], at)
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
        maintenance=tuple((name, windows) for name, windows in zip(names, declared, strict=True) if windows),
        previous=previous,
        commitments=await verifiers.seed_commitments([one.operator for one in members], epoch, at),
    )

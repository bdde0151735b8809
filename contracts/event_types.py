"""Every event of the contracts as a frozen dataclass; fields are the snake-case form of the Solidity ones.

Where two contracts have an event of one name, the class carries the contract in its name. No web3 here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from contracts.types import Charge, Credit, Leaf, Payee, RulesRecord, Totals


@dataclass(frozen=True, slots=True)
class Position:
    """Where a log stands: block, transaction, index in the block, and the contract by its name in the deployment."""

    block_number: int
    block_hash: bytes
    tx_hash: bytes
    log_index: int
    contract_name: str


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `CONTRACT` is the artifact and `NAME` the Solidity name where it is not the class's."""

    CONTRACT: ClassVar[str] = ""
    NAME: ClassVar[str] = ""
    at: Position


# ------------------------------------------------------------------------------------------------- ProviderStaking


@dataclass(frozen=True, slots=True)
class _Staking(Event):
    CONTRACT: ClassVar[str] = "ProviderStaking"
    provider: str


@dataclass(frozen=True, slots=True)
class ProviderRegistered(_Staking):
    """An address became a provider."""

    signer: str
    hardware_class: int
    units: int
    offer_digest: bytes
    region: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class ProviderUpdated(_Staking):
    """A provider changed signer, offer, region or endpoint."""

    signer: str
    offer_digest: bytes
    region: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class ProviderListed(_Staking):
    """A provider's stake reached its requirement for the first time."""

    index: int


@dataclass(frozen=True, slots=True)
class Staked(_Staking):
    """Stake was bonded; `from_` paid it."""

    from_: str
    amount: int
    stake_after: int


@dataclass(frozen=True, slots=True)
class Unbonded(_Staking):
    """Stake entered the unbonding pool."""

    id: int
    amount: int
    shares: int
    release_at: int
    stake_after: int


@dataclass(frozen=True, slots=True)
class UnbondMatured(_Staking):
    """An unbond left the pool and belongs to its owner."""

    id: int
    amount: int


@dataclass(frozen=True, slots=True)
class UnbondVoided(_Staking):
    """A slash took the whole pool, and this unbond with it."""

    id: int


@dataclass(frozen=True, slots=True)
class StakeWithdrawn(_Staking):
    """A provider took out what had matured."""

    NAME: ClassVar[str] = "Withdrawn"
    amount: int


@dataclass(frozen=True, slots=True)
class Slashed(_Staking):
    """Stake was taken, unmatured unbonds after the bonded part."""

    requested: int
    from_stake: int
    from_unbonding: int
    stake_after: int


@dataclass(frozen=True, slots=True)
class Jailed(_Staking):
    """A provider may not work until it is unjailed."""


@dataclass(frozen=True, slots=True)
class Unjailed(_Staking):
    """A jailed provider works again."""


@dataclass(frozen=True, slots=True)
class Removed(_Staking):
    """A provider may never work again."""


# ------------------------------------------------------------------------------------------------------- JobEscrow


@dataclass(frozen=True, slots=True)
class _Escrow(Event):
    CONTRACT: ClassVar[str] = "JobEscrow"


@dataclass(frozen=True, slots=True)
class Deposited(_Escrow):
    """A customer's balance grew; `from_` paid it."""

    customer: str
    from_: str
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class CapSet(_Escrow):
    """From an epoch on, at most `cap` may be charged per epoch."""

    customer: str
    cap: int
    from_epoch: int


@dataclass(frozen=True, slots=True)
class WithdrawalRequested(_Escrow):
    """A part of a balance began to thaw."""

    customer: str
    amount: int
    thawing_after: int
    thawed_at: int


@dataclass(frozen=True, slots=True)
class WithdrawalCancelled(_Escrow):
    """What thawed went back."""

    customer: str
    amount: int


@dataclass(frozen=True, slots=True)
class EscrowWithdrawn(_Escrow):
    """A customer took out what had thawed."""

    NAME: ClassVar[str] = "Withdrawn"
    customer: str
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Charged(_Escrow):
    """A customer paid for an epoch."""

    customer: str
    epoch: int
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class Credited(_Escrow):
    """A customer got money back for a provider's missed service level."""

    customer: str
    provider: str
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class SlaFundChanged(_Escrow):
    """The payment-token part of the SLA fund moved."""

    delta: int
    fund_after: int


@dataclass(frozen=True, slots=True)
class StakeSlaFundChanged(_Escrow):
    """The stake-token part of the SLA fund moved."""

    delta: int
    fund_after: int


@dataclass(frozen=True, slots=True)
class Compensated(_Escrow):
    """A customer got a part of a slash, in stake tokens."""

    customer: str
    amount: int
    compensation_after: int


@dataclass(frozen=True, slots=True)
class CompensationWithdrawn(_Escrow):
    """A customer took out its compensation."""

    customer: str
    amount: int


# ------------------------------------------------------------------------------------------------- BondedOperators


@dataclass(frozen=True, slots=True)
class _Operator(Event):
    CONTRACT: ClassVar[str] = "BondedOperators"
    operator: str


@dataclass(frozen=True, slots=True)
class Joined(_Operator):
    """An operator posted its bond; `at.contract_name` tells verifiers from gateways."""

    bond: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class EndpointSet(_Operator):
    """An operator can be reached elsewhere."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Left(_Operator):
    """An operator left the set."""

    release_at: int


@dataclass(frozen=True, slots=True)
class BondWithdrawn(_Operator):
    """An operator got its bond back."""

    NAME: ClassVar[str] = "Withdrawn"
    amount: int


@dataclass(frozen=True, slots=True)
class SeedCommitted(_Operator):
    """A verifier bound itself to the secret behind its plan."""

    epoch: int
    commitment: bytes


# ----------------------------------------------------------------------------------------------------- EpochLedger


@dataclass(frozen=True, slots=True)
class _Ledger(Event):
    CONTRACT: ClassVar[str] = "EpochLedger"


@dataclass(frozen=True, slots=True)
class Opened(_Ledger):
    """The epoch clock was started."""

    genesis: int


@dataclass(frozen=True, slots=True)
class RulesSet(_Ledger):
    """Settlement rules from an epoch on."""

    from_epoch: int
    rules: RulesRecord


@dataclass(frozen=True, slots=True)
class IncentivesFunded(_Ledger):
    """The incentive fund grew; `from_` paid it."""

    from_: str
    amount: int
    fund_after: int


@dataclass(frozen=True, slots=True)
class ReportSubmitted(_Ledger):
    """A report was taken in, with its leaves."""

    epoch: int
    digest: bytes
    root: bytes
    evidence: bytes
    state: bytes
    rules: bytes
    totals: Totals
    leaves: tuple[Leaf, ...]
    activates_at: int


@dataclass(frozen=True, slots=True)
class ReportSigned(_Ledger):
    """Where the inputs of a report were read, and who signed it."""

    epoch: int
    struct_hash: bytes
    checkpoint_block: int
    checkpoint_hash: bytes
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MovementsPublished(_Ledger):
    """The money a report moves."""

    epoch: int
    charges: tuple[Charge, ...]
    credits: tuple[Credit, ...]
    payees: tuple[Payee, ...]


@dataclass(frozen=True, slots=True)
class ReportActivated(_Ledger):
    """A report took effect."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Claimed(_Ledger):
    """A provider was paid what it had earned."""

    provider: str
    epoch: int
    fees: int
    incentive: int


@dataclass(frozen=True, slots=True)
class OwedClaimed(_Ledger):
    """A verifier or the treasury was paid."""

    payee: str
    amount: int


# --------------------------------------------------------------------------------------------------- SlashingCourt


@dataclass(frozen=True, slots=True)
class _Court(Event):
    CONTRACT: ClassVar[str] = "SlashingCourt"
    id: int
    provider: str


@dataclass(frozen=True, slots=True)
class SlashProposed(_Court):
    """A slash was opened from a leaf."""

    epoch: int
    level: int
    amount: int
    executable_at: int


@dataclass(frozen=True, slots=True)
class SlashCut(_Court):
    """A slash was cut because thirty days of them reached their limit."""

    full: int
    amount: int


@dataclass(frozen=True, slots=True)
class SlashExecuted(_Court):
    """A slash was carried out and what it took was split."""

    taken: int
    to_harmed: int
    to_sla_fund: int
    burned: int


# --------------------------------------------------------------------------------------------------------- tokens


@dataclass(frozen=True, slots=True)
class Transfer(Event):
    """Tokens moved."""

    CONTRACT: ClassVar[str] = "DevToken"
    from_: str
    to: str
    value: int


@dataclass(frozen=True, slots=True)
class Approval(Event):
    """Somebody may take tokens."""

    CONTRACT: ClassVar[str] = "DevToken"
    owner: str
    spender: str
    value: int

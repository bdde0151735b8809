"""Events about money and time: escrow, clock, reports, the pause, and the tokens. No web3 here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from contracts.event_base import Event
from contracts.types import Harm, LimitsRecord, Payee, Pool, RulesRecord, Totals

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
class SessionSet(_Escrow):
    """A key may act for a customer until a time, with caps up to `most_cap`; zero ended that."""

    customer: str
    key: str
    expires_at: int
    most_cap: int


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
class ChargeReturned(_Escrow):
    """A charge of a cancelled report came back."""

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


# ------------------------------------------------------------------------------------------------------ EpochClock


@dataclass(frozen=True, slots=True)
class _Clock(Event):
    CONTRACT: ClassVar[str] = "EpochClock"


@dataclass(frozen=True, slots=True)
class Opened(_Clock):
    """The epoch clock was started."""

    genesis: int


@dataclass(frozen=True, slots=True)
class RulesSet(_Clock):
    """Settlement rules from an epoch on."""

    from_epoch: int
    rules: RulesRecord


@dataclass(frozen=True, slots=True)
class LimitsSet(_Clock):
    """What no report may exceed, from then on."""

    limits: LimitsRecord


# ----------------------------------------------------------------------------------------------------- EpochLedger


@dataclass(frozen=True, slots=True)
class _Ledger(Event):
    CONTRACT: ClassVar[str] = "EpochLedger"


@dataclass(frozen=True, slots=True)
class IncentivesFunded(_Ledger):
    """The incentive fund grew; `from_` paid it."""

    from_: str
    amount: int
    fund_after: int


@dataclass(frozen=True, slots=True)
class ReportSubmitted(_Ledger):
    """A report was signed and taken in; with ReportSigned it carries everything that was signed."""

    epoch: int
    digest: bytes
    root: bytes
    leaf_count: int
    evidence: bytes
    state: bytes
    rules: bytes
    measurements: bytes
    movements: bytes
    totals: Totals
    harms: tuple[Harm, ...]


@dataclass(frozen=True, slots=True)
class ReportSigned(_Ledger):
    """Where the inputs of a report were read, and who signed it."""

    epoch: int
    struct_hash: bytes
    previous: bytes
    checkpoint_block: int
    checkpoint_hash: bytes
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeavesPublished(_Ledger):
    """A chunk of leaves as packed; `contracts.leaves.unpack_all` reads them."""

    epoch: int
    chunk: int
    packed: bytes


@dataclass(frozen=True, slots=True)
class ReportCompleted(_Ledger):
    """All leaves and charges of a report are in; the activation delay runs."""

    epoch: int
    activates_at: int


@dataclass(frozen=True, slots=True)
class ReportActivated(_Ledger):
    """A report took effect; verifiers and the treasury are owed their parts."""

    epoch: int
    payees: tuple[Payee, ...]


@dataclass(frozen=True, slots=True)
class PoolsPushed(_Ledger):
    """A chunk of delegators' rewards of a report reached `Delegation`."""

    epoch: int
    chunk: int
    pools: tuple[Pool, ...]


@dataclass(frozen=True, slots=True)
class CreditsPushed(_Ledger):
    """A chunk of credits of a report reached the escrow."""

    epoch: int
    chunk: int
    amount: int


@dataclass(frozen=True, slots=True)
class ReportCancelled(_Ledger):
    """A report was undone before it took effect; its charges wait to be returned."""

    epoch: int
    digest: bytes
    by: str
    to_refund: int


@dataclass(frozen=True, slots=True)
class Refunded(_Ledger):
    """A chunk of charges of a cancelled report was returned."""

    digest: bytes
    chunk: int
    amount: int


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


# -------------------------------------------------------------------------------------------------------- Guardian


@dataclass(frozen=True, slots=True)
class _Guardian(Event):
    CONTRACT: ClassVar[str] = "Guardian"
    by: str


@dataclass(frozen=True, slots=True)
class Paused(_Guardian):
    """The market takes nothing in until a time."""

    until: int


@dataclass(frozen=True, slots=True)
class Unpaused(_Guardian):
    """A pause was ended early."""


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

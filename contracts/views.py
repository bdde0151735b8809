"""What single contracts tell about themselves, whole; what settlement needs of it is in `contracts.types`.

Field names are the snake-case form of the Solidity structs. Amounts are token units, times unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.types import CustomerRecord, ProviderRecord, Timing, Totals


@dataclass(frozen=True, slots=True)
class ProviderView:
    """Everything `ProviderStaking` holds of a provider."""

    provider: str
    signer: str
    hardware_class: int
    units: int
    weight: int
    status: int
    registered_at: int
    offer_digest: bytes
    region: str
    endpoint: str
    stake: int
    required_stake: int
    unbonding: int
    slashed_total: int

    def record(self) -> ProviderRecord:
        """Return the part that settlement reads."""
        return ProviderRecord(
            provider=self.provider,
            signer=self.signer,
            endpoint=self.endpoint,
            hardware_class=self.hardware_class,
            units=self.units,
            weight=self.weight,
            offer_digest=self.offer_digest,
            status=self.status,
            registered_at=self.registered_at,
            stake=self.stake,
            required_stake=self.required_stake,
        )


@dataclass(frozen=True, slots=True)
class UnbondView:
    """An open unbond; `amount` is what it is worth at the block, slashes counted."""

    id: int
    amount: int
    release_at: int
    matured: bool


@dataclass(frozen=True, slots=True)
class StakeTotals:
    """The books of `ProviderStaking`: its token balance covers their sum."""

    stake: int
    unbonding: int
    matured: int


@dataclass(frozen=True, slots=True)
class CustomerView:
    """Everything `JobEscrow` holds of a customer; `compensation` is in stake-token units."""

    customer: str
    balance: int
    thawing: int
    thawed_at: int
    cap: int
    cap_next: int
    cap_next_from: int
    compensation: int

    def record(self, epoch: int) -> CustomerRecord:
        """Return the part that settlement reads, with the cap in force for `epoch`: a running or coming one."""
        lowered = self.cap_next_from != 0 and epoch >= self.cap_next_from
        return CustomerRecord(self.customer, self.balance, self.thawing, self.cap_next if lowered else self.cap)


@dataclass(frozen=True, slots=True)
class EscrowFunds:
    """The books of `JobEscrow`; the last two are in stake-token units."""

    balances: int
    sla_fund: int
    compensation: int
    stake_sla_fund: int


@dataclass(frozen=True, slots=True)
class EpochSettings:
    """What `EpochLedger` was deployed with."""

    timing: Timing
    report_delay_s: int
    activation_delay_s: int
    payment_token: str
    escrow: str
    verifiers: str
    treasury: str


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """How far settlement has come: the next epoch to report, the next to activate, the epoch of the block's time."""

    next_epoch: int
    next_activation: int
    current_epoch: int


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What `EpochLedger` keeps of a report."""

    digest: bytes
    struct_hash: bytes
    root: bytes
    evidence: bytes
    state: bytes
    rules: bytes
    credits_hash: bytes
    payees_hash: bytes
    totals: Totals
    submitted_at: int
    activates_at: int
    activated: bool
    sum_fees: int
    sum_incentive: int


@dataclass(frozen=True, slots=True)
class LedgerBooks:
    """What the payment tokens in `EpochLedger` are for: its balance covers their sum."""

    pending: int
    fees: int
    incentives: int
    owed: int
    incentive_fund: int


@dataclass(frozen=True, slots=True)
class SlashView:
    """A slash in `SlashingCourt`; `executed_at` is zero while it waits."""

    id: int
    provider: str
    epoch: int
    level: int
    proposed_at: int
    executable_at: int
    executed_at: int
    amount: int
    taken: int
    harmed: bytes


@dataclass(frozen=True, slots=True)
class MemberView:
    """Everything `BondedOperators` holds of an operator; `release_at` is zero until it left."""

    operator: str
    endpoint: str
    bond: int
    joined_at: int
    active: bool
    release_at: int


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What an instance of `BondedOperators` was deployed with."""

    bond: int
    most: int
    least: int
    quorum: int
    unbonding_s: int

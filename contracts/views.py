"""What single contracts tell about themselves, whole; what settlement needs of it is in `contracts.types`.

Field names are the snake-case form of the Solidity structs. Amounts are token units, times unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.types import ProviderRecord, SlashStage, Timing, Totals


@dataclass(frozen=True, slots=True)
class ProviderView:
    """Everything `ProviderStaking` holds of a provider; hardware as a quorum measured it, else as declared."""

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

    def record(self, delegated: int, commission_ppm: int) -> ProviderRecord:
        """Return the part that settlement reads, with what `Delegation` says of the provider."""
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
            delegated=delegated,
            commission_ppm=commission_ppm,
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
class StakingSettings:
    """What `ProviderStaking` was deployed with; `maintenance_s` is the most of it in a rolling 30 days."""

    unbonding_s: int
    base_stake: int
    notice_s: int
    maintenance_s: int


@dataclass(frozen=True, slots=True)
class PoolView:
    """What is delegated to a provider, and its commission: the running epoch's, and the next with its first epoch."""

    provider: str
    delegated: int
    shares: int
    unbonding: int
    commission_ppm: int
    commission_next_ppm: int
    commission_next_from: int


@dataclass(frozen=True, slots=True)
class PositionView:
    """What somebody has behind one provider; `amount` is what its shares are worth, `rewards` payment-token units."""

    shares: int
    amount: int
    unbonding: int
    withdrawable: int
    next_release: int
    rewards: int


@dataclass(frozen=True, slots=True)
class DelegationTotals:
    """The books of `Delegation`: its stake tokens cover the first three, its payment tokens the rewards."""

    delegated: int
    unbonding: int
    matured: int
    rewards: int


@dataclass(frozen=True, slots=True)
class CustomerView:
    """Everything `JobEscrow` holds of a customer; `compensation` is in stake-token units.

    `cap_next` is the nearest change that waits; another may wait behind it, so ask `Escrow.cap_for` for a later epoch.
    """

    customer: str
    balance: int
    thawing: int
    thawed_at: int
    cap: int
    cap_next: int
    cap_next_from: int
    compensation: int


@dataclass(frozen=True, slots=True)
class EscrowFunds:
    """The books of `JobEscrow`; the last two are in stake-token units."""

    balances: int
    sla_fund: int
    compensation: int
    stake_sla_fund: int


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session key of a customer: whose it is, until when, and up to which cap it may go."""

    key: str
    customer: str
    expires_at: int
    most_cap: int


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """What `EpochClock` was deployed with."""

    timing: Timing
    report_delay_s: int
    activation_delay_s: int


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """How far settlement has come: the next epoch to report, the next to activate, the epoch of the block's time."""

    next_epoch: int
    next_activation: int
    current_epoch: int


@dataclass(frozen=True, slots=True)
class ReportProgress:
    """How many chunks of each kind of a report came in."""

    leaf_chunks: int = 0
    charge_chunks: int = 0
    credit_chunks: int = 0
    pool_chunks: int = 0


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What `EpochLedger` keeps of a report; `completed_at` and `activates_at` are zero while chunks are missing.

    The rest of what was signed is read by `contracts.history.read_signed`.
    """

    digest: bytes
    struct_hash: bytes
    root: bytes
    measurements: bytes
    movements: bytes
    signers: bytes
    totals: Totals
    leaf_count: int
    submitted_at: int
    completed_at: int
    activates_at: int
    activated: bool
    sum_fees: int
    sum_incentive: int


@dataclass(frozen=True, slots=True)
class LedgerBooks:
    """What the payment tokens in `EpochLedger` are for: its balance covers their sum."""

    pending: int
    refunds: int
    credits: int
    pools: int
    fees: int
    incentives: int
    owed: int
    incentive_fund: int


@dataclass(frozen=True, slots=True)
class SlashView:
    """A slash in `SlashingCourt`; `amount` was asked of the stake, `taken` was given."""

    id: int
    provider: str
    epoch: int
    code: int
    stage: SlashStage
    queued: bool
    proposed_at: int
    executable_at: int
    rule_by: int
    proposer: str
    contestant: str
    bond: int
    amount: int
    taken: int
    harmed: bytes
    harmed_part: int
    harmed_given: int
    pages_given: int


@dataclass(frozen=True, slots=True)
class CourtSettings:
    """What `SlashingCourt` was deployed with."""

    challenge_s: int
    arbitration_s: int
    margin_s: int
    least_bond: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """Slashes opened within seven days, and the sum above which further ones are queued; stake-token units."""

    opened: int
    limit: int


@dataclass(frozen=True, slots=True)
class GuardianView:
    """Whether the market is paused at the block, until when, and when the next pause may begin; zero for never."""

    paused: bool
    paused_until: int
    next_pause_at: int


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

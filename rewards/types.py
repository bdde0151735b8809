"""What settlement reads and returns.

Every field comes from the chain at one checkpoint or from a signed message, so a stranger can rebuild it.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.messages import CanaryDay, CheckDay, Countersignature, ProbeDay, RatingDay, Receipt
from contracts.types import (
    Checkpoint,
    CustomerRecord,
    Harmed,
    MeasuredLeaf,
    OperatorRecord,
    ProviderRecord,
    Report,
    RulesRecord,
    Timing,
    Window,
)

RULES_NUMBER = 3
"""The number of the rules in force; it is the version of an evidence bundle's manifest too."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one job: the provider's receipt and the gateway's countersignature.

    `provider_signature` is empty when the provider signed nothing; then the receipt carries a failure status, no
    tokens and no charge. `gateway` is the address the countersignature recovers to.
    """

    receipt: Receipt
    provider_signature: bytes
    countersignature: Countersignature
    gateway: str
    gateway_signature: bytes


@dataclass(frozen=True, slots=True)
class SignedProbeDay:
    """A ProbeDay with its verifier and signature."""

    verifier: str
    day: ProbeDay
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedCanaryDay:
    """A CanaryDay with its verifier and signature."""

    verifier: str
    day: CanaryDay
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedCheckDay:
    """A CheckDay with its verifier and signature."""

    verifier: str
    day: CheckDay
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedRatingDay:
    """A RatingDay with its gateway and signature."""

    gateway: str
    day: RatingDay
    signature: bytes


@dataclass(frozen=True, slots=True)
class SeedReveal:
    """The secret a verifier drew its probe plan from.

    Keccak256(seed) was committed on chain before the epoch began (`committed`, zero when it was not).
    """

    verifier: str
    seed: bytes
    committed: bytes


@dataclass(frozen=True, slots=True)
class ServiceDay:
    """How many slots of an epoch counted and how many of these were down: one line of a service level's memory."""

    counted: int
    down: int


@dataclass(frozen=True, slots=True)
class CriticalState:
    """What a customer of class critical met: per epoch the slots in which all of its providers were down."""

    customer: str
    service_days: tuple[ServiceDay, ...]


@dataclass(frozen=True, slots=True)
class Scarcity:
    """The scarcity multiplier of a hardware class at the end of an epoch."""

    hardware_class: int
    ppm: int


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What one provider carries from epoch to epoch.

    `smoothed` (means in ppm) and `observations` (weights in thousandths of an observation) are defined in
    `rewards.score`, components in the order uptime, success, latency, verification, rating. `strike_epochs` lists the
    epochs of the strikes still counted, `standing` is what `rewards.penalty.standing_after` makes of them;
    `down_run_slots` is the length of the outage in progress at the epoch's end.
    `clean_epochs` counts measured epochs without a strike (`rewards.tenure`), `service_days` holds the counted and the
    down slots of the epochs before that still matter to service levels (`rewards.service`), oldest first. `unnamed` and
    `awaited` are jobs whose receipts the next ones may name and must show (`rewards.missing`).
    `active`: it could be matched at the epoch's checkpoint (`rewards.measurement.on_duty`). `signer`: its hot key then,
    which may have signed receipts of the next epoch before it was replaced.
    """

    provider: str
    cumulative_fees: int
    cumulative_incentive: int
    smoothed: tuple[int, int, int, int, int]
    observations: tuple[int, int, int, int, int]
    score_ppm: int
    strike_epochs: tuple[int, ...]
    standing: int
    down_run_slots: int
    active: bool
    signer: str
    clean_epochs: int = 0
    service_days: tuple[ServiceDay, ...] = ()
    unnamed: tuple[bytes, ...] = ()
    awaited: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Carry:
    """A customer's unbilled remainder in atto, always below one token unit."""

    customer: str
    atto: int


@dataclass(frozen=True, slots=True)
class EpochState:
    """Everything that one epoch hands to the next; its SHA-256 is the report's `state`.

    Epoch -1 is the genesis state: nothing at all. `report` is the struct hash of the report that closed the epoch; it
    contains `state`, so it is no part of the digest: zero until that report is complete, then taken from the chain.
    `scarcity` ascends by hardware class, `critical` by customer.
    """

    epoch: int
    providers: tuple[ProviderState, ...]
    carries: tuple[Carry, ...]
    sla_fund: int
    report: bytes
    scarcity: tuple[Scarcity, ...] = ()
    critical: tuple[CriticalState, ...] = ()


@dataclass(frozen=True, slots=True)
class EpochInputs:
    """All that `settle` may look at for one epoch, in canonical order.

    Addresses ascend; attempts are ordered by job, then attempt; days of every kind by provider, then verifier (rating
    days: then gateway).

    `chain_id`, `epoch_ledger`: the signing domain. `decimals`, `stake_decimals`: of the payment and the stake token.
    `incentive_fund`: payment units available for incentives. `sla_fund` in `opening` is the fund after the previous
    report. `maintenance`: what each provider declared that touches the epoch. `rules_number`: which of the rules that
    were ever in force apply (`rewards.rules`).
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
    probe_days: tuple[SignedProbeDay, ...]
    canary_days: tuple[SignedCanaryDay, ...]
    seeds: tuple[SeedReveal, ...]
    attempts: tuple[Attempt, ...]
    opening: EpochState
    check_days: tuple[SignedCheckDay, ...] = ()
    rating_days: tuple[SignedRatingDay, ...] = ()
    rules_number: int = RULES_NUMBER


@dataclass(frozen=True, slots=True)
class Missing:
    """A job whose receipt a provider says was handed over, and that is in no evidence (`rewards.missing`)."""

    provider: str
    job: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the explanation: provider (or customer), rule by name, and the numbers it turned on."""

    subject: str
    rule: str
    numbers: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an epoch comes to.

    `report.evidence` is zero until the bundle is written. `harmed` opens `report.harms`, `measured` opens
    `report.measurements`: one for each harm or leaf, in the same order. `missing`: receipts that should have come.
    """

    report: Report
    closing: EpochState
    harmed: tuple[Harmed, ...]
    measured: tuple[MeasuredLeaf, ...]
    lines: tuple[Line, ...]
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that does not add up: where it stands, what we hold, what the other side holds."""

    where: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.where}: ours {self.ours}, theirs {self.theirs}"


@dataclass(frozen=True, slots=True)
class ChainInputs:
    """The part of `EpochInputs` that the chain alone decides at a checkpoint; `inputs.json` of the evidence is this.

    Fields are those of `EpochInputs`; `previous` is the struct hash of the report before (zero for epoch 0).
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


@dataclass(frozen=True, slots=True)
class ChainView:
    """What the chain says of an epoch: its part of the inputs, seed commitments by verifier, opening state's digest."""

    inputs: ChainInputs
    commitments: dict[str, bytes]
    opening_state: bytes

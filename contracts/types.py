"""What the chain says, as frozen dataclasses; amounts are token units unless the name says atto.

Field names are the snake-case form of the Solidity structs in `contracts/interfaces/`. No web3 here: settlement and
replay import this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

UNMEASURED_BUCKET = 255


class HardwareClass(IntEnum):
    """Hardware classes in the order of the contract; the weight of each is a constant of `ProviderStaking`."""

    CPU = 0
    T4 = 1
    A10 = 2
    RTX4090 = 3
    A100 = 4
    H100 = 5


class ProviderStatus(IntEnum):
    """Where a provider stands in `ProviderStaking`; only ACTIVE providers are matched."""

    NONE = 0
    ACTIVE = 1
    JAILED = 2
    REMOVED = 3


class SlashCode(IntEnum):
    """What a slash is for; 2 to 8 are the slash levels of a leaf, 9 needs no leaf. Sizes are constants of the court."""

    UPTIME_95 = 2
    UPTIME_90 = 3
    UPTIME_50 = 4
    OUTAGE_48_H = 5
    OUTAGE_120_H = 6
    WRONG_RESULT = 7
    HARDWARE = 8
    TWO_RECEIPTS = 9


class SlashStage(IntEnum):
    """Where a slash stands in `SlashingCourt`; Executed and Cancelled are ends."""

    NONE = 0
    OPEN = 1
    CONTESTED = 2
    UPHELD = 3
    EXECUTED = 4
    CANCELLED = 5


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A final block at which everything is read: number, 32-byte hash, unix time in seconds."""

    number: int
    hash: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Timing:
    """The epoch clock of a deployment, from `EpochClock`.

    Genesis in unix seconds, slot length in seconds, slots per epoch.
    """

    genesis: int
    slot_s: int
    slots_per_epoch: int

    def slot_at(self, time: float) -> int:
        """Return the absolute slot at a unix time; negative before genesis."""
        return int((time - self.genesis) // self.slot_s)

    def epoch_of_slot(self, slot: int) -> int:
        """Return the epoch an absolute slot lies in."""
        return slot // self.slots_per_epoch

    def epoch_start(self, epoch: int) -> int:
        """Return the unix second at which an epoch begins."""
        return self.genesis + epoch * self.slots_per_epoch * self.slot_s

    def epoch_end(self, epoch: int) -> int:
        """Return the unix second at which an epoch ends (the first of the next)."""
        return self.epoch_start(epoch + 1)


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A provider as of a checkpoint.

    Stake in stake-token units; `weight` is the capacity weight 1 + class weight × units. `delegated`: bonded behind it
    by others, stake-token units. `commission_ppm`: of its delegators' part of the incentive, for the epoch settled.
    """

    provider: str
    signer: str
    endpoint: str
    hardware_class: int
    units: int
    weight: int
    offer_digest: bytes
    status: int
    registered_at: int
    stake: int
    required_stake: int
    delegated: int
    commission_ppm: int


@dataclass(frozen=True, slots=True)
class Window:
    """Maintenance that a provider declared: slots that begin in `[starts_at, ends_at)` do not count; unix seconds."""

    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """A bonded verifier or gateway as of a checkpoint."""

    operator: str
    endpoint: str
    bond: int
    active: bool


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """A customer of `JobEscrow` as of a checkpoint.

    Balance, the part of it that is thawing, and what may be charged for one epoch.
    """

    customer: str
    balance: int
    thawing: int
    cap: int


@dataclass(frozen=True, slots=True)
class RulesRecord:
    """Settlement parameters held by `EpochClock`, in force for one epoch.

    `stake_rate`: payment units per whole stake token, used for caps and for the lock of fees at risk.
    """

    provider_ppm: int
    verifier_ppm: int
    sla_fund_ppm: int
    treasury_ppm: int
    incentive_per_epoch: int
    stake_rate: int
    ttft_target_ms: int
    probe_gap_slots: int


@dataclass(frozen=True, slots=True)
class LimitsRecord:
    """What no report may exceed, whoever signed it; held by `EpochClock`, in force at once. Amounts: payment units."""

    most_charged: int
    growth_floor: int
    most_per_provider: int
    most_growth_ppm: int
    most_slashed_ppm: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """One provider's line in an epoch report; `contracts.leaves.pack` gives the 64 bytes published and hashed.

    `standing`: routing weight, 0 whole, 1 half, 2 a quarter. `measured`: a quorum attested and at least one slot
    counted.
    """

    provider: str
    cumulative_fees: int
    cumulative_incentive: int
    uptime_ppm: int
    success_ppm: int
    verification_ppm: int
    score_ppm: int
    ttft_p95_bucket: int
    strikes: int
    standing: int
    slash_level: int
    measured: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of a report, in token units.

    charged + credits_from_fund = provider_fees + verifier_fees + treasury + sla_fund_in + credits. `incentive` goes to
    providers by their leaves, `pools` to delegators.
    """

    charged: int
    provider_fees: int
    verifier_fees: int
    treasury: int
    sla_fund_in: int
    credits: int
    credits_from_fund: int
    incentive: int
    pools: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one customer pays for an epoch, taken from its escrow."""

    customer: str
    amount: int


@dataclass(frozen=True, slots=True)
class Credit:
    """What one customer gets back for one provider's missed service level, pushed to its escrow after activation."""

    customer: str
    provider: str
    amount: int


@dataclass(frozen=True, slots=True)
class Pool:
    """What the delegators of one provider get for an epoch, pushed to `Delegation` after activation."""

    provider: str
    amount: int


@dataclass(frozen=True, slots=True)
class Payee:
    """A verifier's flat share of an epoch's fees."""

    verifier: str
    amount: int


@dataclass(frozen=True, slots=True)
class Harm:
    """Root over the pages that name the customers whom a slash of this provider compensates."""

    provider: str
    root: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """An epoch report, whole: the part that is signed follows from it (`contracts.leaves.report_digest`).

    Arrays are in ascending order of their addresses, every amount in them is above zero. `measurements` is the root
    over what was measured (`contracts.measured`), one measured leaf per leaf in the same order.
    """

    epoch: int
    previous: bytes
    evidence: bytes
    state: bytes
    rules: bytes
    checkpoint_block: int
    checkpoint_hash: bytes
    totals: Totals
    leaves: tuple[Leaf, ...]
    measurements: bytes
    charges: tuple[Charge, ...]
    credits: tuple[Credit, ...]
    pools: tuple[Pool, ...]
    payees: tuple[Payee, ...]
    harms: tuple[Harm, ...]


@dataclass(frozen=True, slots=True)
class Movements:
    """Hashes of what a report moves: of each chunk in order, and of the payees. A report signs the hash of this."""

    charges: tuple[bytes, ...]
    credits: tuple[bytes, ...]
    pools: tuple[bytes, ...]
    payees: bytes


@dataclass(frozen=True, slots=True)
class Harmed:
    """The customers who paid for a provider's work in an epoch, ascending, with weights; opens a `Harm` by pages."""

    provider: str
    customers: tuple[str, ...]
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HarmPage:
    """One page of a `Harmed` as the court takes it; `total_weight` is over all pages."""

    index: int
    pages: int
    total_weight: int
    customers: tuple[str, ...]
    weights: tuple[int, ...]


SixWords = tuple[int, int, int, int, int, int]
"""One bit per slot of an epoch: slot `s` is bit `s % 256` of word `s // 256`."""


@dataclass(frozen=True, slots=True)
class MeasuredDay:
    """One verifier's ProbeDay as used in a report."""

    verifier: str
    up: SixWords
    histogram: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class MeasuredLeaf:
    """What a report's verifiers put together about one provider; one leaf of the tree under `measurements`.

    `duty`: slots that count before void ones are taken out. `served`: slots in which a customer was served. `void`:
    slots that were void for the market, the same in every leaf. `days`: ascending by verifier.
    """

    provider: str
    duty: SixWords
    served: SixWords
    void: SixWords
    days: tuple[MeasuredDay, ...]


@dataclass(frozen=True, slots=True)
class ChallengeTarget:
    """What is challenged before `ChallengeCourt`: a leaf of a report with its proof, and who signed, ascending."""

    epoch: int
    leaf: Leaf
    proof: tuple[bytes, ...]
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeesAtRisk:
    """What shows `ProviderStaking.unbond` how much of a provider's fees may still be taken back.

    `newest`: its leaf in the newest report, None where it needs none. `closed`: its leaf in a report whose challenge
    windows are over, None when it was in none.
    """

    newest: Leaf | None = None
    newest_proof: tuple[bytes, ...] = ()
    closed_epoch: int = 0
    closed: Leaf | None = None
    closed_proof: tuple[bytes, ...] = ()

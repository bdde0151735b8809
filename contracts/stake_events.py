"""Events about bonds: stake, delegation and the bonds of operators. No web3 here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from contracts.event_base import Event

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
class Rebonded(_Staking):
    """A part of an unbond, or all of it, went back to the stake."""

    id: int
    amount: int
    shares: int
    stake_after: int


@dataclass(frozen=True, slots=True)
class StakeWithdrawn(_Staking):
    """A provider took out what had matured."""

    NAME: ClassVar[str] = "Withdrawn"
    amount: int


@dataclass(frozen=True, slots=True)
class Slashed(_Staking):
    """Own stake was taken, unmatured unbonds after the bonded part."""

    requested: int
    from_stake: int
    from_unbonding: int
    stake_after: int


@dataclass(frozen=True, slots=True)
class Jailed(_Staking):
    """A provider may not work until it is unjailed; nor before a measurement of epoch `measure_from`, unless zero."""

    measure_from: int


@dataclass(frozen=True, slots=True)
class Unjailed(_Staking):
    """A jailed provider works again."""


@dataclass(frozen=True, slots=True)
class Removed(_Staking):
    """A provider may never work again."""


@dataclass(frozen=True, slots=True)
class MaintenanceDeclared(_Staking):
    """A provider will be away; slots that begin in the window do not count."""

    index: int
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class MaintenanceCancelled(_Staking):
    """A provider took back its last window before it began."""

    index: int


@dataclass(frozen=True, slots=True)
class HardwareMeasured(_Staking):
    """A quorum of verifiers measured what a provider has."""

    epoch: int
    hardware_class: int
    units: int


@dataclass(frozen=True, slots=True)
class DelegationSlashed(_Staking):
    """A part of a slash came from those who staked behind the provider."""

    from_delegation: int


# ------------------------------------------------------------------------------------------------------ Delegation


@dataclass(frozen=True, slots=True)
class _Delegation(Event):
    CONTRACT: ClassVar[str] = "Delegation"
    provider: str


@dataclass(frozen=True, slots=True)
class Delegated(_Delegation):
    """Somebody staked behind a provider."""

    delegator: str
    amount: int
    shares: int


@dataclass(frozen=True, slots=True)
class Undelegated(_Delegation):
    """Shares behind a provider began to unbond, in a batch with others of that time."""

    delegator: str
    batch: int
    amount: int
    shares: int
    batch_shares: int
    release_at: int


@dataclass(frozen=True, slots=True)
class BatchMatured(_Delegation):
    """A batch left the unbonding pool; what remained of it belongs to its delegators."""

    batch: int
    amount: int


@dataclass(frozen=True, slots=True)
class DelegationWithdrawn(_Delegation):
    """A delegator took out what had matured."""

    NAME: ClassVar[str] = "Withdrawn"
    delegator: str
    amount: int


@dataclass(frozen=True, slots=True)
class PoolSlashed(_Delegation):
    """Delegated tokens were taken, unbonding ones after the bonded."""

    NAME: ClassVar[str] = "Slashed"
    requested: int
    from_delegated: int
    from_unbonding: int


@dataclass(frozen=True, slots=True)
class PoolVoided(_Delegation):
    """A slash took a whole pool: every share of it is void."""

    unbonding: bool


@dataclass(frozen=True, slots=True)
class CommissionSet(_Delegation):
    """A provider set its commission from an epoch on."""

    ppm: int
    from_epoch: int


@dataclass(frozen=True, slots=True)
class Rewarded(_Delegation):
    """The delegators of a provider earned an epoch."""

    amount: int
    shares: int


@dataclass(frozen=True, slots=True)
class RewardsClaimed(_Delegation):
    """A delegator, or a provider without any, took its rewards."""

    delegator: str
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


@dataclass(frozen=True, slots=True)
class BondSlashed(_Operator):
    """The court took a part of a bond; the operator is out and the rest unbonds."""

    NAME: ClassVar[str] = "Slashed"
    amount: int
    bond_after: int
    release_at: int


@dataclass(frozen=True, slots=True)
class DaysCommitted(_Operator):
    """A verifier bound itself to what it measured."""

    epoch: int
    commitment: bytes

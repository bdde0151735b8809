"""`ProviderStaking` as Python sees it: reads at a checkpoint, calls to be sent. The interface is its manual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.binding import Contract, Reader, same
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.types import Checkpoint, ProviderRecord
from contracts.views import ProviderView, StakeTotals, UnbondView

_NOBODY = "0x" + "00" * 20


class Staking(Contract):
    """Who is a provider and what it has bonded."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "ProviderStaking")

    # ------------------------------------------------------------------------------------------------------- reads

    async def provider(self, address: str, at: Checkpoint) -> ProviderView | None:
        """Return one provider, listed or not; None if it never registered."""
        return await self.read(self.provider_view(address), at)

    def provider_view(self, address: str) -> View[ProviderView | None]:
        """Return the read behind `provider`, to be put in a batch."""
        return self.view("provider", address, to=lambda raw: _provider(address, raw) if raw[4] else None)

    async def views(self, at: Checkpoint) -> tuple[ProviderView, ...]:
        """Return every listed provider, in ascending order of address."""
        found = await self.pages(
            at,
            "providerCount",
            "providers",
            lambda names, raws: [_provider(*one) for one in zip(names, raws, strict=True)],
        )
        return tuple(sorted(found, key=lambda one: one.provider))

    async def providers(self, at: Checkpoint) -> tuple[ProviderRecord, ...]:
        """Return every listed provider as settlement reads it, in ascending order of address."""
        return tuple(one.record() for one in await self.views(at))

    async def unbonds(self, address: str, at: Checkpoint) -> tuple[UnbondView, ...]:
        """Return the open unbonds, oldest first."""
        return await self.read(
            self.view("unbonds", address, to=lambda raws: tuple(UnbondView(*raw) for raw in raws)), at
        )

    async def withdrawable(self, address: str, at: Checkpoint) -> int:
        """Return what `withdraw` would pay."""
        return await self.number(at, "withdrawable", address)

    async def required_stake(self, hardware_class: int, units: int, at: Checkpoint) -> int:
        """Return what must be bonded for hardware of a class."""
        return await self.number(at, "requiredStake", hardware_class, units)

    async def provider_of_signer(self, signer: str, at: Checkpoint) -> str | None:
        """Return who named a signer, at any time; None for nobody."""
        owner = await self.read(self.view("providerOfSigner", signer, to=same), at)
        return None if owner == _NOBODY else str(owner)

    async def is_active(self, address: str, at: Checkpoint) -> bool:
        """Say whether work may be matched to a provider."""
        return await self.read(self.view("isActive", address, to=bool), at)

    async def totals(self, at: Checkpoint) -> StakeTotals:
        """Return the books."""
        names = ("totalStake", "totalUnbonding", "totalMatured")
        return StakeTotals(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def unbonding_s(self, at: Checkpoint) -> int:
        """Return the seconds from `unbond` to maturity."""
        return await self.number(at, "unbondingSeconds")

    async def base_stake(self, at: Checkpoint) -> int:
        """Return the required stake of a capacity weight of one."""
        return await self.number(at, "baseStake")

    # ------------------------------------------------------------------------------------------------------- calls

    def register(
        self, signer: str, hardware_class: int, units: int, offer_digest: bytes, region: str, endpoint: str
    ) -> Call:
        """Make the sender a provider."""
        return self.call("register", signer, hardware_class, units, offer_digest, region, endpoint)

    def update(self, signer: str, offer_digest: bytes, region: str, endpoint: str) -> Call:
        """Change signer, offer, region or endpoint of the sender."""
        return self.call("update", signer, offer_digest, region, endpoint)

    def stake(self, amount: int) -> Call:
        """Bond stake tokens; needs an allowance for `address`."""
        return self.call("stake", amount)

    def stake_for(self, provider: str, amount: int) -> Call:
        """Bond stake tokens of the sender for another provider, to whom they belong then."""
        return self.call("stakeFor", provider, amount)

    def unbond(self, amount: int) -> Call:
        """Begin to take stake out."""
        return self.call("unbond", amount)

    def withdraw(self) -> Call:
        """Pay all that has matured to the sender."""
        return self.call("withdraw")

    def unjail(self) -> Call:
        """Return a jailed sender to work."""
        return self.call("unjail")


def _provider(address: str, raw: Sequence[Any]) -> ProviderView:
    return ProviderView(address, *raw)

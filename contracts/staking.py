"""`ProviderStaking` as Python sees it: reads at a checkpoint, calls to be sent. The interface is its manual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.abi_values import risk_values
from contracts.binding import Contract, Reader, same
from contracts.calls import Call, View
from contracts.delegation import Delegation
from contracts.deployment import Deployment
from contracts.types import Checkpoint, FeesAtRisk, ProviderRecord, Window
from contracts.views import ProviderView, StakeTotals, StakingSettings, UnbondView

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

    async def providers(self, at: Checkpoint, epoch: int | None = None) -> tuple[ProviderRecord, ...]:
        """Return every listed provider as settlement reads it, in ascending order of address.

        With the commission for `epoch`, or for the running epoch when none is given.
        """
        found, delegation = await self.views(at), Delegation(self.deployment)
        if epoch is None:
            pools = await self.read_many([delegation.pool_view(one.provider) for one in found], at)
            return tuple(
                one.record(pool.delegated, pool.commission_ppm) for one, pool in zip(found, pools, strict=True)
            )
        delegated = await self.read_many([delegation.delegated_view(one.provider) for one in found], at)
        commissions = await self.read_many([delegation.commission_view(one.provider, epoch) for one in found], at)
        return tuple(one.record(*more) for one, *more in zip(found, delegated, commissions, strict=True))

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

    async def settings(self, at: Checkpoint) -> StakingSettings:
        """Return what the contract was deployed with."""
        names = ("unbondingSeconds", "baseStake", "noticeSeconds", "maintenanceSeconds")
        return StakingSettings(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def maintenance(self, provider: str, start: int, end: int, at: Checkpoint) -> tuple[Window, ...]:
        """Return declared windows of a provider that overlap `[start, end)`, oldest first."""
        return await self.read(self.maintenance_view(provider, start, end), at)

    def maintenance_view(self, provider: str, start: int, end: int) -> View[tuple[Window, ...]]:
        """Return the read behind `maintenance`, to be put in a batch."""
        return self.view("maintenance", provider, start, end, to=lambda raws: tuple(Window(*raw) for raw in raws))

    async def maintenance_count(self, provider: str, at: Checkpoint) -> int:
        """Return how many windows a provider ever declared; `cancel_maintenance` takes the index of the last."""
        return await self.number(at, "maintenanceCount", provider)

    async def locked_for(self, provider: str, risk: FeesAtRisk, at: Checkpoint) -> int:
        """Return what an unbond must leave, given what shows the fees at risk."""
        return await self.number(at, "lockedFor", provider, risk_values(risk))

    async def measure_from(self, provider: str, at: Checkpoint) -> int:
        """Return the first epoch whose measurement lets a provider return that was jailed for its hardware, else 0."""
        return await self.number(at, "measureFrom", provider)

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

    def unbond(self, amount: int, risk: FeesAtRisk) -> Call:
        """Begin to take stake out; `contracts.fees_at_risk.gather` finds what shows the fees at risk."""
        return self.call("unbond", amount, risk_values(risk), amount=amount)

    def rebond(self, amount: int) -> Call:
        """Take stake of the sender back that is on its way out, newest unbonds first."""
        return self.call("rebond", amount)

    def declare_maintenance(self, starts_at: int, ends_at: int) -> Call:
        """Declare that the sender will be away; slots that begin in the window do not count."""
        return self.call("declareMaintenance", starts_at, ends_at)

    def cancel_maintenance(self, index: int) -> Call:
        """Take back the sender's last window before it begins."""
        return self.call("cancelMaintenance", index)

    def measure_hardware(
        self, provider: str, epoch: int, hardware_class: int, units: int, signatures: Sequence[bytes]
    ) -> Call:
        """Record what a quorum measured (`contracts.messages.Hardware`); signatures ascend by their signers."""
        return self.call("measureHardware", provider, epoch, hardware_class, units, list(signatures))

    def withdraw(self) -> Call:
        """Pay all that has matured to the sender."""
        return self.call("withdraw")

    def unjail(self) -> Call:
        """Return a jailed sender to work; one jailed for its hardware was measured since (`measure_from`)."""
        return self.call("unjail")


def _provider(address: str, raw: Sequence[Any]) -> ProviderView:
    return ProviderView(address, *raw)

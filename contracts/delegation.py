"""`Delegation` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface."""

from __future__ import annotations

from contracts.binding import Contract, Reader
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.types import Checkpoint
from contracts.views import DelegationTotals, PoolView, PositionView


class Delegation(Contract):
    """Who stands behind which provider, and what it earns them."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "Delegation")

    # ------------------------------------------------------------------------------------------------------- reads

    async def pool(self, provider: str, at: Checkpoint) -> PoolView:
        """Return what is delegated to a provider, and its commission."""
        return await self.read(self.pool_view(provider), at)

    def pool_view(self, provider: str) -> View[PoolView]:
        """Return the read behind `pool`, to be put in a batch."""
        return self.view("pool", provider, to=lambda raw: PoolView(provider, *raw))

    def delegated_view(self, provider: str) -> View[int]:
        """Return the read of what is bonded behind a provider, to be put in a batch."""
        return self.view("delegatedTo", provider, to=int)

    def commission_view(self, provider: str, epoch: int) -> View[int]:
        """Return the read of a provider's commission for an epoch, to be put in a batch."""
        return self.view("commissionFor", provider, epoch, to=int)

    async def position(self, provider: str, delegator: str, at: Checkpoint) -> PositionView:
        """Return what somebody has behind a provider; all zero for nothing."""
        return await self.read(self.view("position", provider, delegator, to=lambda raw: PositionView(*raw)), at)

    async def totals(self, at: Checkpoint) -> DelegationTotals:
        """Return the books."""
        names = ("totalDelegated", "totalUnbonding", "totalMatured", "totalRewards")
        return DelegationTotals(*await self.read_many([self.view(name, to=int) for name in names], at))

    # ------------------------------------------------------------------------------------------------------- calls

    def delegate(self, provider: str, amount: int) -> Call:
        """Stake behind a provider; needs an allowance for `address`."""
        return self.call("delegate", provider, amount)

    def undelegate(self, provider: str, shares: int) -> Call:
        """Begin to take shares of the sender out."""
        return self.call("undelegate", provider, shares)

    def withdraw(self, provider: str) -> Call:
        """Pay all of the sender's that has matured behind a provider."""
        return self.call("withdraw", provider)

    def claim_rewards(self, provider: str) -> Call:
        """Pay the sender's rewards from a provider."""
        return self.call("claimRewards", provider)

    def set_commission(self, ppm: int) -> Call:
        """Set the sender's commission: a rise from the epoch after the next, a cut from the running one."""
        return self.call("setCommission", ppm)

    def mature(self, provider: str) -> Call:
        """Take matured batches of a provider out of its pool."""
        return self.call("mature", provider)

"""Read from the chain what the agent has to know, at one block."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from contracts.chain import Chain
from contracts.clock import Clock
from contracts.deployment import Deployment
from contracts.operators import Operators
from contracts.staking import Staking
from contracts.types import ProviderStatus
from marketplace.agent.facts import ChainFacts


class ChainReader:
    """Reads ChainFacts for one provider; connects on first use and again after the connection was lost."""

    def __init__(self, urls: Sequence[str], deployment: Deployment, provider: str) -> None:
        self._urls = tuple(urls)
        self._deployment = deployment
        self._provider = provider
        self._chain: Chain | None = None

    async def __call__(self) -> ChainFacts:
        """Read everything at the newest block."""
        if self._chain is None:
            self._chain = await Chain.connect(self._urls, self._deployment)
        return await read_facts(self._chain, self._provider)

    async def close(self) -> None:
        """Close the connection."""
        if self._chain is not None:
            await self._chain.close()


async def read_facts(chain: Chain, provider: str) -> ChainFacts:
    """Read timing, gateways and the registration of `provider` at the newest block."""
    at = await chain.head()
    timing, members, view = await asyncio.gather(
        Clock(chain).timing(at), Operators(chain, "Gateways").members(at), Staking(chain).provider(provider, at)
    )
    return ChainFacts(
        chain_id=chain.chain_id,
        epoch_ledger=chain.deployment.address("EpochLedger"),
        genesis=timing.genesis,
        slot_s=timing.slot_s,
        slots_per_epoch=timing.slots_per_epoch,
        gateways={member.operator: member.endpoint for member in members if member.active},
        signer=view.signer if view else "",
        offer_digest="0x" + view.offer_digest.hex() if view else "",
        status=int(view.status if view else ProviderStatus.NONE),
        read_at=time.time(),
    )

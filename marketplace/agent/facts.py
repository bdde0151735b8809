"""What the agent knows of the chain, refreshed in the background and remembered on disk.

No request ever waits for the chain. When no RPC endpoint answers, the last facts stay in force, also across a
restart: a provider keeps serving the gateways it knew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from contracts.messages import Domain
from contracts.types import ProviderStatus, Timing
from marketplace.agent.errors import ChainUnreachable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """One reading: the deployment, the epoch clock, the bonded gateways by address, and this provider's registration.

    `signer` and `offer_digest` are empty when the provider is not registered. `read_at` is in unix seconds.
    """

    chain_id: int
    epoch_ledger: str
    genesis: int
    slot_s: int
    slots_per_epoch: int
    gateways: dict[str, str]
    signer: str
    offer_digest: str
    status: int
    read_at: float

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, self.epoch_ledger)

    @property
    def timing(self) -> Timing:
        return Timing(self.genesis, self.slot_s, self.slots_per_epoch)

    @property
    def registered(self) -> bool:
        return self.status != ProviderStatus.NONE


ReadFacts = Callable[[], Awaitable[ChainFacts]]


class KnownFacts:
    """The facts in force; `current` is replaced as a whole, readers never see half of one."""

    def __init__(self, read: ReadFacts, memory: Path, every_s: float = 10.0) -> None:
        self._read = read
        self._memory = memory
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self.failing_since: float | None = None
        self.current: ChainFacts

    async def start(self, provider: str) -> None:
        """Read the chain once, or fall back on what was remembered for this provider.

        Then keep reading in the background.
        """
        try:
            await self.refresh()
        except Exception as error:
            remembered = self._remembered(provider)
            if remembered is None:
                raise ChainUnreachable(
                    f"the chain cannot be read and nothing is remembered from an earlier run: {error}",
                    "check the RPC URLs (BONDED_RPC_URLS or [chain] rpc_urls) and the deployment file",
                ) from error
            self.current = remembered
            self.failing_since = time.time()
            log.warning("chain_unreachable_using_remembered_facts", error=str(error), read_at=remembered.read_at)
        self._provider = provider
        self._remember()
        self._task = asyncio.create_task(self._keep_reading())

    async def refresh(self) -> None:
        """Read the chain once and put it in force; raises what the reading raised."""
        self.current = await self._read()
        self.failing_since = None

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.refresh()
                self._remember()
            except Exception as error:
                if self.failing_since is None:
                    self.failing_since = time.time()
                    log.warning("chain_unreachable", error=str(error))

    def _remember(self) -> None:
        partial = self._memory.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"provider": self._provider} | asdict(self.current)))
        partial.replace(self._memory)

    def _remembered(self, provider: str) -> ChainFacts | None:
        try:
            value = json.loads(self._memory.read_text())
            if value.pop("provider") != provider:
                return None
            return ChainFacts(**value)
        except (OSError, ValueError, KeyError, TypeError):
            return None

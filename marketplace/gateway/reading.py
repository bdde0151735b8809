"""What the directory takes from the chain, at one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from contracts.types import Checkpoint, ProviderRecord


@dataclass(frozen=True, slots=True)
class Reading:
    """The chain's side of the market. `scores` (ppm) and `standings` by provider, from the last report.

    `stake_rate`: payment units per whole stake token; `decimals` of the payment token, `stake_decimals` of the stake
    token. `paused_until`: unix time at which the guardian's pause ends, 0 when the market is not paused.
    """

    checkpoint: Checkpoint
    providers: tuple[ProviderRecord, ...]
    scores: Mapping[str, int]
    stake_rate: int
    decimals: int
    stake_decimals: int
    standings: Mapping[str, int] = field(default_factory=dict)
    paused_until: int = 0

    def stake_atto(self, stake: int) -> int:
        """Value stake in payment atto: stake · rate / 10^stake_decimals token units of 10^(18 - decimals) atto each."""
        return stake * self.stake_rate * 10 ** (18 - self.decimals) // 10**self.stake_decimals


class Source(Protocol):
    """Where readings come from."""

    async def read(self) -> Reading:
        """Read once; raises ContractsError when the chain cannot be read."""

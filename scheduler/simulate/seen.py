"""Remember which provider was sent which prefix blocks, as routers that never ask an engine do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from scheduler.simulate.trace import Arrival


class SeenBlocks:
    """Blocks by provider, least recently used first out beyond `most` a provider."""

    def __init__(self, providers: int, most: int) -> None:
        self._most = most
        self._holders: dict[int, int] = {}
        self._held: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(providers)]

    def add(self, arrival: Arrival, provider: int) -> None:
        """Note that a provider was sent a prompt."""
        held, bit = self._held[provider], 1 << provider
        for block in reversed(arrival.blocks):
            held[block] = None
            held.move_to_end(block)
            self._holders[block] = self._holders.get(block, 0) | bit
        while len(held) > self._most:
            old, _ = held.popitem(last=False)
            left = self._holders[old] & ~bit
            if left:
                self._holders[old] = left
            else:
                del self._holders[old]

    def shares(self, arrival: Arrival, among: Iterable[int]) -> dict[int, float]:
        """Return the part of a prompt's blocks, from its beginning, that each provider was sent; without those of 0."""
        found: dict[int, float] = {}
        holders = 0
        for one in among:
            holders |= 1 << one
        for depth, block in enumerate(arrival.blocks):
            still = holders & self._holders.get(block, 0)
            lost = holders ^ still
            while lost and depth:
                low = lost & -lost
                found[low.bit_length() - 1] = depth / len(arrival.blocks)
                lost ^= low
            holders = still
            if not holders:
                return found
        while holders and arrival.blocks:
            low = holders & -holders
            found[low.bit_length() - 1] = 1.0
            holders ^= low
        return found

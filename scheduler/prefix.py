"""Remember which providers computed the beginning of a prompt, so that a request finds the caches that hold it.

A prompt is cut into blocks; each block is named by a chained hash, which stands for everything up to its end (the
caller makes them). For every block the index keeps up to `HOLDERS_MOST` providers, the latest first, and for every
provider its blocks in the order of their last use, no more than its caches can hold and none older than `TTL_MS`: what
an engine has pushed out is not believed to be there.

A hit is a belief, not a promise: `decide` weighs it as cached price and shorter prefill, so a long queue before a warm
cache loses to a cold start by itself, and `MarketState` stops believing a provider whose first bytes never come sooner
for it.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCK_TOKENS = 512
HOLDERS_MOST = 3
TTL_MS = 600_000.0
BLOCKS_MOST = 65_536
"""Of one gateway: some 33 million tokens, and some 20 MB."""

Warm = tuple[tuple[str, int], ...]
"""Providers and the tokens they are believed to hold, most first."""


class PrefixIndex:
    """The index of one gateway. Blocks are whole; what is left of a prompt after the last one is always computed."""

    def __init__(self, blocks_most: int = BLOCKS_MOST, ttl_ms: float = TTL_MS) -> None:
        self._blocks_most = blocks_most
        self._ttl_ms = ttl_ms
        self._holders: dict[int, tuple[str, ...]] = {}
        self._held: dict[str, dict[int, float]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Count the blocks, once for each holder."""
        return self._count

    def find(self, blocks: Sequence[int], now_ms: float) -> Warm:
        """Return who holds the beginning of a prompt and how many tokens of it, at most `HOLDERS_MOST`.

        Who holds a block holds all before it, though a block that many hold names the latest of them only.
        """
        holders = self._holders
        depths: dict[str, int] = {}
        before: tuple[str, ...] = ()
        depth = 0
        for block in blocks:
            there = holders.get(block)
            if there is None:
                break
            if there != before:
                for one in before:
                    depths[one] = depth
                before = there
            depth += 1
        if not depth:
            return ()
        for one in before:
            depths[one] = depth
        fresh_ms = now_ms - self._ttl_ms
        found = [
            (one, deep * BLOCK_TOKENS) for one, deep in depths.items() if self._held[one][blocks[deep - 1]] > fresh_ms
        ]
        found.sort(key=lambda one: -one[1])
        return tuple(found[:HOLDERS_MOST])

    def note(self, blocks: Sequence[int], provider: str, room_tokens: float, now_ms: float) -> None:
        """Note that a provider has computed a prompt. `room_tokens`: what its caches hold in all."""
        held = self._held.setdefault(provider, {})
        # The last block first, so that a prefix outlives what continues it.
        for block in reversed(blocks):
            if held.pop(block, None) is None:
                self._count += 1
                self._join(block, provider)
            held[block] = now_ms
        most = max(1, int(room_tokens / BLOCK_TOKENS))
        while len(held) > most:
            self._drop(provider, next(iter(held)))
        while self._count > self._blocks_most:
            largest = max(self._held, key=lambda one: len(self._held[one]))
            self._drop(largest, next(iter(self._held[largest])))

    def forget(self, provider: str) -> None:
        """Forget all of a provider's blocks, because its engine has started over or it went away."""
        for block in list(self._held.get(provider, ())):
            self._drop(provider, block)
        self._held.pop(provider, None)

    def _join(self, block: int, provider: str) -> None:
        before = self._holders.get(block, ())
        for one in before[HOLDERS_MOST - 1 :]:
            del self._held[one][block]
            self._count -= 1
        self._holders[block] = (provider, *before[: HOLDERS_MOST - 1])

    def _drop(self, provider: str, block: int) -> None:
        del self._held[provider][block]
        self._count -= 1
        left = tuple(one for one in self._holders[block] if one != provider)
        if left:
            self._holders[block] = left
        else:
            del self._holders[block]

"""Count the places of a model that batch lines may take: free ones, with a share of each provider's slots left out."""

from __future__ import annotations

from scheduler.gates import HARD
from scheduler.state import MarketState

SHARE = 0.8


def free_places(market: MarketState, model: str, now_ms: float) -> int:
    """Return how many more jobs fit into `SHARE` of the slots of the lanes that serve a model."""
    count = 0
    for lane in market.lanes:
        if lane.offer.model != model or lane.compute_gate(now_ms, market.policy) & HARD:
            continue
        running, _, _ = lane.load()
        count += max(0, max(1, int(SHARE * lane.offer.slots)) - running)
    return count

"""Find a leaf."""

from __future__ import annotations

from contracts.types import Leaf
from rewards.types import Settlement


def leaf_of(settled: Settlement, provider: str) -> Leaf:
    """Return a provider's leaf in a settled report."""
    return next(leaf for leaf in settled.report.leaves if leaf.provider == provider)

"""The root of the marketplace's errors."""

from __future__ import annotations


class BondedError(Exception):
    """Root of every error that `marketplace` raises; the message says what to do."""

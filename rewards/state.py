"""What one epoch hands to the next, as bytes: the closing state, its digest, and the genesis state."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from rewards.canonical import Unreadable, build, canonical_json, plain, read_json
from rewards.types import EpochState

GENESIS = EpochState(epoch=-1, providers=(), carries=(), sla_fund=0, report=bytes(32))


def state_bytes(state: EpochState) -> bytes:
    """Return the canonical JSON of a state, without `report` (which contains this digest)."""
    value = plain(state)
    del value["report"]
    return canonical_json(value)


def state_digest(state: EpochState) -> bytes:
    """Return the SHA-256 that a report carries as `state`."""
    return hashlib.sha256(state_bytes(state)).digest()


def read_state(data: bytes, report: bytes) -> EpochState:
    """Read a state back; `report` is the struct hash of the report that closed it. Raises Unreadable."""
    value = read_json(data)
    if not isinstance(value, dict) or "report" in value:
        raise Unreadable("", "is not a state: an object without a report")
    return replace(build(EpochState, {**value, "report": "0x" + bytes(32).hex()}), report=report)

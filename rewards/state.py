"""What one epoch hands to the next, as bytes: the closing state, its digest, and the genesis state."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from rewards import former
from rewards.canonical import Unreadable, build, canonical_json, plain, read_json
from rewards.types import RULES_NUMBER, EpochState

GENESIS = EpochState(epoch=-1, providers=(), carries=(), sla_fund=0, report=bytes(32))


def state_bytes(state: EpochState, rules_number: int = RULES_NUMBER) -> bytes:
    """Return the canonical JSON of a state, without `report` (which contains this digest)."""
    value = plain(state)
    del value["report"]
    if rules_number == former.NUMBER:
        former.trim_state(value)
    return canonical_json(value)


def state_digest(state: EpochState, rules_number: int = RULES_NUMBER) -> bytes:
    """Return the SHA-256 that a report carries as `state`."""
    return hashlib.sha256(state_bytes(state, rules_number)).digest()


def read_state(data: bytes, report: bytes, rules_number: int = RULES_NUMBER) -> EpochState:
    """Read a state back; `report` is the struct hash of the report that closed it. Raises Unreadable."""
    value = read_json(data)
    if not isinstance(value, dict) or "report" in value:
        raise Unreadable("", "is not a state: an object without a report")
    if rules_number == former.NUMBER:
        value = former.fill_state(value)
    return replace(build(EpochState, {**value, "report": "0x" + bytes(32).hex()}), report=report)

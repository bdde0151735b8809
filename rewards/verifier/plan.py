"""Draw when to probe whom, from a secret that was committed before the epoch.

For each provider the verifier walks through the epoch's slots: the first probe falls in one of the first `gap_slots`
slots, each following one 1 … 2·gap − 1 slots later (so `gap_slots` on average), at a uniform moment within the slot's
first half (so that a retry fits into it). About one probe in three is a determinism canary. Everything is drawn from
SHA-256(seed ‖ provider ‖ counter): nobody can predict the plan without the seed, and everybody can draw it again once
the seed is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contracts.signing import keccak
from rewards.verifier.draw import Draw

_CANARY_PPM = 333_333


@dataclass(frozen=True, slots=True)
class PlannedProbe:
    """One probe to make.

    Slot counted from the epoch's first, offset in ms within the slot, whether it is a determinism canary, and how many
    probes of its kind this provider had before it in the epoch (`turn`).
    """

    provider: str
    slot: int
    offset_ms: int
    canary: bool
    salt: bytes
    turn: int = 0


def epoch_seed(master: bytes, epoch: int) -> bytes:
    """Derive the seed of one epoch from the verifier's master secret, so that showing it betrays no other epoch."""
    return hashlib.sha256(b"bonded epoch seed" + master + epoch.to_bytes(8)).digest()


def commitment(seed: bytes) -> bytes:
    """Return what is committed on chain before the epoch begins."""
    return keccak(seed)


def draw_plan(
    seed: bytes, providers: Sequence[str], slots: int, slot_ms: int, gap_slots: int
) -> tuple[PlannedProbe, ...]:
    """Draw all probes of an epoch, in order of time; the order of `providers` does not matter."""
    if gap_slots < 1:
        raise ValueError(f"the mean gap between probes is at least one slot, not {gap_slots}")
    plan = [probe for provider in providers for probe in _walk(seed, provider, slots, slot_ms, gap_slots)]
    plan.sort(key=lambda probe: (probe.slot, probe.offset_ms, probe.provider))
    return tuple(plan)


def _walk(seed: bytes, provider: str, slots: int, slot_ms: int, gap_slots: int) -> Iterator[PlannedProbe]:
    stream = Draw(seed + bytes.fromhex(provider[2:]))
    slot = stream.below(gap_slots)
    turns = {True: 0, False: 0}
    while slot < slots:
        offset_ms = stream.below(max(1, slot_ms // 2))
        canary = stream.below(1_000_000) < _CANARY_PPM
        yield PlannedProbe(provider, slot, offset_ms, canary, stream.block(), turns[canary])
        turns[canary] += 1
        slot += 1 + stream.below(2 * gap_slots - 1)

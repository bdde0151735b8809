"""What the verifiers saw of a provider in an epoch, slot by slot, read from the epoch's evidence.

The evidence is content-addressed: what was read under a digest never changes, so the newest epochs are remembered.
Reading one that is not takes a moment; it happens in a thread, one at a time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rewards.blobs import Source
from rewards.errors import EvidenceDamaged, EvidenceMissing
from rewards.evidence import read_attestations
from rewards.measurement import BUCKETS, join_words, majority_down, unpack_histogram
from rewards.types import SignedCanaryDay, SignedProbeDay

_REMEMBERED = 4


@dataclass(frozen=True, slots=True)
class DayView:
    """One provider's epoch: the slots in which a majority of verifiers found it down (hex, bit s for slot s), how many
    verifiers attested, probes by bucket of time to first token, canaries asked and passed.
    """

    slots: int
    down: str
    verifiers: int
    counts: tuple[int, ...]
    canaries_asked: int
    canaries_passed: int


class Days:
    """Measured days by the digest of their evidence. `problem` says why the last ones could not be read."""

    def __init__(self, source: Source, slots_per_epoch: int) -> None:
        self._source = source
        self._slots = slots_per_epoch
        self._known: OrderedDict[bytes, dict[str, DayView]] = OrderedDict()
        self._turn = asyncio.Lock()

    async def of(self, evidence: str, provider: str) -> DayView | None:
        """Return a provider's day; None where nobody attested, or where the evidence is not here or damaged."""
        digest = bytes.fromhex(evidence.removeprefix("0x"))
        async with self._turn:
            days = self._known.get(digest)
            if days is None:
                try:
                    days = await asyncio.to_thread(self._read, digest)
                except (EvidenceMissing, EvidenceDamaged):
                    return None
                self._known[digest] = days
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return days.get(provider)

    def _read(self, digest: bytes) -> dict[str, DayView]:
        probes: dict[str, list[SignedProbeDay]] = {}
        canaries: dict[str, list[SignedCanaryDay]] = {}
        for kind, one in read_attestations(self._source, digest):
            if kind == "probe_day":
                probes.setdefault(one.day.provider, []).append(one)
            elif kind == "canary_day":
                canaries.setdefault(one.day.provider, []).append(one)
        return {
            provider: self._day([one.day for one in days], [one.day for one in canaries.get(provider, ())])
            for provider, days in probes.items()
        }

    def _day(self, days: list[Any], canaries: Iterable[Any]) -> DayView:
        counts = [0] * BUCKETS
        for day in days:
            for bucket, count in enumerate(unpack_histogram(day.histogram)):
                counts[bucket] += count
        asked = passed = 0
        for one in canaries:
            asked, passed = asked + one.asked, passed + one.passed
        down = majority_down([join_words(day.up) for day in days], self._slots)
        return DayView(self._slots, hex(down), len(days), tuple(counts), asked, passed)

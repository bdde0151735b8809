"""Settled epochs, recomputed from the evidence that was written: in a thread, and the last few remembered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from contracts.types import Harmed, Report
from rewards.blobs import FolderStore
from rewards.evidence import read_bundle, write_bundle
from rewards.settlement import settle
from rewards.types import EpochInputs, EpochState

_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Settled:
    """A report with its evidence, the state its epoch closed with, and the customers whom its slashes compensate."""

    report: Report
    closing: EpochState
    harmed: tuple[Harmed, ...]

    def harmed_by(self, provider: str) -> Harmed | None:
        """Return the customers whom a slash of this provider compensates, None when there is nobody or no slash."""
        return next((one for one in self.harmed if one.provider == provider), None)


class SettledEpochs:
    """What the evidence folder's epochs come to."""

    def __init__(self, store: FolderStore) -> None:
        self._store = store
        self._known: OrderedDict[bytes, Settled] = OrderedDict()

    async def write(self, inputs: EpochInputs) -> Settled:
        """Settle an epoch and write its evidence; raises InputsRefused."""
        return self._remember(await asyncio.to_thread(self._write, inputs))

    async def read(self, evidence: bytes) -> Settled:
        """Return an epoch by the digest of its evidence; raises EvidenceMissing or EvidenceDamaged."""
        known = self._known.get(evidence)
        if known is None:
            known = self._remember(await asyncio.to_thread(self._read, evidence))
        return known

    def _remember(self, settled: Settled) -> Settled:
        self._known[settled.report.evidence] = settled
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return settled

    def _write(self, inputs: EpochInputs) -> Settled:
        settlement = settle(inputs)
        report = write_bundle(self._store, inputs, settlement.report)
        return Settled(report, settlement.closing, settlement.harmed)

    def _read(self, evidence: bytes) -> Settled:
        bundle = read_bundle(self._store, evidence)
        settlement = settle(bundle.inputs)
        return Settled(bundle.report, settlement.closing, settlement.harmed)

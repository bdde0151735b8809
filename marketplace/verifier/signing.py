"""Sign a report only after recomputing it, and only if what this verifier attested stands in it unchanged.

Anybody may ask, and recomputing is dear: equal requests share one computation, what was signed is remembered, and
only a few different requests may wait.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from contracts.chain import Chain
from contracts.epochs import Epochs
from contracts.leaves import report_digest
from contracts.signing import Signer
from marketplace.errors import BondedError
from rewards.blobs import Source
from rewards.epoch import SignedDay
from rewards.evidence import read_bundle
from rewards.replay import recompute
from rewards.types import EpochInputs
from rewards.verifier.attestation import read_document
from rewards.verifier.service import Verifier

_MOST_WAITING = 2
_MOST_ANSWERED = 64


class ReportRefused(BondedError):
    """A report does not hold; the message names the first difference. Nothing is signed."""


class SigningBusy(BondedError):
    """Too many reports are waiting to be recomputed: ask again in a few seconds."""


class ReportSigner:
    """Recompute reports one at a time and sign those that hold."""

    def __init__(self, chain: Chain, signer: Signer, verifier: Verifier, source: Source) -> None:
        self._chain = chain
        self._signer = signer
        self._verifier = verifier
        self._source = source
        self._one_at_a_time = asyncio.Lock()
        self._working: dict[tuple[int, bytes], asyncio.Task[dict[str, Any]]] = {}
        self._answered: OrderedDict[tuple[int, bytes], dict[str, Any]] = OrderedDict()

    async def sign(self, epoch: int, evidence: bytes) -> dict[str, Any]:
        """Return `{"verifier", "digest", "signature"}` for the report in a bundle.

        Raises ReportRefused, SigningBusy, EvidenceError.
        """
        asked = (epoch, evidence)
        if asked in self._answered:
            return self._answered[asked]
        work = self._working.get(asked)
        if work is None:
            if len(self._working) > _MOST_WAITING:
                raise SigningBusy(f"{_MOST_WAITING} reports are waiting to be recomputed: ask again in a few seconds")
            work = self._working[asked] = asyncio.create_task(self._recompute(epoch, evidence))
            work.add_done_callback(lambda done: self._finish(asked, done))
        # one asker that goes away must not take the answer from the others
        return await asyncio.shield(work)

    def _finish(self, asked: tuple[int, bytes], done: asyncio.Task[dict[str, Any]]) -> None:
        del self._working[asked]
        if not done.cancelled() and done.exception() is None:
            self._answered[asked] = done.result()
            while len(self._answered) > _MOST_ANSWERED:
                self._answered.popitem(last=False)

    async def _recompute(self, epoch: int, evidence: bytes) -> dict[str, Any]:
        async with self._one_at_a_time:
            bundle = await asyncio.to_thread(read_bundle, self._source, evidence)
            if bundle.report.epoch != epoch:
                raise ReportRefused(f"the bundle holds a report of epoch {bundle.report.epoch}, not {epoch}")
            await asyncio.to_thread(self._check_own, bundle.inputs)
            result = await recompute(bundle, self._chain)
            if result.difference is not None:
                found = result.difference
                raise ReportRefused(f"{found.where}: recomputed {found.ours}, the bundle says {found.theirs}")
            domain = self._chain.deployment.domain()
            digest = report_digest(bundle.report, domain).digest(domain.separator())
            await self._check_only(epoch, "0x" + digest.hex())
            self._verifier.store.add_signed(epoch, "0x" + digest.hex())
            return {
                "verifier": self._signer.address,
                "digest": "0x" + digest.hex(),
                "signature": "0x" + self._signer.sign(digest).hex(),
            }

    async def _check_only(self, epoch: int, digest: str) -> None:
        """Refuse a second report of an epoch, unless none is on chain yet: a settler may have begun again."""
        known = self._verifier.store.signed(epoch)
        if not known or digest in known:
            return
        if await Epochs(self._chain).record(epoch, await self._chain.checkpoint()) is not None:
            raise ReportRefused(f"epoch {epoch} is settled on chain and {known[0]} was signed for it, not {digest}")

    def _check_own(self, inputs: EpochInputs) -> None:
        """Check that what the bundle shows of this verifier is exactly what it attested, if it shows anything."""
        epoch = inputs.epoch
        days: list[SignedDay] = [*inputs.probe_days, *inputs.canary_days, *inputs.check_days]
        shown = {signed for signed in days if signed.verifier == self._signer.address}
        if not shown:
            return
        document = self._verifier.attestation(epoch)
        if document is None:
            raise ReportRefused(f"epoch {epoch} has not ended by this verifier's clock")
        separator = self._chain.deployment.domain().separator()
        own = read_document(document, self._signer.address, epoch, separator)
        if shown != {*own.probe_days, *own.canary_days, *own.check_days}:
            raise ReportRefused(f"the attestation of {self._signer.address} in the bundle is not what it attested")

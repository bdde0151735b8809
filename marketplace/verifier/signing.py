"""Sign a report only after recomputing it, and only if what this verifier attested stands in it unchanged."""

from __future__ import annotations

import asyncio
from typing import Any

from contracts.chain import Chain
from contracts.leaves import report_digest
from contracts.signing import Signer
from marketplace.errors import BondedError
from rewards.blobs import Source
from rewards.evidence import read_bundle
from rewards.replay import recompute
from rewards.verifier.attestation import read_document
from rewards.verifier.service import Verifier


class ReportRefused(BondedError):
    """A report does not hold; the message names the first difference. Nothing is signed."""


class ReportSigner:
    """Recompute reports one at a time and sign those that hold."""

    def __init__(self, chain: Chain, signer: Signer, verifier: Verifier, source: Source) -> None:
        self._chain = chain
        self._signer = signer
        self._verifier = verifier
        self._source = source
        self._one_at_a_time = asyncio.Lock()

    async def sign(self, epoch: int, evidence: bytes) -> dict[str, Any]:
        """Return `{"verifier", "digest", "signature"}` for the report in a bundle.

        Raises ReportRefused, EvidenceError.
        """
        async with self._one_at_a_time:
            bundle = await asyncio.to_thread(read_bundle, self._source, evidence)
            if bundle.report.epoch != epoch:
                raise ReportRefused(f"the bundle holds a report of epoch {bundle.report.epoch}, not {epoch}")
            self._check_own(epoch, bundle.inputs.probe_days, bundle.inputs.canary_days)
            result = await recompute(bundle, self._chain)
            if result.difference is not None:
                found = result.difference
                raise ReportRefused(f"{found.where}: recomputed {found.ours}, the bundle says {found.theirs}")
            domain = self._chain.deployment.domain()
            digest = report_digest(bundle.report, domain).digest(domain.separator())
            return {
                "verifier": self._signer.address,
                "digest": "0x" + digest.hex(),
                "signature": "0x" + self._signer.sign(digest).hex(),
            }

    def _check_own(self, epoch: int, probe_days: tuple[Any, ...], canary_days: tuple[Any, ...]) -> None:
        """Check that what the bundle shows of this verifier is exactly what it attested, if it shows anything."""
        shown = {signed for signed in (*probe_days, *canary_days) if signed.verifier == self._signer.address}
        if not shown:
            return
        document = self._verifier.attestation(epoch)
        if document is None:
            raise ReportRefused(f"epoch {epoch} has not ended by this verifier's clock")
        separator = self._chain.deployment.domain().separator()
        _, days, canaries = read_document(document, self._signer.address, epoch, separator)
        if shown != {*days, *canaries}:
            raise ReportRefused(f"the attestation of {self._signer.address} in the bundle is not what it attested")

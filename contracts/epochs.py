"""`EpochLedger` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface.

What takes several calls of the contract is returned as a tuple of calls to be sent in order; where every list fits in
one chunk it is a single `multicall`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts import leaves as hashing
from contracts.abi_values import (
    charge_values,
    credit_values,
    leaf_values,
    movements_values,
    payee_values,
    pool_values,
    report_values,
)
from contracts.binding import Contract, Reader, same
from contracts.calls import Call, View
from contracts.clock import Clock
from contracts.deployment import Deployment
from contracts.types import Charge, Checkpoint, Leaf, Movements, Report, Totals
from contracts.views import EpochProgress, EpochRecord, LedgerBooks, ReportProgress

__all__ = ["Clock", "Epochs"]

_TOTALS_AT = tuple(EpochRecord.__dataclass_fields__).index("totals")
_NOTHING_IN = ReportProgress()


class Epochs(Contract):
    """The reports and what they owe; what time it is says `Clock`."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "EpochLedger")
        self.clock = Clock(source)

    # ----------------------------------------------------------------------------------------------------- reports

    async def progress(self, at: Checkpoint) -> EpochProgress:
        """Return how far settlement has come."""
        views = [self.view(name, to=int) for name in ("nextEpoch", "nextActivation")]
        return EpochProgress(*await self.read_many([*views, self.clock.current_epoch_view()], at))

    async def report_progress(self, epoch: int, at: Checkpoint) -> ReportProgress:
        """Return how many chunks of an epoch's report came in."""
        return await self.read(self.report_progress_view(epoch), at)

    def report_progress_view(self, epoch: int) -> View[ReportProgress]:
        """Return the read behind `report_progress`, to be put in a batch."""
        return self.view("progress", epoch, to=lambda raw: ReportProgress(*raw))

    async def record(self, epoch: int, at: Checkpoint) -> EpochRecord | None:
        """Return what is kept of an epoch's report; None if there is none."""
        return await self.read(self.record_view(epoch), at)

    async def records(self, first: int, last: int, at: Checkpoint) -> list[EpochRecord | None]:
        """Return the records of epochs `first` to `last`, both included."""
        return await self.read_many([self.record_view(epoch) for epoch in range(first, last + 1)], at)

    def record_view(self, epoch: int) -> View[EpochRecord | None]:
        """Return the read behind `record`, to be put in a batch."""
        return self.view("record", epoch, to=_record)

    async def harmed_root(self, epoch: int, provider: str, at: Checkpoint) -> bytes:
        """Return the root over the pages of a slashed provider's harmed customers; zero where there is none."""
        return bytes(await self.read(self.view("harmedRoot", epoch, provider, to=same), at))

    async def report_digest(self, report: Report, at: Checkpoint) -> bytes:
        """Let the contract compute what verifiers sign; `contracts.leaves` computes the same."""
        return bytes(await self.read(self.view("reportDigest", self._signed(report), to=same), at))

    async def struct_hash(self, report: Report, at: Checkpoint) -> bytes:
        """Let the contract compute what the next report names as `previous`."""
        return bytes(await self.read(self.view("structHash", self._signed(report), to=same), at))

    async def leaf_hash(self, epoch: int, leaf: Leaf, at: Checkpoint) -> bytes:
        """Let the contract hash a leaf."""
        return bytes(await self.read(self.view("leafHash", epoch, leaf_values(leaf), to=same), at))

    async def verify_leaf(self, epoch: int, leaf: Leaf, proof: Sequence[bytes], at: Checkpoint) -> bool:
        """Say whether a leaf is in the root of an epoch's report."""
        return await self.read(self.view("verifyLeaf", epoch, leaf_values(leaf), list(proof), to=bool), at)

    async def domain_separator(self, at: Checkpoint) -> bytes:
        """Return the EIP-712 domain separator as the contract has it."""
        return bytes(await self.read(self.view("domainSeparator", to=same), at))

    # ------------------------------------------------------------------------------------------------------- books

    async def books(self, at: Checkpoint) -> LedgerBooks:
        """Return what the payment tokens in the ledger are for."""
        return await self.read(self.view("books", to=lambda raw: LedgerBooks(*raw)), at)

    async def incentive_fund(self, at: Checkpoint) -> int:
        """Return what no report has reserved."""
        return await self.number(at, "incentiveFund")

    async def refunds_due(self, at: Checkpoint) -> int:
        """Return charges of cancelled reports that wait for `refunds`; no report is taken before they are returned."""
        return await self.number(at, "refundsDue")

    async def treasury(self, at: Checkpoint) -> str:
        """Return who the treasury is."""
        return await self.read(self.view("treasury", to=str), at)

    async def owed(self, payee: str, at: Checkpoint) -> int:
        """Return what a verifier or the treasury may take with `claim_owed`."""
        return await self.number(at, "owed", payee)

    async def claimed(self, provider: str, at: Checkpoint) -> tuple[int, int]:
        """Return the fees and the incentives a provider has claimed so far."""
        names = ("claimedFees", "claimedIncentive")
        fees, incentive = await self.read_many([self.view(name, provider, to=int) for name in names], at)
        return fees, incentive

    async def claimed_through(self, provider: str, at: Checkpoint) -> int:
        """Return the newest epoch a provider has claimed against, plus one; 0 if it never claimed."""
        return await self.number(at, "claimedThrough", provider)

    # ------------------------------------------------------------------------------------------------------- calls

    def submission(self, report: Report, signatures: Sequence[bytes]) -> tuple[Call, ...]:
        """Hand in a report whole: its signed part, leaves and charges. Signatures ascend by their signers.

        Where several calls are returned, a report that stopped half way goes on with `completion`.
        """
        calls = (self.submit(report, signatures), *self.completion(report, _NOTHING_IN))
        fits = max(len(report.leaves), len(report.charges)) <= hashing.CHUNK
        return self._together(report.epoch, calls) if fits else calls

    def submit(self, report: Report, signatures: Sequence[bytes]) -> Call:
        """Hand in the signed part of a report alone."""
        return self.call(
            "submit",
            self._signed(report),
            list(signatures),
            epoch=report.epoch,
            leaves=report.leaves,
            signatures=signatures,
        )

    def completion(self, report: Report, done: ReportProgress) -> tuple[Call, ...]:
        """Bring in the leaves and charges that are missing of a submitted report."""
        epoch, domain = report.epoch, self.deployment.domain()
        roots = hashing.chunk_roots(hashing.leaf_hashes(domain.chain_id, domain.epoch_ledger, report))
        published = [
            self.call(
                "publishLeaves",
                epoch,
                roots,
                chunk,
                b"".join(hashing.pack(leaf) for leaf in part),
                epoch=epoch,
                chunk=chunk,
                leaves=part,
            )
            for chunk, part in enumerate(hashing.chunks(report.leaves))
            if chunk >= done.leaf_chunks
        ]
        moved = movements_values(hashing.movements(report))
        taken = [
            self.call("takeCharges", epoch, moved, chunk, charge_values(part), epoch=epoch, chunk=chunk, charges=part)
            for chunk, part in enumerate(hashing.chunks(report.charges))
            if chunk >= done.charge_chunks
        ]
        return (*published, *taken)

    def activation(self, report: Report) -> tuple[Call, ...]:
        """Give effect to a complete report and push its credits and pools.

        Where several calls are returned, one that stopped half way goes on with `pushes`.
        """
        calls = (self.activate(report), *self.pushes(report, _NOTHING_IN))
        fits = len(report.credits) + len(report.pools) <= hashing.CHUNK
        return self._together(report.epoch, calls) if fits else calls

    def activate(self, report: Report) -> Call:
        """Give effect to a complete report whose activation delay has passed."""
        moved = movements_values(hashing.movements(report))
        return self.call(
            "activate", report.epoch, moved, payee_values(report.payees), epoch=report.epoch, payees=report.payees
        )

    def pushes(self, report: Report, done: ReportProgress) -> tuple[Call, ...]:
        """Push the credits and pools that are missing of an activated report."""
        epoch, moved = report.epoch, movements_values(hashing.movements(report))
        credits = [
            self.call("pushCredits", epoch, moved, chunk, credit_values(part), epoch=epoch, chunk=chunk, credits=part)
            for chunk, part in enumerate(hashing.chunks(report.credits))
            if chunk >= done.credit_chunks
        ]
        pools = [
            self.call("pushPools", epoch, moved, chunk, pool_values(part), epoch=epoch, chunk=chunk, pools=part)
            for chunk, part in enumerate(hashing.chunks(report.pools))
            if chunk >= done.pool_chunks
        ]
        return (*credits, *pools)

    def cancel(self, epoch: int) -> Call:
        """Undo a report that is incomplete since longer than the activation delay, and every report behind it."""
        return self.call("cancel", epoch)

    def refunds(
        self, digest: bytes, moved: Movements, charges: Sequence[Charge], *, first: int = 0, last: int | None = None
    ) -> tuple[Call, ...]:
        """Return the charges that a cancelled report took, chunks `first` to before `last` of all its charges."""
        parts = list(enumerate(hashing.chunks(charges)))[first:last]
        values = movements_values(moved)
        return tuple(
            self.call("refund", digest, values, chunk, charge_values(part), digest=digest, chunk=chunk, charges=part)
            for chunk, part in parts
        )

    def claim(self, leaf: Leaf, epoch: int, proof: Sequence[bytes]) -> Call:
        """Pay a leaf's provider what it has earned and not claimed; the contract takes the leaf as it was published."""
        words = hashing.words(leaf)
        return self.call("claim", epoch, words, list(proof), provider=leaf.provider, epoch=epoch)

    def claim_owed(self) -> Call:
        """Pay the sender what it is owed as a verifier or the treasury."""
        return self.call("claimOwed")

    def fund_incentives(self, amount: int) -> Call:
        """Give payment tokens to the incentive fund."""
        return self.call("fundIncentives", amount)

    def _signed(self, report: Report) -> tuple[Any, ...]:
        return report_values(report, self.deployment.domain())

    def _together(self, epoch: int, calls: tuple[Call, ...]) -> tuple[Call, ...]:
        if len(calls) == 1:
            return calls
        steps = "+".join(call.function for call in calls)
        return (self.call("multicall", [call.data for call in calls], epoch=epoch, calls=steps),)


def _record(raw: Sequence[Any]) -> EpochRecord | None:
    values = list(raw)
    values[_TOTALS_AT] = Totals(*values[_TOTALS_AT])
    record = EpochRecord(*values)
    return record if record.submitted_at else None

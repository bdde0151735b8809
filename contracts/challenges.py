"""`ChallengeCourt` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface.

A challenge shows a leaf of a report and the measured leaf it came from, each with its proof; it succeeds or is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contracts.abi_values import leaf_values, measured_values, message_values, target_values
from contracts.binding import Contract, Reader, same
from contracts.calls import Call
from contracts.deployment import Deployment
from contracts.messages import Countersignature, ProbeDay, Receipt
from contracts.types import ChallengeTarget, Checkpoint, Leaf, MeasuredLeaf

Proof = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Served:
    """A customer who was served: the provider's receipt and a gateway's acceptance, each with its signature."""

    receipt: Receipt
    signature: bytes
    counter: Countersignature
    countersignature: bytes


class Challenges(Contract):
    """The seven grounds on which code says that a report is wrong."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "ChallengeCourt")

    # ------------------------------------------------------------------------------------------------------- reads

    async def compute(self, measured: MeasuredLeaf, at: Checkpoint) -> tuple[int, int, bool]:
        """Let the contract compute uptime in ppm, the ttft bucket, and whether anything was measured."""
        return await self.read(
            self.view(
                "compute",
                measured_values(measured),
                to=lambda up, bucket, counted: (int(up), int(bucket), bool(counted)),
            ),
            at,
        )

    async def measured_hash(self, epoch: int, measured: MeasuredLeaf, at: Checkpoint) -> bytes:
        """Let the contract hash a measured leaf; `contracts.measured` computes the same."""
        return bytes(await self.read(self.view("measuredHash", epoch, measured_values(measured), to=same), at))

    # ------------------------------------------------------------------------------------------------------- calls

    def signatures(self, target: ChallengeTarget, measured: MeasuredLeaf, proof: Proof) -> Call:
        """Ground 1: a ProbeDay is not its verifier's, or there is no quorum."""
        return self._challenge("challengeSignatures", target, measured_values(measured), list(proof))

    def computation(self, target: ChallengeTarget, measured: MeasuredLeaf, proof: Proof) -> Call:
        """Ground 2: uptime or p95 differ when computed again."""
        return self._challenge("challengeComputation", target, measured_values(measured), list(proof))

    def duty(self, target: ChallengeTarget, measured: MeasuredLeaf, proof: Proof, slot: int) -> Call:
        """Ground 3: a slot before registration or in declared maintenance counts."""
        return self._challenge("challengeDuty", target, measured_values(measured), list(proof), slot)

    def void(
        self,
        target: ChallengeTarget,
        measured: MeasuredLeaf,
        proof: Proof,
        slot: int,
        others: Sequence[MeasuredLeaf],
        proofs: Sequence[Proof],
    ) -> Call:
        """Ground 4: a slot counts in which too many were down; `others` that were, ascending by provider."""
        shown = [measured_values(one) for one in others]
        return self._challenge(
            "challengeVoid",
            target,
            measured_values(measured),
            list(proof),
            slot,
            shown,
            [list(one) for one in proofs],
        )

    def equivocation(
        self,
        target: ChallengeTarget,
        measured: MeasuredLeaf,
        proof: Proof,
        index: int,
        other: ProbeDay,
        signature: bytes,
    ) -> Call:
        """Ground 5: the verifier of day `index` signed another ProbeDay too, and the leaf rests on its day."""
        return self._challenge(
            "challengeEquivocation",
            target,
            measured_values(measured),
            list(proof),
            index,
            message_values(other),
            signature,
        )

    def leaf(self, target: ChallengeTarget) -> Call:
        """Ground 6: the leaf contradicts itself."""
        return self._challenge("challengeLeaf", target)

    def sequence(self, target: ChallengeTarget, before: Leaf, proof: Proof) -> Call:
        """Ground 6: the leaf contradicts the provider's leaf in the report before."""
        return self._challenge("challengeSequence", target, leaf_values(before), list(proof))

    def served(self, target: ChallengeTarget, measured: MeasuredLeaf, proof: Proof, shown: Sequence[Served]) -> Call:
        """Ground 7: customers were served in slots that count as down, in as many as the level rests on."""
        values = [
            (message_values(one.receipt), one.signature, message_values(one.counter), one.countersignature)
            for one in shown
        ]
        return self._challenge("challengeServed", target, measured_values(measured), list(proof), values)

    def _challenge(self, function: str, target: ChallengeTarget, *more: Any) -> Call:
        return self.call(function, target_values(target), *more, epoch=target.epoch, provider=target.leaf.provider)

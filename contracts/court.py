"""`SlashingCourt` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contracts.abi_values import leaf_values, message_values, page_values
from contracts.binding import Contract, Reader
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.messages import ProbeDay, Receipt
from contracts.types import Checkpoint, HarmPage, Leaf, SlashStage
from contracts.views import Breaker, CourtSettings, SlashView

_STAGE_AT = tuple(SlashView.__dataclass_fields__).index("stage") - 1


class Court(Contract):
    """Slashes proposed from reports, contested, ruled on, executed, and what the harmed get of them."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "SlashingCourt")

    # ------------------------------------------------------------------------------------------------------- reads

    async def slash(self, slash_id: int, at: Checkpoint) -> SlashView | None:
        """Return a slash by its id, which counts from 1; None if there is none."""
        if not 1 <= slash_id <= await self.count(at):
            return None
        return await self.read(self.slash_view(slash_id), at)

    def slash_view(self, slash_id: int) -> View[SlashView]:
        """Return the read behind `slash`, to be put in a batch."""
        return self.view("slash", slash_id, to=lambda raw: _slash(slash_id, raw))

    async def slashes(self, at: Checkpoint, first: int = 1) -> tuple[SlashView, ...]:
        """Return every slash from an id on, oldest first."""
        return tuple(await self.read_many([self.slash_view(i) for i in range(first, await self.count(at) + 1)], at))

    async def count(self, at: Checkpoint) -> int:
        """Return how many slashes were ever proposed."""
        return await self.number(at, "slashCount")

    async def slash_of(self, provider: str, epoch: int, at: Checkpoint) -> int:
        """Return the id of a provider's slash from a leaf of an epoch; 0 for none."""
        return await self.number(at, "slashOf", provider, epoch)

    async def page_given(self, slash_id: int, index: int, at: Checkpoint) -> bool:
        """Say whether a page of harmed customers got its part."""
        return await self.read(self.view("pageGiven", slash_id, index, to=bool), at)

    async def bond_for(self, amount: int, at: Checkpoint) -> int:
        """Return what the proposer or a contestant of a slash of an amount must post."""
        return await self.number(at, "bondFor", amount)

    async def availability_left_ppm(self, provider: str, at: Checkpoint) -> int:
        """Return what availability slashes may still take from a provider."""
        return await self.number(at, "availabilityLeftPpm", provider)

    async def code_ppm(self, code: int, at: Checkpoint) -> int:
        """Return the size of a code, in ppm of the required stake."""
        return await self.number(at, "codePpm", code)

    async def breaker(self, at: Checkpoint) -> Breaker:
        """Return how much was opened within seven days, and from which sum on slashes are queued."""
        return await self.read(self.view("breaker", to=Breaker), at)

    async def settings(self, at: Checkpoint) -> CourtSettings:
        """Return what the court was deployed with."""
        names = ("challengeSeconds", "arbitrationSeconds", "marginSeconds", "leastBond")
        return CourtSettings(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def books(self, at: Checkpoint) -> tuple[int, int]:
        """Return bonds posted, and what waits for pages of harmed customers: the stake tokens here cover their sum."""
        names = ("totalBonds", "totalHarmed")
        bonds, harmed = await self.read_many([self.view(name, to=int) for name in names], at)
        return bonds, harmed

    # ------------------------------------------------------------------------------------------------------- calls

    def propose(self, epoch: int, leaf: Leaf, proof: Sequence[bytes]) -> Call:
        """Open a slash from a leaf; needs an allowance for the bond (`bond_for`)."""
        return self.call(
            "propose",
            epoch,
            leaf_values(leaf),
            list(proof),
            epoch=epoch,
            provider=leaf.provider,
            code=leaf.slash_level,
        )

    def contest(self, slash_id: int, reason: bytes) -> Call:
        """Put an open slash before the arbitrator; needs an allowance for the bond. `reason`: digest of a statement."""
        return self.call("contest", slash_id, reason)

    def rule(self, slash_id: int, upheld: bool, wrong_signers: Sequence[str] = ()) -> Call:
        """Decide a contested slash; by the access manager's permission. Wrong signers only where it is not upheld."""
        return self.call("rule", slash_id, upheld, list(wrong_signers))

    def release(self, slash_id: int) -> Call:
        """Let a queued slash go on; by the access manager's permission."""
        return self.call("release", slash_id)

    def lapse(self, slash_id: int) -> Call:
        """Cancel a contested slash on which the arbitrator kept silent, or a queued one that nobody released."""
        return self.call("lapse", slash_id)

    def execute(self, slash_id: int) -> Call:
        """Carry a slash out after its challenge window."""
        return self.call("execute", slash_id)

    def compensate(self, slash_id: int, page: HarmPage, proof: Sequence[bytes]) -> Call:
        """Give one page of harmed customers their part (`contracts.leaves.harm_pages`, `page_proof`)."""
        return self.call(
            "compensate", slash_id, page_values(page), list(proof), id=slash_id, page=page.index, of=page.pages
        )

    def prove_receipts(self, one: Receipt, signature: bytes, other: Receipt, other_signature: bytes) -> Call:
        """Show two receipts that a provider signed for one attempt, and slash it at once."""
        return self._prove("proveReceipts", one, signature, other, other_signature)

    def prove_probe_days(self, one: ProbeDay, signature: bytes, other: ProbeDay, other_signature: bytes) -> Call:
        """Show two ProbeDays that a verifier signed for one provider and epoch, and take its bond at once."""
        return self._prove("proveProbeDays", one, signature, other, other_signature)

    def _prove(
        self,
        function: str,
        one: Receipt | ProbeDay,
        signature: bytes,
        other: Receipt | ProbeDay,
        other_signature: bytes,
    ) -> Call:
        return self.call(
            function, message_values(one), signature, message_values(other), other_signature, provider=one.provider
        )


def _slash(slash_id: int, raw: Sequence[Any]) -> SlashView:
    values = list(raw)
    values[_STAGE_AT] = SlashStage(values[_STAGE_AT])
    return SlashView(slash_id, *values)

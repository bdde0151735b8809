"""`SlashingCourt` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.binding import Contract, Reader
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.epochs import leaf_values
from contracts.types import Checkpoint, Harmed, Leaf
from contracts.views import SlashView


class Court(Contract):
    """Slashes proposed from reports, and executed."""

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
        return self.view("slash", slash_id, to=lambda raw: SlashView(slash_id, *raw))

    async def slashes(self, at: Checkpoint) -> tuple[SlashView, ...]:
        """Return every slash, oldest first."""
        return tuple(await self.read_many([self.slash_view(i) for i in range(1, await self.count(at) + 1)], at))

    async def count(self, at: Checkpoint) -> int:
        """Return how many slashes were ever proposed."""
        return await self.number(at, "slashCount")

    async def slash_of(self, provider: str, epoch: int, at: Checkpoint) -> int:
        """Return the id of a provider's slash for an epoch; 0 for none."""
        return await self.number(at, "slashOf", provider, epoch)

    async def availability_left_ppm(self, provider: str, at: Checkpoint) -> int:
        """Return what availability slashes may still take from a provider."""
        return await self.number(at, "availabilityLeftPpm", provider)

    async def level_ppm(self, level: int, at: Checkpoint) -> int:
        """Return the size of a slash level, in ppm of the required stake."""
        return await self.number(at, "levelPpm", level)

    async def challenge_s(self, at: Checkpoint) -> int:
        """Return the seconds from proposal to execution."""
        return await self.number(at, "challengeSeconds")

    # ------------------------------------------------------------------------------------------------------- calls

    def propose(self, epoch: int, leaf: Leaf, proof: Sequence[bytes], harmed: Harmed | None) -> Call:
        """Open a slash from a leaf; `harmed` opens the leaf's digest, None where that is zero."""
        customers, weights = _opened(harmed)
        return self.call(
            "propose",
            epoch,
            leaf_values(leaf),
            list(proof),
            customers,
            weights,
            epoch=epoch,
            provider=leaf.provider,
            level=leaf.slash_level,
            customers=customers,
        )

    def execute(self, slash_id: int, harmed: Harmed | None) -> Call:
        """Carry a slash out; `harmed` as when it was proposed."""
        return self.call("execute", slash_id, *_opened(harmed))


def _opened(harmed: Harmed | None) -> tuple[list[str], list[int]]:
    return ([], []) if harmed is None else (list(harmed.customers), list(harmed.weights))

"""`Guardian` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface."""

from __future__ import annotations

from contracts.binding import Contract, Reader
from contracts.calls import Call
from contracts.deployment import Deployment
from contracts.types import Checkpoint
from contracts.views import GuardianView


class Guardian(Contract):
    """A pause that expires by itself: nothing comes in while it lasts, everybody's own goes out."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "Guardian")

    async def state(self, at: Checkpoint) -> GuardianView:
        """Return whether the market is paused, until when, and when it may be paused next."""
        paused, *times = await self.read_many(
            [
                self.view("paused", to=bool),
                self.view("pausedUntil", to=int),
                self.view("nextPauseAt", to=int),
            ],
            at,
        )
        return GuardianView(paused, *times)

    async def most_pause_s(self, at: Checkpoint) -> int:
        """Return the longest pause in seconds, as it was deployed."""
        return await self.number(at, "mostPauseSeconds")

    def pause(self, seconds: int) -> Call:
        """Pause the market; by the access manager's permission, at most `most_pause_s` and once in thirty days."""
        return self.call("pause", seconds)

    def unpause(self) -> Call:
        """End a pause early; by the access manager's permission."""
        return self.call("unpause")

"""Send what settlement decided, each deed once and for good.

A deed is an intent of the outbox. One that the chain reverted or dropped did nothing, so after a new simulation it may
be sent again, under the next turn's name: whatever made it fail may be over.
"""

from __future__ import annotations

from contracts.calls import Call
from contracts.errors import IntentDropped, TransactionReverted
from contracts.transactions import Outcome, Sender, Until

_MOST_TURNS = 8
_WAIT_S = 60.0


class Deeds:
    """The deeds of one key."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.address = sender.address

    async def once(self, intent: str, call: Call) -> Outcome:
        """Send a call under an intent and wait until it is mined; raises as `Sender.submit`."""
        return await self._sender.submit(intent, call, until=Until.MINED, timeout_s=_WAIT_S)

    async def until_done(self, intent: str, call: Call) -> Outcome:
        """Send a call, again where an earlier turn came to nothing; raises what the last turn did.

        A turn that would fail now is refused by its simulation and leaves nothing behind.
        """
        for turn in range(_MOST_TURNS):
            try:
                return await self.once(f"{intent}~{turn}" if turn else intent, call)
            except (TransactionReverted, IntentDropped):
                if turn + 1 == _MOST_TURNS:
                    raise
        raise AssertionError("the last turn returns or raises")

    async def all_until_done(self, intent: str, calls: tuple[Call, ...]) -> None:
        """Send calls in their order, each under its own name; one that was done before is not sent again."""
        for call in calls:
            await self.until_done(_named(intent, call, calls), call)


def _named(intent: str, call: Call, calls: tuple[Call, ...]) -> str:
    """Name one of several calls by what it is and its chunk, so that the rest of a list names it the same."""
    if len(calls) == 1 and call.function == "multicall":
        return intent
    chunk = call.arguments.get("chunk")
    return f"{intent}:{call.function}" if chunk is None else f"{intent}:{call.function}:{chunk}"

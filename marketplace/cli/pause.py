"""Say before anything is sent that the market is paused; what brings money out is never asked here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from marketplace.cli.output import ExitCode, fail

if TYPE_CHECKING:
    from contracts.chain import Chain
    from contracts.types import Checkpoint


async def refuse_while_paused(chain: Chain, at: Checkpoint) -> None:
    """End the command when the guardian's pause lasts."""
    from contracts.guardian import Guardian

    state = await Guardian(chain).state(at)
    if state.paused:
        fail(
            f"the guardian paused the market until {readable(state.paused_until)}: nothing is taken in before",
            "run this again then; withdrawing, unbonding and claiming work meanwhile",
            ExitCode.REFUSED_BY_CHAIN,
        )


def readable(time_s: int) -> str:
    """Write a moment of the chain for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_s))

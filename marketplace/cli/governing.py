"""`bonded operator pause|unpause|propose|contest`: what the guardian's key may do, and what anybody may with a bond."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.cli import court
from marketplace.cli.deeds import Manner
from marketplace.cli.options import Access, with_options
from marketplace.cli.output import ExitCode, fail
from marketplace.cli.pause import readable
from marketplace.cli.payment import pay

StatementArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="What is put forward; only its digest goes on chain.")
]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    for command in (pause, unpause, propose, contest):
        app.command()(command)


@with_options
def pause(
    access: Access,
    manner: Manner,
    hours: Annotated[
        float,
        typer.Argument(min=0.001, max=168, help="How long; cut to the longest pause there is, seven days at most."),
    ],
) -> None:
    """Pause the market with the guardian's key, once in thirty days; nobody's withdrawal or claim is held up."""

    async def work() -> None:
        from contracts.guardian import Guardian

        signer = access.open_key()
        async with access.chain() as chain:
            guardian, head = Guardian(chain), await chain.head()
            state = await guardian.state(head)
            if head.time < state.next_pause_at:
                fail(
                    f"the next pause may begin at {readable(state.next_pause_at)}",
                    "a pause comes at most once in thirty days",
                    ExitCode.REFUSED_BY_CHAIN,
                )
            seconds = min(max(1, round(hours * 3600)), await guardian.most_pause_s(head))
            facts: dict[str, Any] = {"guardian": signer.address, "until about": readable(head.time + seconds)}
            steps = [("pause", guardian.pause(seconds))]
            await pay(chain, signer, access.keystore, steps, facts, manner)

    asyncio.run(work())


@with_options
def unpause(
    access: Access,
    manner: Manner,
) -> None:
    """End a pause early with the guardian's key; the thirty days still count from its beginning."""

    async def work() -> None:
        from contracts.guardian import Guardian

        signer = access.open_key()
        async with access.chain() as chain:
            guardian = Guardian(chain)
            state = await guardian.state(await chain.head())
            if not state.paused:
                fail("the market is not paused", "", ExitCode.REFUSED_BY_CHAIN)
            facts = {"guardian": signer.address, "paused until": readable(state.paused_until)}
            steps = [("unpause", guardian.unpause())]
            await pay(chain, signer, access.keystore, steps, facts, manner)

    asyncio.run(work())


@with_options
def propose(
    access: Access,
    manner: Manner,
    epoch: Annotated[int, typer.Argument(min=0, help="The epoch whose report calls for the slash.")],
    provider: Annotated[str, typer.Argument(help="The provider's address.")],
) -> None:
    """Open a slash that a report calls for, with a bond; the settlement process does this by itself."""
    asyncio.run(court.propose(access, epoch, provider, manner))


@with_options
def contest(
    access: Access,
    manner: Manner,
    slash_id: Annotated[int, typer.Argument(min=1, help="The slash's number, from `bonded auditor history`.")],
    statement: StatementArgument,
) -> None:
    """Put an open slash before the arbitrator, with a bond; its silence cancels the slash."""
    asyncio.run(court.contest(access, slash_id, statement.read_bytes(), manner))

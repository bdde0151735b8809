"""`bonded operator pause|unpause|propose|contest`: what the guardian's key may do, and what anybody may with a bond."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.cli import court
from marketplace.cli.chain import (
    FINALITY_DEFAULT,
    RPC_DEFAULT,
    DeploymentOption,
    FinalityOption,
    RpcOption,
    open_chain,
)
from marketplace.cli.deeds import Manner
from marketplace.cli.keys import KeystoreOption, PasswordFileOption, open_keystore
from marketplace.cli.output import DryRunFlag, ExitCode, JsonFlag, YesFlag, fail
from marketplace.cli.pause import readable
from marketplace.cli.payment import pay

_MOST_PAUSE_S = 7 * 86_400
StatementArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="What is put forward; only its digest goes on chain.")
]


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    for command in (pause, unpause, propose, contest):
        app.command()(command)


def pause(
    hours: Annotated[float, typer.Argument(min=0.001, max=168, help="How long; at most seven days.")],
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Pause the market with the guardian's key, once in thirty days; nobody's withdrawal or claim is held up."""

    async def work() -> None:
        from contracts.guardian import Guardian

        signer = open_keystore(keystore, password_file)
        async with open_chain(rpc, deployment, finality) as chain:
            guardian, head = Guardian(chain), await chain.head()
            state = await guardian.state(head)
            if head.time < state.next_pause_at:
                fail(
                    f"the next pause may begin at {readable(state.next_pause_at)}",
                    "a pause comes at most once in thirty days",
                    ExitCode.REFUSED_BY_CHAIN,
                )
            seconds = min(max(1, round(hours * 3600)), _MOST_PAUSE_S)
            facts: dict[str, Any] = {"guardian": signer.address, "until about": readable(head.time + seconds)}
            steps = [("pause", guardian.pause(seconds))]
            await pay(chain, signer, keystore, steps, facts, None, dry_run, yes, as_json)

    asyncio.run(work())


def unpause(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """End a pause early with the guardian's key; the thirty days still count from its beginning."""

    async def work() -> None:
        from contracts.guardian import Guardian

        signer = open_keystore(keystore, password_file)
        async with open_chain(rpc, deployment, finality) as chain:
            guardian = Guardian(chain)
            state = await guardian.state(await chain.head())
            if not state.paused:
                fail("the market is not paused", "", ExitCode.REFUSED_BY_CHAIN)
            facts = {"guardian": signer.address, "paused until": readable(state.paused_until)}
            steps = [("unpause", guardian.unpause())]
            await pay(chain, signer, keystore, steps, facts, None, dry_run, yes, as_json)

    asyncio.run(work())


def propose(
    epoch: Annotated[int, typer.Argument(min=0, help="The epoch whose report calls for the slash.")],
    provider: Annotated[str, typer.Argument(help="The provider's address.")],
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Open a slash that a report calls for, with a bond; the settlement process does this by itself."""
    party = court.Party(keystore, password_file, rpc, deployment, finality)
    asyncio.run(court.propose(party, epoch, provider, Manner(dry_run, yes, as_json)))


def contest(
    slash_id: Annotated[int, typer.Argument(min=1, help="The slash's number, from `bonded auditor history`.")],
    statement: StatementArgument,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Put an open slash before the arbitrator, with a bond; its silence cancels the slash."""
    party = court.Party(keystore, password_file, rpc, deployment, finality)
    asyncio.run(court.contest(party, slash_id, statement.read_bytes(), Manner(dry_run, yes, as_json)))

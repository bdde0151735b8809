"""`bonded auditor`: read the history from the chain alone, and replay any epoch to the wei.

Holds no key and no account.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli.chain import FINALITY_DEFAULT, RPC_DEFAULT, DeploymentOption, FinalityOption, RpcOption, open_chain
from marketplace.cli.honesty import honesty
from marketplace.cli.output import (
    ExitCode,
    JsonFlag,
    StepProgress,
    note,
    print_facts,
    print_json,
    print_line,
)

if TYPE_CHECKING:
    from marketplace.cli.challenges import Challenge
    from marketplace.cli.receipts import Finding
    from rewards.replay import ReplayResult

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Read the history from the chain and replay any epoch to the wei.",
)

EvidenceOption = Annotated[
    str,
    typer.Option("--evidence", envvar="BONDED_EVIDENCE", help="A folder of blobs, or the URL of an evidence server."),
]


app.command()(honesty)


@app.command()
def history(
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show every report, claim, credit, slash, challenge and refund, read from the chain's events."""
    asyncio.run(_history(rpc, deployment, finality, as_json))


@app.command()
def replay(
    epochs: Annotated[list[int] | None, typer.Argument(min=0, help="Epochs to replay.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Replay every reported epoch.")] = False,
    evidence: EvidenceOption = "evidence",
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Recompute epochs from evidence and chain and compare to the wei; exit 5 at the first difference.

    Exit 5 also where all is equal but a receipt is missing: a provider says that it was handed over, and nobody has it.
    """
    if not epochs and not every:
        raise typer.BadParameter("name the epochs to replay, or give --all")
    asyncio.run(_replay(epochs or [], every, evidence, rpc, deployment, finality, as_json))


@app.command()
def explain(
    subject: Annotated[str, typer.Argument(help="A provider, or a customer.")],
    epoch: Annotated[int, typer.Argument(min=0, help="The epoch.")],
    evidence: EvidenceOption = "evidence",
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show how an epoch's score and amounts came about, from inputs to units, each line with its rule."""

    async def work() -> dict[str, Any]:
        from marketplace.cli.explaining import explained
        from rewards.blobs import source_at
        from rewards.replay import replay as replay_epoch

        async with open_chain(rpc, deployment, finality) as chain:
            with StepProgress(f"epoch {epoch}", as_json) as told:
                result = await replay_epoch(epoch, chain, source_at(evidence), told)
        return explained(result, subject)

    from marketplace.cli.explaining import show

    found = asyncio.run(work())
    if as_json:
        print_json(found)
    else:
        show(found)
    if not found["equal"]:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@app.command("verify-receipt")
def verify_receipt(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="One receipt as JSON.")],
    evidence: Annotated[
        str | None,
        typer.Option(
            "--evidence",
            envvar="BONDED_EVIDENCE",
            help="A folder of blobs, or the URL of an evidence server; without one only the signatures are checked.",
        ),
    ] = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Check who signed a receipt and whether the evidence of its epoch has it; exit 5 if something does not hold.

    The file is a line of an agent's journal or of attempts.jsonl.
    """
    from marketplace.cli.receipts import as_json as plain_findings
    from marketplace.cli.receipts import check_shown, read_shown
    from rewards.blobs import source_at

    shown = read_shown(file)

    async def work() -> list[Finding]:
        async with open_chain(rpc, deployment, finality) as chain:
            return await check_shown(chain, shown, None if evidence is None else source_at(evidence))

    found = asyncio.run(work())
    if as_json:
        print_json(plain_findings(shown, found))
    for one in () if as_json else found:
        print_line(("holds  " if one.holds else "WRONG  ") + one.words, "green" if one.holds else "bold red")
    if not all(one.holds for one in found):
        raise typer.Exit(ExitCode.CHECK_FAILED)


@app.command()
def challenge(
    epochs: Annotated[list[int], typer.Argument(min=0, help="Epochs whose reports are tried.")],
    evidence: Annotated[
        str | None,
        typer.Option(
            "--evidence",
            envvar="BONDED_EVIDENCE",
            help="A folder of blobs, or the URL of an evidence server; without one only the leaves are judged.",
        ),
    ] = None,
    receipts: Annotated[
        Path | None,
        typer.Option(
            "--receipts",
            exists=True,
            dir_okay=False,
            help="Accepted receipts that the report may not know, in the form of attempts.jsonl; needs --evidence.",
        ),
    ] = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Try every challenge that code can judge, and show those that would succeed, ready to be sent; exit 5 if any."""

    if receipts is not None and evidence is None:
        raise typer.BadParameter("receipts are held against what was measured: name the evidence too")

    async def work() -> list[Challenge]:
        from marketplace.cli.challenges import find_challenges, read_receipts
        from rewards.blobs import source_at

        source = None if evidence is None else source_at(evidence)
        kept = [] if receipts is None else read_receipts(receipts)
        async with open_chain(rpc, deployment, finality) as chain:
            return [one for epoch in epochs for one in await find_challenges(chain, epoch, source, kept)]

    found = asyncio.run(work())
    if as_json:
        print_json({"challenges": found})
    elif not found:
        print_line("nothing in these reports would be judged wrong", style="green")
    for one in () if as_json else found:
        print_line(f"epoch {one.epoch}, {one.provider}: ground {one.ground}, {one.words}", style="bold red")
        print_facts("Send from any account", {"to": one.to, "data": "0x" + one.data.hex()})
    if found:
        raise typer.Exit(ExitCode.CHECK_FAILED)


async def _history(rpc: str, deployment: Path | None, finality: str, as_json: bool) -> None:
    from contracts.history import read_history
    from contracts.tokens import Token
    from marketplace.cli.history import print_history

    async with open_chain(rpc, deployment, finality) as chain:
        at = await chain.checkpoint()
        found = await read_history(chain, at)
        pay = await Token(chain, "PaymentToken").decimals(at)
        stake = await Token(chain, "StakeToken").decimals(at)
    if as_json:
        print_json(found)
        return
    print_history(found, at.number, pay, stake)


async def _replay(
    epochs: list[int], every: bool, evidence: str, rpc: str, deployment: Path | None, finality: str, as_json: bool
) -> None:
    from contracts.epochs import Epochs
    from contracts.errors import HistoryDamaged
    from rewards.blobs import source_at
    from rewards.errors import CheckpointRefused, EvidenceError
    from rewards.replay import replay as replay_epoch

    source = source_at(evidence)
    async with open_chain(rpc, deployment, finality) as chain:
        if every:
            progress = await Epochs(chain).progress(await chain.checkpoint())
            epochs = list(range(progress.next_epoch))
            if not epochs and not as_json:
                print_line("no epoch has been reported yet", "dim")
        results: list[dict[str, Any]] = []
        for epoch in epochs:
            try:
                with StepProgress(f"epoch {epoch}", as_json) as told:
                    result = await replay_epoch(epoch, chain, source, told)
            except (EvidenceError, HistoryDamaged, CheckpointRefused) as error:
                where = "evidence" if isinstance(error, EvidenceError) else "chain"
                results.append({"epoch": epoch, "equal": False, "where": where, "words": str(error), "missing": []})
                _show_damage(epoch, error, as_json)
                continue
            results.append(_summary(result))
            if not as_json:
                _show(result)
    if as_json:
        print_json({"replays": results})
    if not all(row["equal"] and not row["missing"] for row in results):
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _summary(result: ReplayResult) -> dict[str, Any]:
    row: dict[str, Any] = {"epoch": result.epoch, "equal": result.equal, "attempts": result.attempts}
    row["leaves"] = len(result.report.leaves)
    row["missing"] = [] if result.settlement is None else result.settlement.missing
    if result.difference is not None:
        found = result.difference
        row |= {"where": found.where, "recomputed": found.ours, "reported": found.theirs}
    return row


def _show(result: ReplayResult) -> None:
    if result.difference is None:
        totals = result.report.totals
        print_line(
            f"epoch {result.epoch}: EQUAL. {result.attempts} attempts, {len(result.report.leaves)} leaves, "
            f"{totals.charged} units charged, every figure recomputed to the unit.",
            style="green",
        )
        for one in result.settlement.missing if result.settlement is not None else ():
            words = f"epoch {result.epoch}: MISSING. {one.provider} names job 0x{one.job.hex()}, which no evidence has."
            print_line(words, style="bold red")
        return
    print_line(f"epoch {result.epoch}: DIFFERENT", style="bold red")
    print_facts(
        "First difference",
        {"where": result.difference.where, "recomputed": result.difference.ours, "reported": result.difference.theirs},
    )
    note("Do not sign, pay or claim on this report; keep the evidence and tell the verifiers.")


def _show_damage(epoch: int, error: Exception, as_json: bool) -> None:
    if not as_json:
        print_line(f"epoch {epoch}: REFUSED. {error}", style="bold red")

"""`bonded operator`: run gateway and settlement, bond the gateway, fund, and hold the books against the chain."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli import bonding, governing
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
from marketplace.cli.options import Access, with_options
from marketplace.cli.output import (
    ExitCode,
    JsonFlag,
    fail,
    print_json,
    print_line,
    print_table,
    units,
    whole,
)
from marketplace.cli.pause import refuse_while_paused
from marketplace.cli.payment import Payment

if TYPE_CHECKING:
    from contracts.calls import Call
    from marketplace.recovery import Recovered

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run gateway, clock, indexer and settlement.")
governing.add_to(app)

ListenOption = Annotated[str | None, typer.Option("--listen", envvar="BONDED_LISTEN", help="host:port to serve at.")]


@app.command()
def gateway(
    listen: ListenOption = None,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
) -> None:
    """Serve customers: inference, control API and dashboard. Settings come from BONDED_… variables."""
    from marketplace.gateway.run import run
    from marketplace.settings import GatewaySettings, load

    run(load(GatewaySettings, listen=listen), open_keystore(keystore, password_file))


@app.command()
def settle(
    evidence_listen: Annotated[
        str | None,
        typer.Option("--evidence-listen", envvar="BONDED_EVIDENCE_LISTEN", help="host:port of the evidence."),
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
) -> None:
    """Index, settle, send and serve evidence; a second process of this kind stands by."""
    from marketplace.settings import SettlementSettings, load
    from marketplace.settlement_process import run_settlement

    settings = load(SettlementSettings, evidence_listen=evidence_listen)
    asyncio.run(run_settlement(settings, open_keystore(keystore, password_file)))


@app.command()
def migrate(as_json: JsonFlag = False) -> None:
    """Bring the database to the newest version (the other commands do it too)."""

    async def work() -> None:
        from marketplace.db import Database
        from marketplace.settings import CommonSettings, load

        settings = load(CommonSettings)
        database = await Database.open(settings.database_url, settings.data_folder)
        await database.close()

    asyncio.run(work())
    print_json({"migrated": True}) if as_json else print_line("the database is at the newest version")


@app.command("join-gateway")
@with_options
def join_gateway(
    access: Access,
    manner: Manner,
    endpoint: Annotated[str, typer.Argument(help="The URL at which agents reach this gateway.")],
) -> None:
    """Post the gateway's bond; agents accept tickets of bonded gateways only."""
    walker = bonding.Walker("Gateways", "gateway", access)
    asyncio.run(bonding.join(walker, endpoint, manner))


@app.command("leave-gateway")
@with_options
def leave_gateway(
    access: Access,
    manner: Manner,
) -> None:
    """Leave the set of gateways at once; the bond can be withdrawn after the unbonding time."""
    walker = bonding.Walker("Gateways", "gateway", access)
    asyncio.run(bonding.leave(walker, manner))


@app.command("withdraw-gateway")
@with_options
def withdraw_gateway(
    access: Access,
    manner: Manner,
) -> None:
    """Take the gateway's bond back after leaving."""
    walker = bonding.Walker("Gateways", "gateway", access)
    asyncio.run(bonding.withdraw(walker, manner))


@app.command()
@with_options
def fund(
    access: Access,
    manner: Manner,
    incentives: Annotated[str | None, typer.Option("--incentives", help="Whole payment tokens for incentives.")] = None,
    sla: Annotated[str | None, typer.Option("--sla", help="Whole payment tokens for the SLA fund.")] = None,
) -> None:
    """Put payment tokens into the incentive fund or the SLA fund."""

    async def work() -> None:
        from contracts.epochs import Epochs
        from contracts.escrow import Escrow
        from contracts.tokens import Token

        if incentives is None and sla is None:
            fail("nothing to fund", "give --incentives or --sla", ExitCode.USAGE)
        signer = access.open_key()
        async with access.chain() as chain:
            head = await chain.head()
            token = Token(chain, "PaymentToken")
            decimals, symbol = await token.decimals(head), await token.symbol(head)
            purposes: list[tuple[str, int, str, Call]] = []
            for what, amount, spender, into in (
                ("incentives", incentives, "EpochLedger", Epochs(chain).fund_incentives),
                ("SLA fund", sla, "JobEscrow", Escrow(chain).fund_sla),
            ):
                if amount is not None:
                    wanted = units(amount, decimals)
                    purposes.append((what, wanted, spender, into(wanted)))
            payment = Payment(
                chain, signer, access.keystore, [(what, call) for what, _, _, call in purposes], manner.intent
            )
            calls: list[tuple[str, Call]] = []
            facts: dict[str, Any] = {"payer": signer.address}
            missing = 0
            for what, wanted, spender, call in purposes:
                facts[what] = whole(wanted, decimals, symbol)
                if not await payment.begun(what):
                    missing += wanted
                    calls.append((f"approve {what}", token.approve(chain.deployment.address(spender), wanted)))
                calls.append((what, call))
            held = await token.balance(signer.address, head)
            if missing and incentives is not None:
                await refuse_while_paused(chain, head)
            if held < missing:
                fail(
                    f"{signer.address} holds {whole(held, decimals, symbol)}, this takes {whole(missing, decimals)}",
                    "send payment tokens to this address first",
                )
            await payment.make(calls, facts, manner)

    asyncio.run(work())


@app.command()
def check(
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Hold the ledger against the chain; exit 0 only when every line is equal."""

    async def work() -> list[Any]:
        from marketplace.books import check_books
        from marketplace.db import Database
        from marketplace.settings import CommonSettings, load

        settings = load(CommonSettings)
        database = await Database.open(settings.database_url, settings.data_folder)
        try:
            async with open_chain(rpc, deployment, finality) as chain:
                return await check_books(database, chain)
        finally:
            await database.close()

    lines = asyncio.run(work())
    if as_json:
        print_json({"equal": all(line.equal for line in lines), "lines": lines})
    else:
        print_table(
            "Books",
            ("what must hold", "one side", "other side", "in", ""),
            [(line.what, line.ours, line.theirs, line.unit, "ok" if line.equal else "DIFFERENT") for line in lines],
            numbers=("one side", "other side"),
        )
    if not all(line.equal for line in lines):
        raise typer.Exit(ExitCode.CHECK_FAILED)


@app.command()
def recover(
    evidence: Annotated[
        str,
        typer.Option(
            "--evidence",
            envvar="BONDED_RECOVERY_EVIDENCE",
            help="Where the evidence is: a folder of blobs, or the URL of anybody's evidence server.",
        ),
    ],
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Rebuild ledger and settlement state in an empty database, from the chain and the evidence alone.

    Run `bonded operator check` afterwards. What no report holds yet is in the gateway's journal, or lost.
    """

    async def work() -> Recovered:
        from contracts.tokens import Token
        from marketplace.db import Database
        from marketplace.recovery import recover as rebuild
        from marketplace.settings import SettlementSettings, load
        from rewards.blobs import FolderStore, source_at
        from rewards.epoch import unit_atto

        settings = load(SettlementSettings)
        store = FolderStore(settings.data_folder / "evidence")
        database = await Database.open(settings.database_url, settings.data_folder)
        try:
            async with open_chain(rpc, deployment, finality) as chain:
                decimals = await Token(chain, "PaymentToken").decimals(await chain.checkpoint())
                with StepProgress("recovering", as_json) as told:
                    return await rebuild(chain, database, source_at(evidence), store, unit_atto(decimals), told)
        finally:
            await database.close()

    from marketplace.cli.output import StepProgress

    found = asyncio.run(work())
    if as_json:
        print_json(found)
    else:
        print_line(
            f"{found.epochs} epochs with {found.attempts} attempts, the chain up to block {found.block}", "green"
        )


@app.command()
def decisions(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="The log's folder; default: of the gateway's data folder.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Decide again every decision of the gateway's log; exit 0 only when each comes out as it was written."""
    from marketplace.gateway.decisions import replay_folder
    from marketplace.settings import CommonSettings, load

    where = folder or load(CommonSettings).data_folder / "decisions"
    try:
        replayed = replay_folder(where)
    except FileNotFoundError as error:
        fail(str(error), "give --folder, or BONDED_DATA_FOLDER of a gateway that has served", ExitCode.USAGE)
    if as_json:
        print_json(replayed)
    else:
        print_line(
            f"{replayed.equal} decisions come out equal, {len(replayed.wrong)} do not; {replayed.refusals} refusals, "
            f"{replayed.left_out} left out under load"
        )
        for line in replayed.wrong:
            print_line(line)
    if replayed.wrong:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@app.command()
def status(as_json: JsonFlag = False) -> None:
    """Show how far each epoch has come and what stands in its way."""

    async def work() -> list[Any]:
        from marketplace.db import Database
        from marketplace.epoch_steps import EpochSteps
        from marketplace.settings import CommonSettings, load

        settings = load(CommonSettings)
        database = await Database.open(settings.database_url, settings.data_folder)
        try:
            return await EpochSteps(database).all()
        finally:
            await database.close()

    rows = asyncio.run(work())
    if as_json:
        print_json({"epochs": [{"epoch": row.epoch, "step": row.step.value, "problem": row.problem} for row in rows]})
    else:
        print_table("Epochs", ("epoch", "step", "waiting for"), [(r.epoch, r.step.value, r.problem) for r in rows])

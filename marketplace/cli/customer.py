"""`bonded customer`: deposit, keys, usage, receipts, withdraw.

Money through the chain, the rest through the gateway.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.chain import (
    FINALITY_DEFAULT,
    RPC_DEFAULT,
    DeploymentOption,
    FinalityOption,
    RpcOption,
    open_chain,
)
from marketplace.cli.keys import KeystoreOption, PasswordFileOption, open_keystore
from marketplace.cli.output import (
    DryRunFlag,
    JsonFlag,
    YesFlag,
    fail,
    print_facts,
    print_json,
    print_line,
    print_table,
    units,
    whole,
)
from marketplace.cli.payment import pay
from marketplace.cli.session import Session, ask

if TYPE_CHECKING:
    from contracts.calls import Call

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Buy inference: deposit, keys, usage, receipts, withdraw.",
)
keys_app = typer.Typer(no_args_is_help=True, help="API keys for any OpenAI client.")
app.add_typer(keys_app, name="keys")

GatewayOption = Annotated[
    str, typer.Option("--gateway", envvar="BONDED_GATEWAY", help="The gateway's base URL, without /v1.")
]
GATEWAY_DEFAULT = "http://127.0.0.1:8080"
IntentOption = Annotated[
    str | None,
    typer.Option("--intent", help="A name for this payment; giving it again never pays twice."),
]


@app.command()
def deposit(
    amount: Annotated[str, typer.Argument(help="Whole payment tokens, for example 10 or 0.5.")],
    cap: Annotated[
        str | None,
        typer.Option("--cap", help="Most whole tokens a gateway may charge per epoch; default: the deposit."),
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    intent: IntentOption = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Put payment tokens into escrow and set the most that may be charged per epoch."""

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.tokens import Token

        signer = open_keystore(keystore, password_file)
        async with open_chain(rpc, deployment, finality) as chain:
            head = await chain.head()
            token, escrow = Token(chain, "PaymentToken"), Escrow(chain)
            decimals, symbol = await token.decimals(head), await token.symbol(head)
            wanted = units(amount, decimals)
            most = units(cap, decimals) if cap else wanted
            held, view = await token.balance(signer.address, head), await escrow.customer(signer.address, head)
            if held < wanted:
                fail(
                    f"{signer.address} holds {whole(held, decimals, symbol)}, the deposit is {whole(wanted, decimals)}",
                    "deposit less, or send tokens to this address first",
                )
            facts = {
                "customer": signer.address,
                "deposit": whole(wanted, decimals, symbol),
                "in escrow afterwards": whole(view.balance + wanted, decimals, symbol),
                "most per epoch": whole(max(most, view.cap), decimals, symbol),
            }
            calls: list[tuple[str, Call]] = []
            spender = chain.deployment.address("JobEscrow")
            if await token.allowance(signer.address, spender, head) < wanted:
                calls.append(("approve", token.approve(spender, wanted)))
            calls.append(("deposit", escrow.deposit(signer.address, wanted)))
            if most > view.cap:
                calls.append(("cap", escrow.set_cap(most)))
            await pay(chain, signer, keystore, calls, facts, intent, dry_run, yes, as_json)

    asyncio.run(work())


@app.command("cap")
def set_cap(
    amount: Annotated[str, typer.Argument(help="Whole payment tokens per epoch.")],
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Set the most a gateway may charge per epoch; lowering takes effect after the running epoch."""

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.tokens import Token

        signer = open_keystore(keystore, password_file)
        async with open_chain(rpc, deployment, finality) as chain:
            token = Token(chain, "PaymentToken")
            head = await chain.head()
            most = units(amount, await token.decimals(head))
            facts = {"customer": signer.address, "most per epoch": f"{amount} {await token.symbol(head)}"}
            calls = [("cap", Escrow(chain).set_cap(most))]
            await pay(chain, signer, keystore, calls, facts, None, dry_run, yes, as_json)

    asyncio.run(work())


@app.command()
def withdraw(
    amount: Annotated[str | None, typer.Argument(help="Whole payment tokens to start thawing.")] = None,
    compensation: Annotated[
        bool, typer.Option("--compensation", help="Take compensation from slashes (stake tokens); needs no thaw.")
    ] = False,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    intent: IntentOption = None,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Start thawing AMOUNT; without one, take out what has thawed (or, with --compensation, what slashes brought)."""

    async def work() -> None:
        from contracts.escrow import Escrow
        from contracts.tokens import Token

        signer = open_keystore(keystore, password_file)
        async with open_chain(rpc, deployment, finality) as chain:
            head = await chain.head()
            escrow, token = Escrow(chain), Token(chain, "PaymentToken")
            decimals, symbol = await token.decimals(head), await token.symbol(head)
            view = await escrow.customer(signer.address, head)
            facts = {"customer": signer.address, "in escrow": whole(view.balance, decimals, symbol)}
            if compensation:
                stake = Token(chain, "StakeToken")
                if not view.compensation:
                    fail("there is no compensation to take", "see `bonded customer balance`")
                facts["compensation"] = whole(view.compensation, await stake.decimals(head), await stake.symbol(head))
                calls = [("compensation", escrow.withdraw_compensation())]
            elif amount is not None:
                wanted = units(amount, decimals)
                if wanted > view.balance - view.thawing:
                    fail(
                        f"only {whole(view.balance - view.thawing, decimals, symbol)} can start thawing",
                        "ask for less, or cancel the thaw under way",
                    )
                facts |= {
                    "starts thawing": whole(wanted, decimals, symbol),
                    "free after": f"{await escrow.thaw_s(head)} s",
                }
                calls = [("thaw", escrow.request_withdrawal(wanted))]
            else:
                _check_thawed(view.thawing, view.thawed_at, head.time)
                facts["withdraws"] = whole(view.thawing, decimals, symbol)
                calls = [("withdraw", escrow.withdraw())]
            await pay(chain, signer, keystore, calls, facts, intent, dry_run, yes, as_json)

    asyncio.run(work())


@app.command()
def balance(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show what lies in escrow, what is held or waiting to be charged, and what can be spent."""
    asyncio.run(_show("/api/balance", "Balance", gateway, keystore, password_file, as_json))


@app.command()
def usage(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show requests, tokens and cost by day and model."""
    asyncio.run(_show("/api/usage", "usage", gateway, keystore, password_file, as_json))


@app.command()
def receipts(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show receipts, one line per attempt, newest first."""
    asyncio.run(_show(f"/api/receipts?limit={limit}", "receipts", gateway, keystore, password_file, as_json))


@app.command("credits")
def credits_back(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show what came back: service-level credits and compensation, with the rule that sent it."""
    asyncio.run(_show("/api/credits", "credits", gateway, keystore, password_file, as_json))


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What to call it, for example laptop.")],
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Make an API key; its secret is shown once."""

    async def work() -> None:
        async with Session(gateway, keystore, password_file) as client:
            made = await ask(client, "POST", "/api/keys", {"name": name})
        if as_json:
            print_json(made)
            return
        print_line(made["key"])
        print_line(f"This is shown once. Use it with base_url {gateway.rstrip('/')}/v1 in any OpenAI client.", "dim")

    asyncio.run(work())


@keys_app.command("list")
def keys_list(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """List API keys."""
    asyncio.run(_show("/api/keys", "keys", gateway, keystore, password_file, as_json))


@keys_app.command("revoke")
def keys_revoke(
    key_id: Annotated[int, typer.Argument(help="The key's number from `keys list`.")],
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Revoke an API key at once."""

    async def work() -> None:
        async with Session(gateway, keystore, password_file) as client:
            done = await ask(client, "DELETE", f"/api/keys/{key_id}")
        print_json(done) if as_json else print_line(f"key {key_id} is revoked")

    asyncio.run(work())


def _check_thawed(thawing: int, thawed_at: int, now: int) -> None:
    if not thawing:
        fail("nothing is thawing", "start with `bonded customer withdraw AMOUNT`")
    if now < thawed_at:
        fail(f"it is still thawing for {thawed_at - now} s", "run this again then")


async def _show(
    path: str, title: str, gateway: str, keystore: Path | None, password_file: Path | None, as_json: bool
) -> None:
    async with Session(gateway, keystore, password_file) as client:
        value = await ask(client, "GET", path)
    if as_json:
        print_json(value)
        return
    rows = value.get(title) if isinstance(value.get(title), list) else None
    if rows is None:
        print_facts(title, value)
    elif not rows:
        print_line(f"no {title} yet", "dim")
    else:
        columns = list(rows[0])
        print_table(title, columns, [[row[column] for column in columns] for row in rows])

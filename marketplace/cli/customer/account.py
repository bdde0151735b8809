"""`bonded customer balance|usage|receipts|rate|credits|keys`: what the gateway knows of its customer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.cli.keys import KeystoreOption, PasswordFileOption
from marketplace.cli.output import JsonFlag, print_facts, print_json, print_line, print_table, whole
from marketplace.cli.session import Session, ask

GatewayOption = Annotated[
    str, typer.Option("--gateway", envvar="BONDED_GATEWAY", help="The gateway's base URL, without /v1.")
]
GATEWAY_DEFAULT = "http://127.0.0.1:8080"
_ATTO_DECIMALS = 18


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    for command in (balance, usage, receipts, rate):
        app.command()(command)
    app.command("credits")(credits_back)
    keys = typer.Typer(no_args_is_help=True, help="API keys for any OpenAI client.")
    keys.command("create")(keys_create)
    keys.command("list")(keys_list)
    keys.command("revoke")(keys_revoke)
    app.add_typer(keys, name="keys")


def balance(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show what lies in escrow, what is held or waiting to be charged, and what can be spent."""
    asyncio.run(_show("/api/balance", "", gateway, keystore, password_file, as_json))


def usage(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show requests, tokens and cost by day and model."""
    asyncio.run(_show("/api/usage", "usage", gateway, keystore, password_file, as_json))


def receipts(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show receipts, one line per attempt, newest first."""
    asyncio.run(_show(f"/api/receipts?limit={limit}", "receipts", gateway, keystore, password_file, as_json))


def rate(
    job: Annotated[str, typer.Argument(help="The job's number, from `receipts`.")],
    stars: Annotated[int, typer.Argument(min=1, max=5, help="From 1 to 5.")],
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=0, max=255, help="Which attempt; default: the last that was served.")
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Rate an answer you paid for, once; ratings are a twentieth of a provider's score, and nobody learns whose."""

    async def work() -> None:
        async with Session(gateway, keystore, password_file) as client:
            given = await ask(client, "POST", f"/api/receipts/{job}/rating", {"stars": stars, "attempt": attempt})
        print_json(given) if as_json else print_line(f"{given['provider']} has {given['stars']} of 5 from you")

    asyncio.run(work())


def credits_back(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show what came back: service-level credits and compensation, with the rule that sent it."""
    asyncio.run(_show("/api/credits", "credits", gateway, keystore, password_file, as_json))


def keys_create(
    name: Annotated[str, typer.Argument(help="What to call it, for example laptop.")],
    service_class: Annotated[
        str, typer.Option("--class", help="realtime, standard, batch or background: who waits for whom, and how long.")
    ] = "standard",
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Most requests in a minute; without it the key is not limited.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of prompts and answers in a minute; without it not limited.")
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Make an API key; its secret is shown once."""
    wanted = {
        "name": name,
        "service_class": service_class,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
    }

    async def work() -> None:
        async with Session(gateway, keystore, password_file) as client:
            made = await ask(client, "POST", "/api/keys", wanted)
        if as_json:
            print_json(made)
            return
        print_line(made["key"])
        print_line(f"This is shown once. Use it with base_url {gateway.rstrip('/')}/v1 in any OpenAI client.", "dim")

    asyncio.run(work())


def keys_list(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    gateway: GatewayOption = GATEWAY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """List API keys."""
    asyncio.run(_show("/api/keys", "keys", gateway, keystore, password_file, as_json))


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


async def _show(
    path: str, listed: str, gateway: str, keystore: Path | None, password_file: Path | None, as_json: bool
) -> None:
    """Print what the gateway answers; `listed` names the list in it, "" when it is one thing."""
    async with Session(gateway, keystore, password_file) as client:
        value = await ask(client, "GET", path)
        status = await ask(client, "GET", "/api/status")
    if as_json:
        print_json(value)
    elif not listed:
        print_facts("Balance", _readable(value, status))
    elif not value[listed]:
        print_line(f"no {listed} yet", "dim")
    else:
        rows = [_readable(row, status) for row in value[listed]]
        numbers = [name for name, cell in rows[0].items() if isinstance(cell, int)]
        print_table(listed, list(rows[0]), [list(row.values()) for row in rows], numbers)


def _readable(row: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """Write amounts as whole tokens, and names without the unit that is gone."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        words, _, unit = name.rpartition("_")
        if unit == "atto":
            shown[words.replace("_", " ")] = whole(int(value), _ATTO_DECIMALS, status["payment_symbol"])
        elif unit == "units":
            kind = "stake" if words == "compensation" or row.get("token") == "stake" else "payment"
            shown[words] = whole(int(value), status[f"{kind}_decimals"], status[f"{kind}_symbol"])
        elif name != "token":
            shown[name.replace("_", " ")] = "" if value is None else value
    return shown

"""`bonded provider keys`: the owner's key (stake and earnings) and the signer's (receipts, on the serving machine)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.cli.keys import KeystoreOption, LightFlag, PasswordFileOption, create_key, import_key
from marketplace.cli.output import JsonFlag, fail, print_facts, print_json
from marketplace.cli.provider.session import CONFIG_DEFAULT, ConfigOption


class Role(StrEnum):
    """Which of a provider's two keys is meant."""

    OWNER = "owner"
    SIGNER = "signer"


app = typer.Typer(no_args_is_help=True, help="Make, import and show the owner's and the signer's key.")
RoleArgument = Annotated[
    Role, typer.Argument(help="owner: stake and earnings. signer: receipts, kept where it serves.")
]


@app.command()
def new(
    role: RoleArgument,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    config: ConfigOption = CONFIG_DEFAULT,
    light: LightFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a fresh key in an encrypted file."""
    path, password = _where(role, keystore, password_file, config)
    _show(role, path, create_key(path, password, light).address, as_json)


@app.command("import")
def import_(
    role: RoleArgument,
    private_key_file: Annotated[
        Path | None,
        typer.Option("--private-key-file", help="A file with the key; else it is asked for, or read from a pipe."),
    ] = None,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    config: ConfigOption = CONFIG_DEFAULT,
    light: LightFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a key you have into an encrypted file."""
    path, password = _where(role, keystore, password_file, config)
    _show(role, path, import_key(path, private_key_file, password, light).address, as_json)


@app.command()
def show(config: ConfigOption = CONFIG_DEFAULT, keystore: KeystoreOption = None, as_json: JsonFlag = False) -> None:
    """Show the addresses of both keys; needs no password."""
    from contracts import keystore as keystores

    shown: dict[str, Any] = {}
    for role in Role:
        path, _ = _where(role, keystore, None, config)
        if path.exists():
            shown[role.value] = {"address": keystores.address_of(path), "keystore": str(path)}
        if keystore is not None:
            break
    if not shown:
        fail("there is no key yet", "bonded provider keys new owner, and the same for signer")
    if as_json:
        print_json(shown)
        return
    for name, key in shown.items():
        print_facts(name, key)


def _where(role: Role, keystore: Path | None, password_file: Path | None, config: Path) -> tuple[Path, Path | None]:
    """Return the key file of a role: the option's, else the provider file's, else `keys/<role>.json` beside it."""
    if keystore is None and config.exists():
        from marketplace.agent.config import read_provider_file

        file = read_provider_file(config)
        named = file.owner_keystore if role is Role.OWNER else file.signer_keystore
        password = file.owner_password_file if role is Role.OWNER else file.signer_password_file
        if named is not None:
            return named, password_file or password
    return keystore or config.parent / "keys" / f"{role.value}.json", password_file


def _show(role: Role, path: Path, address: str, as_json: bool) -> None:
    facts = {"role": role.value, "address": address, "keystore": str(path)}
    if as_json:
        print_json(facts)
    else:
        print_facts("", facts)

"""Keystores on the command line: one way for every group to name a key file and to give its password.

The password comes from `--password-file`, else from BONDED_PASSWORD, else it is asked for where somebody can answer.
It is never an argument: arguments are seen by everybody on the machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.output import ExitCode, fail

if TYPE_CHECKING:
    from contracts.signing import Signer

KeystoreOption = Annotated[
    Path | None,
    typer.Option("--keystore", envvar="BONDED_KEYSTORE", help="The encrypted key file (web3 keystore, version 3)."),
]
PasswordFileOption = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        envvar="BONDED_PASSWORD_FILE",
        help="A file with the key's password; else BONDED_PASSWORD, else you are asked.",
    ),
]
LightFlag = Annotated[
    bool, typer.Option("--light", help="Cheap encryption that opens at once: for devnets, not for keys with money.")
]


def open_keystore(keystore: Path | None, password_file: Path | None, what: str = "key") -> Signer:
    """Open a key file; ends the command with what to do when it is not named, not there or not opened."""
    from contracts import keystore as keystores

    if keystore is None:
        fail(f"no {what} is named", "give --keystore FILE or set BONDED_KEYSTORE", ExitCode.USAGE)
    if not keystore.exists():
        fail(f"there is no keystore at {keystore}", "correct the path, or make one with the group's `keys new`")
    return keystores.load(keystore, read_password(password_file, f"password of {keystore}"))


def read_password(password_file: Path | None, question: str, twice: bool = False) -> str:
    """Return a password from the file, from BONDED_PASSWORD, or from whoever sits at the terminal."""
    if password_file is not None:
        try:
            return password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            fail(f"the password file {password_file} cannot be read: {error.strerror}", "correct --password-file")
    if "BONDED_PASSWORD" in os.environ:
        return os.environ["BONDED_PASSWORD"]
    if not sys.stdin.isatty():
        fail("no password was given", "give --password-file FILE or set BONDED_PASSWORD", ExitCode.USAGE)
    return str(typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True))


def create_key(path: Path, password_file: Path | None, light: bool = False) -> Signer:
    """Make a key file with a fresh key; one that exists is never overwritten."""
    from contracts import keystore as keystores

    _refuse_existing(path)
    return keystores.create(path, read_password(password_file, f"password for {path}", twice=True), light=light)


def import_key(path: Path, secret_file: Path | None, password_file: Path | None, light: bool = False) -> Signer:
    """Make a key file from a private key in a file, or typed by somebody: 64 hexadecimal digits."""
    from contracts import keystore as keystores

    _refuse_existing(path)
    if secret_file is not None:
        text = secret_file.read_text(encoding="utf-8")
    elif sys.stdin.isatty():
        text = str(typer.prompt("private key (64 hexadecimal digits)", hide_input=True, err=True))
    else:
        text = sys.stdin.readline()
    try:
        secret = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        secret = b""
    if len(secret) != 32:
        fail("that is not a private key", "a private key is 64 hexadecimal digits, with or without 0x", ExitCode.USAGE)
    password = read_password(password_file, f"password for {path}", twice=True)
    return keystores.import_key(path, secret, password, light=light)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        fail(f"{path} exists and is not overwritten", "name another file, or move the old one away")
    path.parent.mkdir(parents=True, exist_ok=True)

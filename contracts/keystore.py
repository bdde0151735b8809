"""Keep a private key in an encrypted file (web3 secret storage, version 3), and get it out again. No web3 here."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from eth_account import Account

from contracts.errors import (
    BadAddress,
    KeystoreExists,
    KeystoreMissing,
    KeystoreUnreadable,
    PasswordMissing,
    WrongPassword,
)
from contracts.signing import Signer, normal_address

PASSWORD_VARIABLE = "BONDED_KEYSTORE_PASSWORD"  # noqa: S105  the name of a variable
"""Holds the password where no argument gives it."""

_SCRYPT_N = 262_144
_LIGHT_SCRYPT_N = 4_096


def create(path: Path | str, password: str, *, light: bool = False) -> Signer:
    """Make a key, write it and return its signer; raises KeystoreExists.

    `light` makes the password sixty times cheaper to guess: for devnets, whose keys guard nothing.
    """
    return import_key(path, secrets.token_bytes(32), password, light=light)


def import_key(path: Path | str, private_key: bytes, password: str, *, light: bool = False) -> Signer:
    """Write a given key to an encrypted file readable by its owner alone; raises KeystoreExists or BadSignature."""
    signer = Signer(private_key)
    path = Path(path)
    if path.exists():
        raise KeystoreExists(path)
    iterations = _LIGHT_SCRYPT_N if light else _SCRYPT_N
    data = json.dumps(Account.encrypt(signer.secret(), password, kdf="scrypt", iterations=iterations)).encode()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeystoreExists(path) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return signer


def load(path: Path | str, password: str, *, command: str = "bonded provider keys new") -> Signer:
    """Return the signer of a key file; takes most of a second. `command` is what KeystoreMissing tells to run.

    Raises KeystoreMissing, KeystoreUnreadable or WrongPassword.
    """
    raw = _read(Path(path), command)
    try:
        return Signer(bytes(Account.decrypt(raw, password)))
    except ValueError as error:
        if "MAC" in str(error):
            raise WrongPassword(path) from None
        raise _unreadable(path, error) from error
    except (KeyError, TypeError, NotImplementedError) as error:
        raise _unreadable(path, error) from error


def address_of(path: Path | str, *, command: str = "bonded provider keys new") -> str:
    """Return the address of a key file without its password; raises KeystoreMissing or KeystoreUnreadable."""
    raw = _read(Path(path), command)
    try:
        return normal_address("0x" + str(raw["address"]).removeprefix("0x"))
    except (KeyError, BadAddress) as error:
        raise _unreadable(path, error) from error


def password_from(argument: str | None = None, *, env: str = PASSWORD_VARIABLE, file: Path | str | None = None) -> str:
    """Return the password from the argument, else the environment, else a file's first line; raises PasswordMissing."""
    if argument is not None:
        return argument
    named = os.environ.get(env)
    if named is not None:
        return named
    if file is not None:
        try:
            return Path(file).read_text().split("\n", 1)[0].removesuffix("\r")
        except OSError as error:
            raise PasswordMissing(f"the password file {file} cannot be read: {error.strerror}") from None
    raise PasswordMissing(f"no password for the keystore: set {env}, or name a password file")


def _read(path: Path, command: str) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        raise KeystoreMissing(path, command) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(raw, dict) or raw.get("version") != 3:
        raise _unreadable(path, "it is no keystore of version 3")
    return raw


def _unreadable(path: Path | str, why: object) -> KeystoreUnreadable:
    return KeystoreUnreadable(f"{path} cannot be read ({why}): restore it from a backup")

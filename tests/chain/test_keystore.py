"""Key files: readable by their owner alone, never overwritten, and clear about what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from contracts import keystore
from contracts.errors import (
    BadSignature,
    KeystoreExists,
    KeystoreMissing,
    KeystoreUnreadable,
    PasswordMissing,
    WrongPassword,
)

KEY = b"\x21" * 32


def test_names_the_command_that_makes_a_missing_keystore(tmp_path: Path) -> None:
    with pytest.raises(KeystoreMissing, match="make one with `bonded verifier keys new`"):
        keystore.load(tmp_path / "k.json", "p", command="bonded verifier keys new")
    with pytest.raises(KeystoreMissing):
        keystore.address_of(tmp_path / "k.json")


def test_refuses_a_wrong_password(tmp_path: Path) -> None:
    keystore.import_key(tmp_path / "k.json", KEY, "right", light=True)
    with pytest.raises(WrongPassword, match="does not open"):
        keystore.load(tmp_path / "k.json", "wrong")


def test_never_overwrites_a_key(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    first = keystore.create(path, "p", light=True)
    with pytest.raises(KeystoreExists, match="never overwritten"):
        keystore.create(path, "p", light=True)
    with pytest.raises(KeystoreExists):
        keystore.import_key(path, KEY, "p", light=True)
    assert keystore.load(path, "p").address == first.address


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 3}', '{"version": 3, "crypto": {}, "address": "zz"}']
)
def test_refuses_a_file_that_is_no_keystore(tmp_path: Path, text: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(text)
    with pytest.raises(KeystoreUnreadable, match="restore it from a backup"):
        keystore.load(path, "p")
    with pytest.raises(KeystoreUnreadable):
        keystore.address_of(path)


def test_refuses_a_key_of_another_length(tmp_path: Path) -> None:
    with pytest.raises(BadSignature, match="32 bytes"):
        keystore.import_key(tmp_path / "k.json", b"\x01" * 31, "p", light=True)
    assert not (tmp_path / "k.json").exists()


def test_gives_back_the_key_it_was_given_as_other_wallets_would(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "k.json"
    signer = keystore.import_key(path, KEY, "pässword", light=True)
    assert keystore.load(path, "pässword").secret() == KEY == signer.secret()
    assert bytes(Account.decrypt(json.loads(path.read_text()), "pässword")) == KEY
    assert keystore.address_of(path) == signer.address
    assert path.stat().st_mode & 0o777 == 0o600
    assert KEY.hex() not in path.read_text()


def test_is_hard_to_guess_unless_asked_to_be_light(tmp_path: Path) -> None:
    keystore.create(tmp_path / "hard.json", "p")
    keystore.create(tmp_path / "light.json", "p", light=True)
    hard, light = (json.loads((tmp_path / f"{name}.json").read_text())["crypto"] for name in ("hard", "light"))
    assert (hard["kdf"], hard["kdfparams"]["n"], light["kdfparams"]["n"]) == ("scrypt", 262_144, 4_096)


def test_takes_the_password_from_argument_then_environment_then_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("from file\r\nsecond line\n")
    monkeypatch.delenv(keystore.PASSWORD_VARIABLE, raising=False)
    with pytest.raises(PasswordMissing, match="set BONDED_KEYSTORE_PASSWORD"):
        keystore.password_from()
    with pytest.raises(PasswordMissing, match="cannot be read"):
        keystore.password_from(file=tmp_path / "nowhere")
    assert keystore.password_from(file=file) == "from file"
    monkeypatch.setenv(keystore.PASSWORD_VARIABLE, "")
    assert keystore.password_from(file=file) == ""
    monkeypatch.setenv(keystore.PASSWORD_VARIABLE, "from env")
    assert keystore.password_from(file=file) == "from env"
    assert keystore.password_from("given", file=file) == "given"

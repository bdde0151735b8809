"""Run `bonded …` in this process as somebody of the settled marketplace: its keystore, its outbox, its environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.keystore import import_key
from contracts.signing import Signer
from marketplace import cli
from tests.marketplace.settled import Settled

PASSWORD = "correct horse"


class Person:
    """Somebody at a terminal, with a folder and a key."""

    def __init__(
        self, settled: Settled, signer: Signer, folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.settled = settled
        self.signer = signer
        self.address = signer.address
        self.folder = folder
        self.keystore = folder / "key.json"
        self.password = PASSWORD
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        folder.mkdir(exist_ok=True)
        if not self.keystore.exists():
            import_key(self.keystore, signer.secret(), PASSWORD, light=True)

    def says(self, *arguments: str, code: int = 0) -> str:
        """Run a command, check its exit code, and return what people see."""
        settings = self.settled.environment() | {
            "BONDED_KEYSTORE": str(self.keystore),
            "BONDED_PASSWORD": self.password,
        }
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)
        self._capsys.readouterr()
        found = cli.run(list(arguments))
        told = self._capsys.readouterr()
        assert found == code, told.out + told.err
        assert "Traceback" not in told.err
        return str(told.out + told.err) if "--json" not in arguments else str(told.out)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json and return its document."""
        return json.loads(self.says(*arguments, "--json", code=code))

    def fails(self, *arguments: str, code: int) -> str:
        """Run a command that must fail; returns its sentence and what to do."""
        error = self.json(*arguments, code=code)["error"]
        assert error["code"] == code
        return f"{error['message']} → {error['mend']}"


MakePerson = Callable[[Signer], Person]

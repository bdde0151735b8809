"""People at their terminals, beside the settled marketplace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.signing import Signer
from tests.marketplace.cli.commands import MakePerson, Person
from tests.marketplace.settled import Settled


@pytest.fixture
def person(settled: Settled, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> MakePerson:
    """Return what makes somebody out of a key."""

    def make(signer: Signer) -> Person:
        return Person(settled, signer, tmp_path / signer.address, capsys, monkeypatch)

    return make


@pytest.fixture
def fresh(settled: Settled, person: MakePerson) -> Person:
    """Return somebody whom nobody knows, with nothing but the money for gas."""
    import secrets

    someone = person(Signer(secrets.token_bytes(32)))
    settled.control.give(someone.address, 10**20)
    return someone

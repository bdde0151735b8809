"""API keys live in memory and in the database; settings are read once and all their mistakes are told together."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from marketplace.accounts import BadKeyName, RevokedKey, UnknownKey
from marketplace.db import Database
from marketplace.models import api_keys
from marketplace.rates import Rates
from marketplace.settings import BadSettings, GatewaySettings, SettlementSettings, load
from tests.marketplace.store.town import Till, new_customer


@pytest.fixture
async def till(database: Database, tmp_path: Path):  # type: ignore[no-untyped-def]
    made = await Till(database, tmp_path / "journal").open()
    yield made
    made.journal.close()


@pytest.mark.parametrize("token", ["", "sk-bonded-", "sk-bonded-guess", "x" * 10_000, "é"])
async def test_a_key_nobody_made_is_refused(till: Till, token: str) -> None:
    with pytest.raises(UnknownKey):
        till.accounts.authenticate(token)


@pytest.mark.parametrize("name", ["", "   ", "x" * 65])
async def test_a_key_needs_a_name(till: Till, name: str) -> None:
    with pytest.raises(BadKeyName):
        await till.accounts.create_key(new_customer(), name)


async def test_a_key_works_at_once_and_after_a_restart_until_it_is_revoked(till: Till, database: Database) -> None:
    customer = new_customer()
    key_id, secret = await till.accounts.create_key(customer, " laptop ", rates=Rates(60, 90_000))
    account = till.accounts.authenticate(secret)
    assert account.rates == Rates(60, 90_000)
    assert (account.customer, account.key_id, account.name) == (customer, key_id, "laptop")
    async with database.begin() as connection:
        row = (await connection.execute(select(api_keys))).one()
    assert secret not in str(row._mapping), "the secret is kept nowhere"
    till.journal.close()
    again = await Till(database, till.folder).open()
    assert again.accounts.authenticate(secret) == account
    with pytest.raises(UnknownKey):
        await again.accounts.revoke_key(new_customer(), key_id)
    assert again.accounts.authenticate(secret) == account, "nobody revokes another's key"
    await again.accounts.revoke_key(customer, key_id)
    with pytest.raises(RevokedKey):
        again.accounts.authenticate(secret)
    await again.accounts.refresh()
    with pytest.raises(RevokedKey):
        again.accounts.authenticate(secret)
    till.journal = again.journal


async def test_a_key_that_another_process_made_or_revoked_is_known_after_a_refresh(till: Till, tmp_path: Path) -> None:
    other = await Till(till.database, tmp_path / "other").open()
    key_id, secret = await other.accounts.create_key(new_customer(), "phone")
    with pytest.raises(UnknownKey):
        till.accounts.authenticate(secret)
    await till.accounts.refresh()
    customer = till.accounts.authenticate(secret).customer
    await other.accounts.revoke_key(customer, key_id)
    await till.accounts.refresh()
    with pytest.raises(RevokedKey):
        till.accounts.authenticate(secret)
    other.journal.close()


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BONDED_REFRESH_S", "soon")
    monkeypatch.setenv("BONDED_DRAIN_EVERY_S", "-1")
    with pytest.raises(BadSettings) as told:
        load(GatewaySettings)
    assert "BONDED_REFRESH_S" in str(told.value) and "BONDED_DRAIN_EVERY_S" in str(told.value)


def test_settings_come_from_the_command_line_then_the_environment_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BONDED_RPC_URLS", "http://127.0.0.1:1, http://127.0.0.1:2,")
    monkeypatch.setenv("BONDED_EVIDENCE_LISTEN", "127.0.0.1:3")
    monkeypatch.setenv("BONDED_TICK_S", "")
    settings = load(SettlementSettings, evidence_listen="127.0.0.1:4", index_chunk=None)
    assert settings.urls() == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    assert (settings.evidence_listen, settings.tick_s, settings.index_chunk) == ("127.0.0.1:4", 1.0, 2000)


def test_the_session_secret_survives_and_is_nobody_elses(tmp_path: Path) -> None:
    settings = load(GatewaySettings, data_folder=tmp_path / "data")
    secret = settings.session_secret()
    assert len(secret) == 32 and settings.session_secret() == secret
    assert (tmp_path / "data" / "session-secret").stat().st_mode & 0o077 == 0

"""The operator's commands on a real chain and database: fund, bond a gateway, hold the books, see what waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.keystore import import_key
from contracts.operators import Operators
from contracts.signing import Signer
from contracts.tokens import Token
from marketplace.cli import run
from marketplace.db import Database
from marketplace.ledger import ESCROW, Transfer, account, post
from tests.marketplace.store.market import WHOLE, Market, market

Command = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def devnet() -> Iterator[Devnet]:
    with Devnet.start() as running:
        yield running


@pytest.fixture
async def town(devnet: Devnet, database: Database, tmp_path: Path) -> AsyncIterator[Market]:
    async with market(devnet, database, tmp_path) as made:
        yield made


@pytest.fixture
def bonded(
    town: Market, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return what runs `bonded operator …` as somebody and gives exit code and output."""
    (tmp_path / "deployment.json").write_text(town.chain.deployment.to_json())
    (tmp_path / "password").write_text("secret")
    for name, value in {
        "BONDED_DATABASE_URL": empty_url,
        "BONDED_DATA_FOLDER": str(tmp_path),
        "BONDED_DEPLOYMENT": str(tmp_path / "deployment.json"),
        "BONDED_RPC_URLS": town.devnet.url,
        "BONDED_FINALITY": "0",
        "BONDED_PASSWORD_FILE": str(tmp_path / "password"),
    }.items():
        monkeypatch.setenv(name, value)

    async def command(*arguments: str, who: Signer | None = None) -> tuple[int, str]:
        if who is not None:
            keystore = tmp_path / f"{who.address}.json"
            if not keystore.exists():
                import_key(keystore, who.secret(), "secret", light=True)
            monkeypatch.setenv("BONDED_KEYSTORE", str(keystore))
        capsys.readouterr()
        code = await asyncio.to_thread(run, ["operator", *arguments])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return command


def _json(text: str) -> Any:
    return json.loads(text[text.index("{") :])


async def test_check_ends_with_zero_only_while_both_sides_of_every_line_agree(bonded: Command, town: Market) -> None:
    code, text = await bonded("check", "--json")
    told = _json(text)
    assert code == 0 and told["equal"] is True and len(told["lines"]) >= 12
    assert all(line["ours"] == line["theirs"] for line in told["lines"])
    async with town.database.begin() as connection:
        await post(connection, [Transfer("forged", ESCROW, account(town.customers[0].address, "available"), 7)])
    code, text = await bonded("check")
    assert code == 5
    deposits = 2 * 10**8 * 10**12
    assert "DIFFERENT" in text and str(deposits) in text and str(deposits + 7) in text


async def test_fund_shows_first_then_pays_what_was_asked(bonded: Command, town: Market) -> None:
    code, text = await bonded("fund", "--yes", who=town.deployer)
    assert code == 2 and "--incentives or --sla" in text
    epochs, escrow = Epochs(town.chain), Escrow(town.chain)
    before = await epochs.incentive_fund(await town.chain.head())
    code, text = await bonded("fund", "--incentives", "1.5", "--sla", "2", "--dry-run", who=town.deployer)
    assert code == 0 and "1.5" in text
    head = await town.chain.head()
    assert (await epochs.incentive_fund(head), (await escrow.funds(head)).sla_fund) == (before, 0)
    code, text = await bonded("fund", "--incentives", "1.5", "--sla", "2", "--yes", "--json", who=town.deployer)
    assert code == 0, text
    head = await town.chain.head()
    assert await epochs.incentive_fund(head) == before + 1_500_000
    assert (await escrow.funds(head)).sla_fund == 2_000_000
    assert (await bonded("check", "--json"))[0] == 0


async def test_a_gateway_needs_its_bond_and_joins_once(bonded: Command, town: Market) -> None:
    fresh = town.devnet.accounts[18]
    code, text = await bonded("join-gateway", "http://127.0.0.1:9", "--yes", who=fresh)
    assert code == 1 and "the bond is 5,000" in text and fresh.address in text
    await town.do(fresh, Token(town.chain, "StakeToken").mint(fresh.address, 5_000 * WHOLE))
    for _ in range(2):
        code, text = await bonded("join-gateway", "http://127.0.0.1:9", "--yes", "--json", who=fresh)
        assert code == 0, text
    member = await Operators(town.chain, "Gateways").member(fresh.address, await town.chain.head())
    assert member is not None and member.active and member.endpoint == "http://127.0.0.1:9"
    assert (await bonded("withdraw-gateway", "--yes", who=fresh))[0] == 3, "a member has nothing to withdraw"
    assert (await bonded("leave-gateway", "--yes", who=fresh))[0] == 0
    assert (await bonded("leave-gateway", "--yes", who=fresh))[0] == 3
    assert (await bonded("withdraw-gateway", "--yes", who=fresh))[0] == 3, "the bond waits for its unbonding time"
    town.control.pass_time(121)
    assert (await bonded("withdraw-gateway", "--yes", who=fresh))[0] == 0
    held = await Token(town.chain, "StakeToken").balance(fresh.address, await town.chain.head())
    assert held == 5_000 * WHOLE


async def test_status_says_what_each_epoch_waits_for(bonded: Command, town: Market) -> None:
    assert _json((await bonded("status", "--json"))[1]) == {"epochs": []}
    await town.live_through(0)
    async with town.settler() as settler:
        await settler.tick()
    code, text = await bonded("status", "--json")
    (row,) = _json(text)["epochs"]
    assert code == 0 and row["epoch"] == 0 and row["step"] == "submitted" and "activates at" in row["problem"]
    assert "activates at" in (await bonded("status"))[1]


async def test_migrate_can_be_repeated_and_a_wrong_database_is_named(
    bonded: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await bonded("migrate", "--json"))[0] == 0
    assert (await bonded("migrate"))[0] == 0
    monkeypatch.setenv("BONDED_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    code, text = await bonded("migrate")
    assert code == 1 and "PostgreSQL cannot be used" in text and "Traceback" not in text

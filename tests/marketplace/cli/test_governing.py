"""`bonded operator pause|unpause|propose|contest`: the guardian's key, and bonds of anybody, on a real chain."""

from __future__ import annotations

import asyncio

import pytest

from contracts.chain import Chain, Finality
from contracts.codec import function
from contracts.court import Court
from contracts.guardian import Guardian
from contracts.signing import keccak
from contracts.types import SlashStage
from contracts.views import SlashView
from tests.marketplace.cli.provider_chain import LONG_PAUSES, WHOLE, Terminal, free_port, make_provider, open_market
from tests.marketplace.cli.test_provider_earnings import gather, report_of, settle


@pytest.fixture
def market(tmp_path):
    market = open_market(tmp_path, changes=LONG_PAUSES)
    yield market
    market.devnet.stop()


@pytest.mark.chain
def test_the_guardians_key_pauses_once_in_thirty_days_and_ends_a_pause_early(tmp_path, market, capsys, monkeypatch):
    def run(who, *arguments: str, code: int = 0):
        return Terminal(tmp_path, market, who).run(capsys, monkeypatch, "operator", *arguments, code=code)

    guardian, stranger = market.devnet.accounts[0], market.devnet.accounts[11]
    assert "not paused" in run(guardian, "unpause", "--yes", code=3)["error"]["message"]
    assert run(stranger, "pause", "1", "--yes", code=3)["error"]["code"] == 3, "only the guardian may"
    assert "until about" in run(guardian, "pause", "2", "--dry-run")
    run(guardian, "pause", "2", "--yes")
    asked = {
        "to": market.deployment.address("Guardian"),
        "data": "0x" + function("Guardian", "pausedUntil").encode(()).hex(),
    }
    until = int(market.devnet.rpc("eth_call", asked, "latest"), 16)
    begun = int(market.devnet.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert until - begun == 3_600, "cut to the longest there is"
    market.give_stake(stranger.address, 5_000)
    joining = run(stranger, "join-gateway", "http://127.0.0.1:5", "--yes", code=3)["error"]
    assert "paused the market until" in joining["message"]
    assert "next pause may begin at" in run(guardian, "pause", "1", "--yes", code=3)["error"]["message"]
    run(guardian, "unpause", "--yes")
    run(stranger, "join-gateway", "http://127.0.0.1:5", "--yes")


@pytest.mark.chain
def test_anybody_opens_a_slash_and_anybody_puts_it_before_the_arbitrator_each_with_a_bond(
    tmp_path, market, capsys, monkeypatch
):
    provider = make_provider(tmp_path, market)
    provider.settle_in(free_port())
    gather(market)
    settle(market, report_of(market, provider, 0, bytes(32), 840_000, level=4))
    accused, (proposer, contestant) = provider.owner.address, market.devnet.accounts[11:13]
    statement = tmp_path / "statement.txt"
    statement.write_text("The machine was on fire.")

    def run(who, *arguments: str, code: int = 0):
        return Terminal(tmp_path, market, who).run(capsys, monkeypatch, "operator", *arguments, code=code)

    def slash() -> SlashView:
        async def read() -> SlashView:
            async with await Chain.connect([market.devnet.url], market.deployment, finality=Finality.depth(0)) as chain:
                found = await Court(chain).slash(1, await chain.head())
                assert found is not None
                return found

        return asyncio.run(read())

    healthy = market.devnet.accounts[8].address
    assert "no slash" in run(proposer, "propose", "0", healthy, "--yes", code=1)["error"]["message"]
    assert "has no leaf" in run(proposer, "propose", "0", proposer.address, "--yes", code=1)["error"]["message"]
    assert "there is no slash 1" in run(contestant, "contest", "1", str(statement), "--yes", code=1)["error"]["message"]
    poor = run(proposer, "propose", "0", accused, "--yes", code=1)["error"]
    assert "the bond is 10 DSTK" in poor["message"] and "holds 0" in poor["message"]

    market.give_stake(proposer.address, 10)
    assert run(proposer, "propose", "0", accused, "--dry-run")["bond"] == "10 DSTK"
    run(proposer, "propose", "0", accused, "--yes")
    opened = slash()
    assert (opened.provider, opened.code, opened.stage) == (accused, 4, SlashStage.OPEN)
    assert (opened.proposer, opened.amount) == (proposer.address, 200 * WHOLE * 4 // 100)
    assert "holds 0" in run(contestant, "contest", "1", str(statement), "--yes", code=1)["error"]["message"]

    market.give_stake(contestant.address, 10)
    market.send(market.devnet.accounts[0].address, Guardian(market.deployment).pause(3_600))
    told = run(contestant, "contest", "1", str(statement), "--yes")
    assert told["digest of the statement"] == "0x" + keccak(statement.read_bytes()).hex()
    contested = slash()
    assert (contested.stage, contested.contestant) == (SlashStage.CONTESTED, contestant.address)
    assert "is contested" in run(contestant, "contest", "1", str(statement), "--yes", code=1)["error"]["message"]
    again = run(proposer, "propose", "0", accused, "--yes", code=1)["error"]["message"]
    assert "was proposed: number 1" in again

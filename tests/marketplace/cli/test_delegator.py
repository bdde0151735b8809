"""`bonded delegator` on a real chain: refusals with both numbers, stake behind a provider, and all of it back."""

from __future__ import annotations

import pytest

from contracts.guardian import Guardian
from contracts.testing import AnvilControl
from contracts.views import PositionView
from marketplace.cli.delegator import shares_for
from tests.marketplace.cli.provider_chain import LONG_PAUSES, Provider, Terminal, free_port, make_provider, open_market

pytestmark = pytest.mark.chain


@pytest.fixture
def market(tmp_path):
    market = open_market(tmp_path, changes=LONG_PAUSES)
    yield market
    market.devnet.stop()


@pytest.fixture
def provider(tmp_path, market) -> Provider:
    provider = make_provider(tmp_path, market)
    provider.settle_in(free_port())
    return provider


@pytest.fixture
def dora(tmp_path, market, capsys, monkeypatch):
    """Run a delegator's command."""
    terminal = Terminal(tmp_path, market, market.devnet.accounts[12])

    def run(command: str, *arguments: str, code: int = 0):
        return terminal.run(capsys, monkeypatch, "delegator", command, *arguments, code=code)

    run.address = terminal.signer.address  # type: ignore[attr-defined]
    return run


def test_stake_goes_behind_a_provider_and_comes_back_after_the_unbonding_time(provider, dora, market):
    behind = provider.owner.address
    assert "holds 0 DSTK, not 300 DSTK" in dora("delegate", behind, "300", "--yes", code=1)["error"]["message"]
    market.give_stake(dora.address, 5_000)
    assert dora("status", behind)["delegated"] == "0 DSTK"
    assert "0 DSTK are delegated" in dora("undelegate", behind, "--yes", code=1)["error"]["message"]
    assert "bonded delegator undelegate" in dora("withdraw", behind, "--yes", code=1)["error"]["mend"]
    assert "no rewards" in dora("claim", behind, "--yes", code=1)["error"]["message"]
    assert "DelegationAboveLimit" in dora("delegate", behind, "3200.1", "--yes", code=3)["error"]["message"]

    dry = dora("delegate", behind, "300", "--dry-run")
    assert dry["delegated to it afterwards"] == "300 DSTK" and dry["its own stake"] == "200 DSTK"
    assert dora("status", behind)["delegated"] == "0 DSTK", "a dry run sends nothing"
    done = dora("delegate", behind, "300", "--yes")
    assert set(done["transactions"]) == {"delegate"}, "the refused attempt had left an allowance"
    state = dora("status", behind)
    assert (state["delegated"], state["pool"], state["commission"]) == ("300 DSTK", "300 DSTK", "0 %")

    dora("undelegate", behind, "100", "--yes")
    state = dora("status", behind)
    assert (state["delegated"], state["unbonding"], state["withdrawable"]) == ("200 DSTK", "100 DSTK", "0 DSTK")
    assert "the next release is at" in dora("withdraw", behind, "--yes", code=1)["error"]["mend"]
    AnvilControl(market.devnet).pass_time(4_501)
    assert dora("status", behind)["withdrawable"] == "100 DSTK"
    dora("withdraw", behind, "--yes")
    dora("undelegate", behind, "--yes")
    assert dora("status", behind)["delegated"] == "0 DSTK"


def test_nothing_is_delegated_during_a_pause_and_everything_can_leave(provider, dora, market):
    behind, admin = provider.owner.address, market.devnet.accounts[0].address
    market.give_stake(dora.address, 100)
    dora("delegate", behind, "60", "--yes")
    dora("undelegate", behind, "20", "--yes")
    # unbonding is longer than any pause, so what is paid in one began to leave before it
    AnvilControl(market.devnet).pass_time(3_000)
    market.send(admin, Guardian(market.deployment).pause(3_600))
    error = dora("delegate", behind, "10", "--yes", code=3)["error"]
    assert "paused the market until" in error["message"]
    dora("undelegate", behind, "--yes")
    AnvilControl(market.devnet).pass_time(1_501)
    dora("withdraw", behind, "--yes")
    state = dora("status", behind)
    assert (state["delegated"], state["unbonding"], state["withdrawable"]) == ("0 DSTK", "40 DSTK", "0 DSTK")


@pytest.mark.parametrize(("amount", "shares"), [(4, 2), (3, 2), (1, 1), (10, 5), (11, 5)])
def test_shares_cover_what_was_asked_and_everything_is_all_of_them(amount: int, shares: int):
    assert shares_for(amount, PositionView(5, 10, 0, 0, 0, 0)) == shares

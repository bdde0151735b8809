"""A provider's maintenance, commission and way back from an unbond, on a real chain."""

from __future__ import annotations

import pytest

from contracts.guardian import Guardian
from contracts.testing import AnvilControl
from marketplace.cli.output import CommandFailed
from marketplace.cli.provider.terms import ppm_of, seconds
from tests.marketplace.cli.provider_chain import LONG_PAUSES, Provider, free_port, make_provider, open_market

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
def bonded(provider, capsys, monkeypatch):
    def run(*arguments: str, code: int = 0):
        return provider.run(capsys, monkeypatch, *arguments, code=code)

    return run


def test_maintenance_is_announced_ahead_listed_and_taken_back_before_it_begins(provider, bonded, market):
    assert bonded("maintenance", "list") == {"provider": provider.owner.address, "windows": []}
    assert "at least 10 s ahead" in bonded("maintenance", "declare", "9s", "1m", "--yes", code=1)["error"]["message"]
    assert "no maintenance is ahead" in bonded("maintenance", "cancel", "--yes", code=1)["error"]["message"]
    above = bonded("maintenance", "declare", "1m", "11m", "--yes", code=3)["error"]["message"]
    assert "MaintenanceAboveAllowance" in above

    dry = bonded("maintenance", "declare", "1m", "5m", "--dry-run")
    assert dry["dry_run"] and bonded("maintenance", "list")["windows"] == []
    bonded("maintenance", "declare", "1m", "5m", "--yes")
    (window,) = bonded("maintenance", "list")["windows"]
    assert window["ends_at"] - window["starts_at"] == 300
    bonded("maintenance", "cancel", "--yes")
    assert bonded("maintenance", "list")["windows"] == []

    bonded("maintenance", "declare", "1m", "4m", "--yes")
    AnvilControl(market.devnet).pass_time(70)
    assert "no maintenance is ahead" in bonded("maintenance", "cancel", "--yes", code=1)["error"]["message"]
    assert len(bonded("maintenance", "list")["windows"]) == 1


def test_a_commission_is_shown_with_when_it_counts(provider, bonded):
    assert "0 to 100 %" in bonded("commission", "101", "--yes", code=2)["error"]["message"]
    told = bonded("commission", "12.5", "--yes")
    assert (told["commission"], told["new commission"], told["counts from"]) == (
        "0 %",
        "12.5 %",
        "the epoch after the next",
    )
    assert bonded("status")["commission"] == "0 %", "a rise is known one whole epoch ahead"


def test_stake_on_its_way_out_comes_back_and_what_was_never_unbonded_cannot(provider, bonded, market):
    assert "0 are unbonding" in bonded("rebond", "1", "--yes", code=1)["error"]["message"]
    bonded("unbond", "50", "--yes")
    assert not bonded("status")["matched"]
    assert "50 are unbonding" in bonded("rebond", "51", "--yes", code=1)["error"]["message"]
    assert bonded("rebond", "50", "--dry-run")["stake after"] == "200"
    bonded("rebond", "50", "--yes")
    state = bonded("status")
    assert state["matched"] and state["stake"] == "200" and state["unbonds"] == []
    assert "not jailed" in bonded("unjail", "--yes", code=1)["error"]["message"]


def test_a_pause_stops_what_comes_in_and_nothing_that_goes_out(provider, bonded, market):
    market.give_stake(provider.owner.address, 100)
    bonded("unbond", "50", "--yes")
    # unbonding is longer than any pause, so what is paid in one began to leave before it
    AnvilControl(market.devnet).pass_time(3_000)
    market.send(market.devnet.accounts[0].address, Guardian(market.deployment).pause(3_600))
    for command in (("stake", "10"), ("rebond", "10")):
        assert "paused the market until" in bonded(*command, "--yes", code=3)["error"]["message"]
    bonded("unbond", "10", "--yes")
    AnvilControl(market.devnet).pass_time(1_001)
    bonded("withdraw", "--yes")
    assert bonded("status")["stake_balance"] == "150"


@pytest.mark.parametrize(("text", "length"), [("90", 90), ("90s", 90), ("3m", 180), ("2h", 7_200), ("1d", 86_400)])
def test_lengths_of_time_are_read_as_people_write_them(text: str, length: int):
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "0", "0h", "-1h", "1.5h", "h", "ten"])
def test_what_is_no_length_of_time_is_refused(text: str):
    with pytest.raises(CommandFailed, match="length of time"):
        seconds(text)


@pytest.mark.parametrize(("text", "ppm"), [("0", 0), ("100", 10**6), ("2.5", 25_000), ("10 %", 10**5), ("0.0001", 1)])
def test_shares_are_read_in_percent(text: str, ppm: int):
    assert ppm_of(text) == ppm


@pytest.mark.parametrize("text", ["-1", "100.0001", "0.00001", "x", "nan", "inf"])
def test_what_is_no_share_is_refused(text: str):
    with pytest.raises(CommandFailed):
        ppm_of(text)
